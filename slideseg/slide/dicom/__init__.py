"""DICOM whole-slide images: the files of a series as one slide."""
