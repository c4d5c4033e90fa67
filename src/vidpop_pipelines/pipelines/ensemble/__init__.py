"""Stacking ensemble: gradient boosting and forests under a Ridge, for the views of a table of videos."""
