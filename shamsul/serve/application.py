"""The server behind `shamsul serve`: radiographs in, maps out as they are made; no file is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shamsul.cases.explained import Started, start
from shamsul.data.reading.files import load
from shamsul.errors import InputError
from shamsul.report.case.content import added
from shamsul.report.case.page import render

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    from shamsul.cases.network_of_run import RunNetwork

FOLDER = Path(__file__).parent
LOCAL = ("localhost", "127.0.0.1")
"""Names of this machine by which a browser may ask. Another site's name that leads here, as in DNS
rebinding, is refused."""
MEGABYTES = 64
"""Size of a file, in megabytes, above which it is refused."""


def application(
    network: RunNetwork,
    *,
    hosts: Sequence[str] = LOCAL,
    methods: Sequence[str] | None = None,
    seconds: float = 60.0,
    megabytes: float = MEGABYTES,
) -> Starlette:
    """Return the server's application.

    Parameters
    ----------
    network : run's network.
    hosts : names of the host that are answered.
    methods : names of the methods; if absent, all that suit and take seconds.
    seconds : seconds that the methods may take together if none is named.
    megabytes : size of a file above which it is refused.
    """
    # One radiograph is explained at a time: several would only wait for one another.
    busy = threading.Lock()

    async def explain(request: Request) -> Response:
        if refusal := _refusal(request):
            return _failed(403, refusal)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > megabytes * 1e6:
                return _failed(413, f"the file is larger than {megabytes:g} MB")
        name = Path(unquote(request.headers.get("x-file-name", ""))).name or "radiograph"
        lines = _explained(network, bytes(content), name, busy, methods, seconds)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=NO_STORE)

    page = _page(megabytes)

    async def index(request: Request) -> Response:
        return HTMLResponse(page, headers=NO_STORE)

    routes = [Route("/", index), Route("/explain", explain, methods=["POST"])]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts])
    return Starlette(routes=routes, middleware=[trusted])


NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of all answers: nothing of a radiograph stays in a cache."""


def _refusal(request: Request) -> str:
    """Return why a request is refused, which another site's page sent; empty where it is not."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("//")[2] != request.headers.get("host"):
        return "asked by a page of another site"
    return ""


def _failed(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status, headers=NO_STORE)


def _explained(
    network: RunNetwork,
    content: bytes,
    name: str,
    busy: threading.Lock,
    methods: Sequence[str] | None,
    seconds: float,
) -> Iterator[str]:
    """Yield lines of JSON: the number of methods, the page with the first, each later one."""
    if not busy.acquire(blocking=False):
        yield _line(error="another radiograph is being explained; try again when it is done")
        return
    try:
        image = _read(content, name)
        known = {"image_id": name, **network.known(content)}
        started = start(network.classifier, image, methods, seconds=seconds, **known)
        yield _line(image=started.image_id, methods=len(started.methods))
        yield from _lines(started)
    except InputError as error:
        yield _line(error=str(error))
    finally:
        busy.release()


def _lines(started: Started) -> Iterator[str]:
    made = []
    for explanation in started.explanations():
        made.append(explanation)
        done = {"done": len(made), "title": explanation.title}
        if len(made) == 1:
            yield _line(page=render(started.case(made)), **done)
        else:
            yield _line(**added(explanation), **done)
    if not made:
        yield _line(page=render(started.case([])), done=0)
    yield _line(notes=started.notes, page_at_end=render(started.case(made)))


def _line(**values: Any) -> str:
    return json.dumps(values, allow_nan=False) + "\n"


def _read(content: bytes, name: str) -> NDArray[uint8]:
    """Return a file's radiograph; the file exists while it is read, and no longer."""
    ending = re.fullmatch(r"\.[A-Za-z0-9]{1,8}", Path(name).suffix)
    with tempfile.TemporaryDirectory(prefix="shamsul-") as folder:
        path = Path(folder) / f"radiograph{ending[0] if ending else ''}"
        path.write_bytes(content)
        try:
            return load(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def _page(megabytes: float) -> str:
    """Return the page on which radiographs are dropped."""
    style, script = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("serve.css", "serve.js")
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    # The frame of a case inherits this policy besides its own, which must admit its script too.
    from shamsul.report.case.page import policies

    scripts, styles = policies()
    policy = (
        f"default-src 'none'; script-src {_hash(script)} {scripts}; "
        f"style-src {_hash(style)} {styles}; img-src data:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("serve.html").render(
        policy=policy, style=Markup(style), script=Markup(script), megabytes=f"{megabytes:g}"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
