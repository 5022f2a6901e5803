"""The `twin sync` commands. Each is thin: what it does stands in `commands.sync`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from twin_pipelines.settings import load_settings

app = typer.Typer(
    help="Keep two databases of an application the same, such as Neon and a local one.",
    no_args_is_help=True,
)
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


@app.command()
def setup() -> None:
    """Check both sides, make their tables the same, and keep them so; mends a sync that stands."""
    from twin_pipelines.commands.sync import setup as run

    run(load_settings(), console)


@app.command()
def status(as_json: Json = False) -> None:
    """Whether both directions run and both sides agree; what lost; what to run where not."""
    from twin_pipelines.commands.sync import looked, view

    found = looked(load_settings())
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    else:
        console.print(view(found), soft_wrap=True)


@app.command()
def stop() -> None:
    """Take the sync down on both sides: slots, publications, subscriptions, triggers."""
    from twin_pipelines.commands.sync import stop as run

    if not run(load_settings(), console):
        raise typer.Exit(1)
