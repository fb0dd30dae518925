"""DICOM files to 8-bit pixels, bright = dense. Never imports torch."""
