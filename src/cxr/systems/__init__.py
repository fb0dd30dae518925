"""One file a published system; each picks its parts from the blocks below."""
