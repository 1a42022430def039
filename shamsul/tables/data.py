"""Tables of the data: what each source has, and what was left out of it."""

from __future__ import annotations

from shamsul.tables.columns import count, text
from shamsul.tables.table import Table

_SOURCE = text("Name of the source.")

TABLES = (
    Table(
        "sources",
        *("Data", None),
        "Images of each source on their way from its tables to the splits. `listed` is the sum of "
        "`rejected_rows`, `other_views`, `excluded`, `rejected_images` and of the images used, in "
        "`train`, `tune` and `test`.",
        {
            "source": _SOURCE,
            "listed": count("Images that the source's tables list."),
            "rejected_rows": count("Rows of these tables that cannot be used."),
            "other_views": count("Images of views that `data.views` leaves out."),
            "excluded": count("Images that `data.exclude` names."),
            "rejected_images": count("Images whose files cannot be used."),
            "train": count("Images used to train."),
            "tune": count("Images used to tune."),
            "test": count("Images used to test."),
            "masks": count("Masks of the images used, of any class."),
            "rejected_masks": count("Masks that cannot be used."),
        },
    ),
    Table(
        "rejected",
        *("Data", None),
        "Images, rows and masks that were left out because they cannot be used, one each, with "
        "the reason. The table has no rows where nothing was.",
        {
            "source": _SOURCE,
            "kind": text("Kind of thing that is left out.", "image", "row", "mask"),
            "image_id": text("Image that it is or belongs to; empty where it names none."),
            "file": text("File that is wrong, or that says it."),
            "row": count("Line of the file, from 1 with the header; 0 where it is no table."),
            "field": text("Column or key; empty where it is all of the row or file."),
            "reason": text("Fault of it, and what to do."),
        },
    ),
)
