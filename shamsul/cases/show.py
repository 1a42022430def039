"""A case drawn in a notebook, or written to a file: `shamsul.show(...)`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shamsul.errors import InputError
from shamsul.report.case.content import Case
from shamsul.report.case.page import HEIGHT, inline, render


@dataclass(frozen=True)
class Shown:
    """The page of a case, which Jupyter and VS Code draw below a cell.

    Attributes
    ----------
    case : case to draw.
    height : height of the page in pixels.
    """

    case: Case
    height: int = HEIGHT

    def _repr_html_(self) -> str:
        return inline(self.case, self.height)

    def save(self, path: str | Path) -> Path:
        """Write the page, one HTML file that needs nothing else, and return its path."""
        from shamsul.storage.files import replacing

        with replacing(path) as temporary:
            temporary.write_text(render(self.case), encoding="utf-8")
        return Path(path)


def show(result: Case, height: int = HEIGHT) -> Shown:
    """Draw the page of one radiograph below a notebook's cell.

    Parameters
    ----------
    result : case that `shamsul.explained` or a run's `case` returns.
    height : height of the page in pixels.

    Raises
    ------
    InputError
        The result is no case.

    Examples
    --------
    >>> run = shamsul.open_run("results/phantom")  # doctest: +SKIP
    >>> show(run.case("patient90006_study2_view1_frontal")).save("case.html")  # doctest: +SKIP
    """
    if not isinstance(result, Case):
        raise InputError(
            f"show: cannot draw a {type(result).__name__}; give it `shamsul.explained(...)`, or "
            "the `case(image_id)` of an opened run"
        )
    return Shown(result, height)
