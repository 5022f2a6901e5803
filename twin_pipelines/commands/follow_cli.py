"""The commands about followed sources: `twin follow` and `twin replay`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from twin_pipelines.settings import load_settings

app = typer.Typer()
console = Console()


@app.command()
def follow(
    stop: Annotated[
        str,
        typer.Option(metavar="NAME", help="Remove slot and publication of a feed instead."),
    ] = "",
    url: Annotated[
        str, typer.Option(help="With --stop: where the feed is, if twin.toml tells no longer.")
    ] = "",
) -> None:
    """Follow the sources that ask for capture: what changes there is findable within seconds."""
    from twin_pipelines.commands.follow import follow as run
    from twin_pipelines.commands.follow import stop_following

    if stop:
        stop_following(load_settings(), stop, url, console)
    elif url:
        raise typer.BadParameter("--url goes with --stop")
    else:
        run(load_settings(), console)


@app.command()
def replay(
    source: Annotated[str | None, typer.Option(help="Of this source only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")] = False,
) -> None:
    """Try the rows again that were set aside because they broke the mapping."""
    from twin_pipelines.commands.follow import in_words, replay_letters

    accounts = replay_letters(load_settings(), source)
    if as_json:
        typer.echo(json.dumps([asdict(account) for account in accounts], indent=2))
        return
    for account in accounts:
        console.print(in_words(account), soft_wrap=True, markup=False)
    if not accounts:
        console.print("No row is set aside.")
