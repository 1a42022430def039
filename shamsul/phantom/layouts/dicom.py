"""Phantoms as DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from shamsul.phantom.layouts.case import Case
from shamsul.storage.files import replacing

ROOT = "1.2.826.0.1.3680043.8.498."
"""Beginning of the unique names of generated files (pydicom's own)."""


def write_dicom(
    path: Path,
    case: Case,
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    patient: str,
    inverted: bool = False,
) -> None:
    """Write a radiograph as an uncompressed DICOM file.

    Parameters
    ----------
    pixels : (height, width), of 8 or of 12 bits; dense is bright.
    patient : name of the patient.
    inverted : True to store it as MONOCHROME1, in which dense is low.
    """
    wide = pixels.dtype == np.uint16
    bits = 12 if wide else 8
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(ROOT + str(int(case.token("instance")[:28], 16)))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID = ROOT + str(int(case.token("study")[:28], 16))
    data.SeriesInstanceUID = ROOT + str(int(case.token("series")[:28], 16))
    data.Modality = "DX"
    data.BodyPartExamined = "CHEST"
    data.PatientID = patient
    data.PatientSex = case.sex
    data.PatientAge = f"{case.study.age:03d}Y"
    data.ViewPosition = case.projection
    data.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    data.SamplesPerPixel = 1
    data.PixelRepresentation = 0
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = 16 if wide else 8
    data.BitsStored, data.HighBit = bits, bits - 1
    stored = (2**bits - 1) - pixels if inverted else pixels
    data.PixelData = np.ascontiguousarray(stored).tobytes()
    if len(data.PixelData) % 2:
        data.PixelData += b"\0"
    data["PixelData"].VR = "OW" if wide else "OB"
    with replacing(path) as temporary:
        data.save_as(temporary, enforce_file_format=True)
