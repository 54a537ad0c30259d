"""The training loop, the trained learner, and what both need."""
