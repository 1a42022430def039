"""Dry runs of Snakemake in forks of one process that has imported it, which halves their cost.

Started as a program it is that process: it reads a call from each line of its standard input, and
writes the call's exit status to its standard output. It imports nothing of this project, so that
each fork reads the code of the folder that it plans.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def call(
    arguments: list[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Call `python -m snakemake --dry-run` with more arguments, as it is called in a folder."""
    arguments = ["--dry-run", *arguments]
    with tempfile.TemporaryDirectory() as place:
        told = [Path(place) / name for name in ("stdout", "stderr")]
        request = {
            "arguments": arguments,
            "folder": str(folder.resolve()),
            "environment": dict(environment),
            "told": [str(file) for file in told],
        }
        stream = _server()
        stream.stdin.write(json.dumps(request) + "\n")
        stream.stdin.flush()
        status = int(stream.stdout.readline())
        return subprocess.CompletedProcess(
            ["snakemake", *arguments], status, *(file.read_text() for file in told)
        )


@functools.cache
def _server() -> subprocess.Popen[str]:
    """The process that is forked; it ends with this one, which closes its input."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _serve() -> None:
    """Fork for each call and report how it ended."""
    # What the workflow imports of others' libraries, so that no fork has to.
    import docutils.core  # noqa: F401
    import pandas  # noqa: F401
    import PIL.Image  # noqa: F401
    import pydantic  # noqa: F401
    import snakemake.cli  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _plan(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _plan(arguments: list[str], folder: str, environment: dict[str, str], told: list[str]) -> None:
    """Be `python -m snakemake` in the folder, and end."""
    import snakemake.cli

    status = 1
    try:
        for descriptor, file in enumerate(told, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        # Found first here as well: the folder, and then what PYTHONPATH names.
        more = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [folder, *filter(None, more)]
        sys.argv = ["snakemake", *arguments]
        snakemake.cli.main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
