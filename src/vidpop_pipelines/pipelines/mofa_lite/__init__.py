"""MoFA-Lite: views, likes and comments from precomputed features, by modality attention."""
