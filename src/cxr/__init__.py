"""From raw chest radiographs in DICOM to a scored submission for the SIIM-FISABIO-RSNA COVID-19 Detection challenge."""

__version__ = "0.1.0"
