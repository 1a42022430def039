"""The report in a real browser, where there is one."""

import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def test_the_report_opens_from_disk_with_no_network_and_no_complaint(finished, tmp_path):
    shot, page = tmp_path / "shot.png", finished.results / "report.html"
    done = subprocess.run(
        [
            *(CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}"),
            "--enable-logging=stderr",
            # Whatever the page asked of the network would fail, and the console would say so.
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1300,3000"),
            *(f"--screenshot={shot}", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert shot.stat().st_size > 50_000
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints


@pytest.mark.parametrize("width", [1400, 800])
def test_wide_tables_scroll_in_their_own_box(finished, tmp_path, width):
    html = (finished.results / "report.html").read_text().replace("<details>", "<details open>")
    measure = "document.title = document.documentElement.scrollWidth + ' of ' + innerWidth"
    page = tmp_path / "page.html"
    page.write_text(html.replace("</body>", f"<script>{measure}</script></body>"))
    done = subprocess.run(
        [
            *(CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={width},1000", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    wide, window = map(int, re.search(r"<title>(\d+) of (\d+)</title>", done.stdout).groups())
    assert window == width and wide <= window
