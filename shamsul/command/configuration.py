"""Subcommands `shamsul config` and `shamsul profile`: shipped files to start from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from shamsul.command import shipped, text
from shamsul.errors import InputError

configurations = typer.Typer(
    help="List and show the configurations that come with shamsul.", no_args_is_help=True
)
profiles = typer.Typer(
    help="List and copy the cluster profiles that come with shamsul.", no_args_is_help=True
)


@configurations.command("list")
def list_configurations() -> None:
    """List the configurations that `shamsul run` and `shamsul check` know by name."""
    rows = [(name, _about(path)) for name, path in shipped.configurations().items()]
    typer.echo(text.columns([("name", "about"), *rows]))


@configurations.command("show")
def show_configuration(
    name: Annotated[str, typer.Argument(help="Its name, as `shamsul config list` has it.")],
) -> None:
    """Print a configuration, to edit a copy of it.

    The first line names the schema of this installation: editors complete and check keys by it.

    - `shamsul config show nih > mine.yaml`
    """
    path = _named(name, shipped.configurations(), "configuration")
    schema = f"# yaml-language-server: $schema={shipped.SCHEMA}"
    content = re.sub(r"\A# yaml-language-server:.*", lambda _: schema, path.read_text())
    typer.echo(content, nl=False)


@profiles.command("list")
def list_profiles() -> None:
    """List the profiles that `shamsul run --workflow-profile` knows by name."""
    rows = [
        (name, _about(path / "profile.yaml"), str(path))
        for name, path in shipped.profiles().items()
    ]
    typer.echo(text.columns([("name", "about", "folder"), *rows]))


@profiles.command("copy")
def copy_profile(
    name: Annotated[str, typer.Argument(help="Its name, as `shamsul profile list` has it.")],
    directory: Annotated[Path, typer.Argument(help="The folder to make, which must not exist.")],
) -> None:
    """Copy a profile's folder, to fit it to your cluster.

    - `shamsul profile copy slurm ours`, then `shamsul run mine.yaml --workflow-profile ours`
    """
    source = _named(name, shipped.profiles(), "profile")
    if directory.exists():
        raise InputError(f"{directory}: exists already")
    shutil.copytree(source, directory)


def _named(name: str, among: Mapping[str, Path], kind: str) -> Path:
    from shamsul.settings import unknown

    if name not in among:
        raise InputError(unknown(name, among, kind))
    return among[name]


def _about(path: Path) -> str:
    """Return the first sentence of a file's comment at its top."""
    lines = [line for line in path.read_text().splitlines() if "yaml-language-server" not in line]
    comment: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return re.split(r"(?<=[.:])\s", " ".join(comment))[0].rstrip(".:")
