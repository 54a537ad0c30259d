"""Shows what lies behind the scores of runs, as numbers and pictures."""
