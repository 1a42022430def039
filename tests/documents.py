"""The documents' blocks of code, and what each one's comment says is to be done with it.

Before each block of a shell, Python or YAML stands a comment: `<!-- test: WHAT -->`, or
`<!-- not run: REASON -->`.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from shamsul.job.fingerprint import PROJECT
from tests import dry_run
from tests.experiment import copy_project

PAGES = {
    str(path.relative_to(PROJECT)): path
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))
    if "notebooks" not in path.parts
}
"""Every page by its path; notebooks are executed whole, by a test of their own."""
LANGUAGES = ("sh", "python", "yaml", "html")
KINDS = {
    "sh": {"run", "dry-run"},
    "python": {"run", "results", "method", "adapter", "section"},
    "yaml": {"configuration", "method", "adapter"},
    "html": {"section"},
}
"""What may be done with a block: `run` it; run it with Snakemake's `--dry-run`; run it where the
small experiment has its `results`; read it as a part of a `configuration`; or add it to a copy of
the project as an `adapter`, a `section` or a `method` (`test_readme.py`)."""
_BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)?)^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"<!-- test: ([\w-]+) -->\n")
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->\n")


@dataclass(frozen=True)
class Block:
    """A block of code of a page: `kind` says what is to be done with it."""

    page: str
    number: int
    comment: str
    language: str
    code: str

    @property
    def kind(self) -> str | None:
        """What is to be done; `not run` where a reason is given, None where nothing is said."""
        if found := _TEST.fullmatch(self.comment):
            return found[1]
        return "not run" if _NOT_RUN.fullmatch(self.comment) else None

    def __str__(self) -> str:
        return f"{self.page}, block {self.number}"


def blocks(page: str, text: str) -> list[Block]:
    """The blocks of a page in the languages that can be tried."""
    found = [Block(page, i, *part) for i, part in enumerate(_BLOCK.findall(text), start=1)]
    return [block for block in found if block.language in LANGUAGES]


BLOCKS = [block for page, path in PAGES.items() for block in blocks(page, path.read_text())]


def of(language: str, kind: str) -> list[Block]:
    return [block for block in BLOCKS if (block.language, block.kind) == (language, kind)]


def folder_of_a_user(folder: Path) -> Path:
    """Make a folder a clone of the project, with what the pages name."""
    copy_project(folder)
    shutil.copy2(PROJECT / "config.yaml", folder)
    shutil.copytree(PROJECT / "configs", folder / "configs")
    return folder


def run(code: str, folder: Path, *, language: str = "sh") -> str:
    """Run code as a user in a folder does; the environment's own programs are at hand."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    command = programs / "shamsul"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m shamsul "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    start = ["bash", "-e", "-c"] if language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*start, code],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planned(code: str) -> list[str]:
    """Commands of Snakemake that are only planned; a line that is no such command is a fault."""
    lines = [line.partition("  #")[0].rstrip() for line in code.splitlines()]
    assert all(line.startswith("snakemake ") for line in lines), code
    return lines


@functools.cache
def plan(command: str, folder: Path) -> None:
    """Plan a command as a user in a folder does; pages give the same one more than once."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    _, *arguments = shlex.split(command)
    done = dry_run.call([*arguments, "--quiet"], folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
