"""Networks that no library has in the shape we need."""
