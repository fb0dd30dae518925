"""One way to train, one way to keep what was trained."""
