"""The `twin persona` commands. Each is thin: what it does stands in `commands.persona`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twin_pipelines.settings import load_settings

app = typer.Typer(help="Who the twin is told it is.", no_args_is_help=True)
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


@app.command(name="show")
def show_page(as_json: Json = False) -> None:
    """Print the persona page in use: facts, style rules, words never said."""
    from twin_pipelines.commands.persona import show, shown

    found = shown(load_settings())
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    else:
        show(found, console)


@app.command(name="edit")
def edit_page(
    file: Annotated[
        Path | None, typer.Option(help="The page as it shall be, instead of opening $EDITOR.")
    ] = None,
) -> None:
    """Change the persona page; what you change stays when it is made anew."""
    from twin_pipelines.commands.persona import edit

    edit(load_settings(), file, console)


@app.command()
def never(
    phrase: Annotated[str, typer.Argument(help="Words the twin should never say.")] = "",
    *,
    reason: Annotated[str, typer.Option(help="Why, for yourself.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Let the twin say it again.")] = False,
    as_json: Json = False,
) -> None:
    """Words the twin may never say: list them, add one, or drop one."""
    from twin_pipelines.commands.persona import dropped_never, kept_never, listed_never

    settings = load_settings()
    if drop:
        dropped_never(settings, phrase)
    elif phrase:
        kept_never(settings, phrase, reason)
    found = listed_never(settings)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False, default=str))
        return
    for one in found:
        console.print(f"{one.phrase}  {one.reason}".rstrip(), markup=False, highlight=False)
    if not found:
        console.print('The twin may say anything; add words: twin persona never "as an AI"')
