"""Model cards: what a registered version was trained on, how good it is, and where its limits are."""
