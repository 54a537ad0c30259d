"""The active-learning loop, and many runs of it."""
