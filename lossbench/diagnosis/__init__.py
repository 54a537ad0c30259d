"""What stands behind a score."""
