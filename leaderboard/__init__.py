"""The leaderboard: records of runs, the scores computed from them, and a static site. Imports no torch."""
