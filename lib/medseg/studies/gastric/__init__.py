"""Gastroscopies with lesions of four phases, from DICOM."""
