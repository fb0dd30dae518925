"""A run's models behind a web page and a JSON interface (`make app`), and for files by hand (`cxr predict`).

Whatever comes from outside is decoded in a process of its own (`decode`, `uploads`), asked of the models by the code of
stage 11 (`models`), and kept in memory for a while (`uploads.Shelf`); `guard` bounds what a request may take.
"""
