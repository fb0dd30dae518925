"""Paging through studies in Jupyter: a core without widgets (`studies`, `mistakes`), and the page (`page`)."""
