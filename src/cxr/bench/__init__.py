"""`make bench`: every speed that we claim, beside the usual way of doing it, in one run. Medians; ratios hold.

Timed here and nowhere else: performance never lives in a test.
"""
