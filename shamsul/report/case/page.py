"""The page of a case: one HTML file that needs nothing else and asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from shamsul.report.case.bundle import script
from shamsul.report.case.content import Case, packed

FOLDER = Path(__file__).parent
HEIGHT = 900
"""Height of the page within a notebook, in pixels."""


def render(case: Case) -> str:
    """Return the page of a case.

    The page's policy admits its own script and style, by their hashes, and pictures that are part
    of it. Names from outside are text wherever they stand, and never markup.
    """
    style, code = _style(), script()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        case=case,
        policy=_policy(code, style),
        style=Markup(style),
        script=Markup(code),
        content=Markup(_json(packed(case))),
    )


def policies() -> tuple[str, str]:
    """Return the sources of scripts and of styles that admit the page within another's policy."""
    return _hash(script()), _hash(_style())


def inline(case: Case, height: int = HEIGHT) -> str:
    """Return the page within a frame, for a notebook's output."""
    page = html.escape(render(case), quote=True)
    title = html.escape(f"Explanations of {case.image_id}", quote=True)
    return (
        f'<iframe srcdoc="{page}" title="{title}" sandbox="allow-scripts" width="100%" '
        f'height="{height}" style="border: 0"></iframe>'
    )


def _style() -> str:
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def _policy(code: str, style: str) -> str:
    """Return the page's Content-Security-Policy."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(code)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _json(content: dict[str, Any]) -> str:
    """Return content as JSON that cannot end the element that it stands in."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
