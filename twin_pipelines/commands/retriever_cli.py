"""The `twin retriever` commands: learn what questions are looked up by, see it, undo it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from twin_pipelines.settings import load_settings

app = typer.Typer(
    help="A retriever that learns the person: optional, and off until the gate lets one in.",
    no_args_is_help=True,
)
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


@app.command()
def train() -> None:
    """Learn which past message makes a reply likelier; in force only if it surely helps."""
    from twin_pipelines.commands.retriever import trained

    console.print(trained(load_settings(), console), soft_wrap=True)


@app.command()
def status(as_json: Json = False) -> None:
    """Which retriever is in force, those that were learned, and the gate's word on each."""
    from twin_pipelines.commands.retriever import listed, status_view

    found = listed(load_settings())
    typer.echo(json.dumps(found, indent=2)) if as_json else console.print(status_view(found))


@app.command()
def use(retriever: Annotated[str, typer.Argument(help="Its id, see `status`.")]) -> None:
    """Put a retriever that passed the gate into force again."""
    from twin_pipelines.commands.retriever import used

    console.print(used(load_settings(), retriever), soft_wrap=True)


@app.command()
def rollback() -> None:
    """Go back to what was in force before the present retriever, at once."""
    from twin_pipelines.commands.retriever import rolled_back

    console.print(rolled_back(load_settings()), soft_wrap=True)
