"""How good predictions are, and how sure we can be of it."""
