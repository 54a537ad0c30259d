"""What `import lossbench` offers: runs, records and the leaderboard, for Python and notebooks."""
