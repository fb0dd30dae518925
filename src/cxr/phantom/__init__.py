"""Synthetic chest radiographs in the layouts of the real data sets. Never imports torch."""
