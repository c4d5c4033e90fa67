"""Comparison: one leaderboard of all families that have been run."""
