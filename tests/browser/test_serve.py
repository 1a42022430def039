"""`shamsul serve`: an image of each kind and of each hostile one, and the page in a browser."""

from __future__ import annotations

import io
import json
import shutil
import socket
import tempfile
import threading
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")
from starlette.testclient import TestClient

import shamsul
from shamsul.cases.network_of_run import network_of_run
from shamsul.serve.application import application

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def network(finished):
    return network_of_run(finished.results)


@pytest.fixture(scope="module")
def app(network):
    return application(network, methods=["grad_cam", "gradient", "lime"], megabytes=1)


@pytest.fixture
def client(app):
    return TestClient(app, base_url="http://127.0.0.1")


def picture(kind="PNG", mode="L", size=(80, 90)):
    grey = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    image = Image.fromarray(grey)
    file = io.BytesIO()
    image.convert(mode).save(file, kind)
    return file.getvalue()


def sent(client, content, name="chest.png", **headers):
    """The lines of the answer."""
    answer = client.post("/explain", content=content, headers={"X-File-Name": name, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "L")]
)
def test_a_radiograph_is_explained_method_by_method(client, kind, mode):
    first, page, *later, last = sent(client, picture(kind, mode))
    assert first == {"image": "chest.png", "methods": 3}
    assert page["done"] == 1 and page["page"].startswith("<!DOCTYPE html>")
    assert [line["method"]["name"] for line in later] == ["gradient", "lime"]
    assert len(later[0]["maps"]) == 5 and last["page_at_end"].count("<script") == 2


def test_a_radiograph_of_the_run_brings_its_readers(client, network):
    run = network.run
    manifest = run.table("manifest").set_index("image_id")
    masks = run.table("masks")
    image_id = masks["image_id"].iloc[-1]
    row = manifest.loc[image_id]
    content = (run.folder / "phantom" / row["source"] / row["path"]).read_bytes()
    first, page, *_ = sent(client, content, "renamed.jpg")
    assert first["image"] == image_id and '"reader":' in page["page"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty.png"),
        (b"not an image", "text.png"),
        (picture()[:200], "short.png"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.svg"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "program.eps"),
        (picture("GIF"), "moving.gif"),
        (b"\x00" * 1000, "../../etc/passwd"),
        (b"GIF89a", "%2e%2e%2fescape.png"),
    ],
)
def test_what_is_no_radiograph_is_one_line_that_names_no_folder(client, content, name):
    (line,) = sent(client, content, name)
    assert set(line) == {"error"} and "not a readable image" in line["error"]
    assert tempfile.gettempdir() not in line["error"] and ".." not in line["error"]


def test_no_file_is_kept(client, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sent(client, picture())
    sent(client, b"no image")
    assert not list(tmp_path.iterdir())


def test_a_large_file_is_refused(client):
    answer = client.post("/explain", content=b"x" * 1_000_001)
    assert answer.status_code == 413 and "larger than 1 MB" in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
    ],
)
def test_pages_of_other_sites_are_refused(client, headers, status):
    answer = client.post("/explain", content=b"x", headers=headers)
    assert answer.status_code == status


def test_one_radiograph_at_a_time_and_then_the_next(network):
    from shamsul.serve.application import _explained

    busy = threading.Lock()
    methods = ["grad_cam"]
    first = _explained(network, picture(), "a.png", busy, methods, 1)
    assert "methods" in json.loads(next(first))
    (other,) = _explained(network, picture(), "b.png", busy, methods, 1)
    assert "another radiograph" in json.loads(other)["error"]
    first.close()  # As when the browser goes away.
    assert len(list(_explained(network, picture(), "c.png", busy, methods, 1))) == 3


def test_the_command_says_what_is_missing(tmp_path):
    from shamsul.command.serving import serve

    with pytest.raises(shamsul.InputError, match="no results of a run"):
        serve(tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_the_page_shows_maps_as_they_arrive(app, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    complaints, requests = [], []
    image = tmp_path / "<img src=x>.png"
    image.write_bytes(picture())
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
            )
            page = browser.new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(f"http://127.0.0.1:{port}/")
            page.set_input_files("#file", image)
            page.wait_for_selector("#save:visible", timeout=120_000)
            frame = page.frame_locator("#case")
            frame.locator('.pane[data-method="lime"] .told strong').wait_for()
            assert frame.locator(".pane").count() == 4
            assert frame.locator("h1").text_content() == image.name
            page.set_input_files("#file", {"name": "x.png", "mimeType": "", "buffer": b"no"})
            page.wait_for_selector("#status.bad")
            assert "not a readable image" in page.text_content("#status")
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
    assert not complaints
    own = (f"http://127.0.0.1:{port}/", "data:", "blob:", "about:")
    assert not [url for url in requests if not url.startswith(own)]
