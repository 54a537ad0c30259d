"""Charts of scores."""
