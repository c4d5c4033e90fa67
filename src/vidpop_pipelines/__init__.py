"""Predict how popular an online video becomes."""
