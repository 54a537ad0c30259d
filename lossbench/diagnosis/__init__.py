"""Examines the models behind the scores of runs, in numbers and pictures."""
