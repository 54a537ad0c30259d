"""The static site of a board, its tables for the terminal, and its export as CSV and pictures."""
