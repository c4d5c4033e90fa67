"""Kedro datasets that the ecosystem lacks."""
