"""Formats of image files, recognised by their first bytes and never by their names."""

from __future__ import annotations

READ = ("PNG", "JPEG", "TIFF", "WebP", "DICOM")
"""Formats that are read."""

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "a NumPy array",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip (as NIfTI's .nii.gz)",
    b"NRRD": "NRRD",
    b"ObjectType": "MetaImage",
    b"version https://git-lfs": "a pointer of Git LFS (fetch the file itself by `git lfs pull`)",
    b"<": "XML or HTML",
    b"{": "JSON",
}
"""Names of formats by the bytes that a file of theirs begins with."""
_DICOM_BEGINNINGS = (b"\x08\x00", b"\x02\x00")
"""First bytes of a DICOM file that lacks the preamble: the group of its first element."""
HEAD = 512
"""Number of bytes from which a format is recognised."""


def recognise(head: bytes) -> str:
    """Return the name of a file's format.

    Parameters
    ----------
    head : the first `HEAD` bytes of the file, or all where it is shorter.

    Returns
    -------
    One of `READ`, or a name for a message; empty where the format is not known.
    """
    if head[128:132] == b"DICM" or _is_dicom_without_preamble(head):
        return "DICOM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return "HEIC or AVIF" if head[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "a film"
    if head[344:347] in (b"n+1", b"ni1"):
        return "NIfTI"
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    return "text" if head and head.isascii() and head.decode().isprintable() else ""


def refusal(head: bytes) -> str:
    """Return the reason for which a file that begins so is not read."""
    if not head:
        return "is empty"
    told = recognise(head)
    found = f"is {told}" if told else "is of no known image format"
    return f"{found}; read are {', '.join(READ[:-1])} and {READ[-1]}"


def _is_dicom_without_preamble(head: bytes) -> bool:
    """Return whether the file begins with an element of DICOM: group, number, two capitals."""
    return head[:2] in _DICOM_BEGINNINGS and head[3:4] == b"\x00" and head[4:6].isupper()
