"""Where the runs of a sweep are made: in this process, in workers beside it, or on the nodes of a cluster."""
