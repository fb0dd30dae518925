"""Figures for notebooks and the report; no pyplot, no global state."""
