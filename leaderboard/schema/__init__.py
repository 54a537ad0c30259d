"""The file formats: records of runs, badges of submissions, and published curves."""
