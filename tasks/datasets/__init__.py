"""Data sets in their forms on disk, one file per form: each returns file names (or pixels) and typed annotations."""
