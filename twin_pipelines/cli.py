"""The `twin` command. Each command is thin: what it does stands in `twin_pipelines.commands`."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from twin_pipelines.settings import TwinError, load_settings

app = typer.Typer(
    help="Turns a conversation history into an LLM twin, and keeps it current.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
bench_app = typer.Typer(help="Measure, beside a baseline in the same run.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]


@app.command()
def demo(
    subject_rank: Annotated[
        int | None,
        typer.Option(min=1, max=10, help="The n-th most prolific sender instead of the default."),
    ] = None,
    subject: Annotated[str, typer.Option(help="A sender's id instead of the default.")] = "",
) -> None:
    """Run the whole graph on real chats: no key, no GPU, about a quarter of an hour."""
    from twin_pipelines.commands.demo import demo as run

    run(subject_rank, subject, console)


@app.command()
def up() -> None:
    """Database, Dagster web UI and daemon, MLflow; Ctrl-C stops them all."""
    from twin_pipelines.commands.up import up as run

    run(load_settings(), console)


@app.command()
def env() -> None:
    """Print `export` lines for other tools: eval "$(twin env)" while `twin up` runs."""
    import shlex

    from twin_pipelines.foundation.database import open_databases
    from twin_pipelines.foundation.instance import exports, prepare_home

    settings = load_settings()
    with open_databases(settings) as databases:
        prepare_home(settings)
        for name, value in exports(settings, databases).items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@app.command(name="import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help=".jsonl or .csv files")],
    source: Annotated[str, typer.Option(help="Name of the source; default: the file's.")] = "",
    consent: Annotated[str, typer.Option(help="Who allowed it, when it is not you.")] = "",
    land_only: Annotated[
        bool, typer.Option("--land-only", help="Land the messages; derive nothing yet.")
    ] = False,
) -> None:
    """Land files of messages and derive their days. One broken file never stops the rest."""
    from twin_pipelines.commands.importing import import_all

    if not import_all(
        load_settings(), files, source=source, consent=consent, land_only=land_only, console=console
    ):
        raise typer.Exit(1)


@app.command()
def refresh(first: Day = None, last: Day = None) -> None:
    """Run the daily half for a range of days, as one run; default: the whole history."""
    from twin_pipelines.commands.importing import refresh_days

    refresh_days(
        load_settings(), first.date() if first else None, last.date() if last else None, console
    )


@app.command()
def train() -> None:
    """Dataset, adapter, evaluation, gate and, if it passes, promotion."""
    from twin_pipelines.commands.runs import open_twin
    from twin_pipelines.commands.runs import train as run
    from twin_pipelines.commands.status import collect, scoreboard

    settings = load_settings()
    with open_twin(settings) as (instance, databases):
        outcome = run(instance, console, "asked for")
        status = collect(settings, instance, databases)
    console.print(scoreboard(status))
    if not outcome.success and status["gate"]["passed"] is not False:
        raise TwinError(f"The release half failed: {'; '.join(outcome.failures)}.")


@app.command()
def status(as_json: Json = False) -> None:
    """Where the twin stands: messages, pairs, champion, figures, checks, rejected rows."""
    from twin_pipelines.commands.status import collect, scoreboard
    from twin_pipelines.foundation.instance import open_instance

    settings = load_settings()
    with open_instance(settings) as (instance, databases):
        found = collect(settings, instance, databases)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    else:
        console.print(scoreboard(found))


@app.command()
def report(
    output: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
) -> None:
    """Write one self-contained HTML page that tells what went in and what came out."""
    from twin_pipelines.commands.report import write_report
    from twin_pipelines.foundation.instance import open_instance

    settings = load_settings()
    with open_instance(settings) as (instance, databases):
        path = write_report(settings, instance, databases, output)
    console.print(f"Wrote {path}", soft_wrap=True)


@bench_app.command()
def ingest(
    messages: Annotated[int, typer.Option(min=1_000, help="How many to make up.")] = 200_000,
    as_json: Json = False,
) -> None:
    """Import and clean, and embed, made-up messages; beside a row-at-a-time baseline."""
    from twin_pipelines.commands.bench import ingest as run

    result = run(messages)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            console.print(f"{name:<28} {value}")


def main() -> None:
    """Entry point: a failure the user can mend is one sentence and exit code 2."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress is ours to show, once
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads leave the cores to others
    try:
        app()
    except TwinError as error:
        message = f"[red]twin:[/red] {escape(str(error))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
