"""Runs on the nodes of a Ray cluster (the extra `cluster`). The process of the command writes all records."""
