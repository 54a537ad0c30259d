"""Forms of data on disk: one file a form."""
