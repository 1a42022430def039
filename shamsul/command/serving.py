"""Subcommand `shamsul serve`: a page of this machine on which a radiograph is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shamsul.errors import InputError


def serve(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, results/<run>.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; the default is this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8642,
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Methods; if absent, all that suit and take seconds."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="Seconds that the methods may take together if none is named."),
    ] = 60.0,
    megabytes: Annotated[
        float, typer.Option(min=0.001, help="Size of a file above which it is refused.")
    ] = 64.0,
) -> None:
    """Serve a page on which a radiograph is dropped and explained by the network of a run.

    Probabilities come first, then the maps as they are made. The page is for this machine only,
    unless `--host` says otherwise, and has no password. No file is kept. It needs the extra
    `shamsul[serve]`.

    - `shamsul serve results/phantom`
    """
    try:
        import uvicorn

        from shamsul.serve.application import LOCAL, application
    except ModuleNotFoundError as error:
        raise InputError(
            f"shamsul serve needs the package {error.name}; install it with "
            "`pip install 'shamsul[serve]'`"
        ) from None
    from shamsul.cases.network_of_run import network_of_run
    from shamsul.command.explaining import names

    local = host in LOCAL
    app = application(
        network_of_run(run),
        hosts=LOCAL if local else (*LOCAL, "*"),
        methods=names(methods),
        seconds=seconds,
        megabytes=megabytes,
    )
    typer.echo(f"http://{host}:{port}", err=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
