"""Metrics, splits, intervals, comparisons and figures, shared by all families."""
