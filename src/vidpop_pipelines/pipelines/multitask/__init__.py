"""A transformer with five heads for a table of videos: the `multitask` pipeline."""
