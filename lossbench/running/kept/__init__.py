"""Trained models and their metrics in files, so that nothing is computed twice."""
