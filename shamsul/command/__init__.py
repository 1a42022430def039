"""Command `shamsul`: one module for each group of subcommands, put together in `app`."""

from __future__ import annotations


def main() -> None:
    """Run the command `shamsul`; an error of the input is one line and exit status 1."""
    from shamsul.command.app import app
    from shamsul.job import program

    program.run(lambda: app())
