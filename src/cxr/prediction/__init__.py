"""From pixels and trained models to tables of boxes and classes."""
