"""Forms of annotation files by name."""

from __future__ import annotations

import typing

from shamsul.data.annotations import chexlocalize, coco, csv_rows, images, programs
from shamsul.data.annotations.base import AnnotationFile

FORMS: tuple[type[AnnotationFile], ...] = (
    images.PngMasks,
    images.ColourMasks,
    coco.CocoFile,
    chexlocalize.ChexlocalizeFile,
    csv_rows.RunLengthRows,
    csv_rows.BoxRows,
    programs.ViaFile,
    programs.LabelmeFiles,
    programs.CvatFile,
    programs.LabelStudioFile,
)
"""Every form; a new one is a class of `AnnotationFile` here."""


def forms() -> dict[str, type[AnnotationFile]]:
    """Return the forms by the name that `masks` chooses them by."""
    return {str(typing.get_args(form.model_fields["form"].annotation)[0]): form for form in FORMS}
