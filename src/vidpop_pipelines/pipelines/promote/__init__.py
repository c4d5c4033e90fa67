"""Promotion: moves the alias `champion` of a registered model, by a rule and only when asked."""
