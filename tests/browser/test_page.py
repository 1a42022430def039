"""The report in a real browser, where there is one."""

import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


def test_the_report_opens_from_disk_with_no_network_and_no_complaint(finished, tmp_path):
    shot, page = tmp_path / "shot.png", finished.results / "report.html"
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *(
                "--disable-sync",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--enable-logging=stderr",
            ),
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
