"""Which model a protocol's table names, for each kind of task: built anew for every training."""
