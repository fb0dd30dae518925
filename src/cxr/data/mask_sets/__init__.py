"""Data sets of lung masks: a file a layout, and `sets` that knows them all."""
