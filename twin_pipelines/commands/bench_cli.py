"""The `twin bench` commands. Each is thin: what it measures stands in `commands.bench*`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twin_pipelines.settings import TwinError, load_settings

app = typer.Typer(help="Measure, beside a baseline in the same run.", no_args_is_help=True)
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


@app.command()
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


@app.command()
def cdc(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to write.")] = 1.0,
    kills: Annotated[int, typer.Option(min=0, help="Processes to kill meanwhile.")] = 0,
    sensor: Annotated[
        bool, typer.Option("--sensor", help="By the graph's sensor alone, without `twin follow`.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Follow a source that is written to, and compare both sides row by row at the end."""
    from twin_pipelines.commands.bench_cdc import cdc as run
    from twin_pipelines.commands.bench_cdc_sensor import by_sensor

    if sensor and kills:
        raise typer.BadParameter("--kills goes without --sensor")
    progress = Console(stderr=True)

    def tell(words: str) -> None:
        progress.print(words, style="dim")

    result = by_sensor(minutes, tell) if sensor else run(minutes, kills, tell)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            console.print(f"{name:<34} {value}")


@app.command("sync")
def bench_sync(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long both sides write.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Keep two servers the same while both are written to, and compare them at the end."""
    from twin_pipelines.commands.bench_sync import sync as run

    progress = Console(stderr=True)
    result = run(minutes, lambda words: progress.print(words, style="dim"))
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            console.print(f"{name:<28} {value}")


@app.command()
def training(
    tokens: Annotated[int, typer.Option(min=500, help="How many each system reads.")] = 3_000,
    as_json: Json = False,
) -> None:
    """Our training beside plain TRL, on the same pairs and base: tokens/s and loss."""
    from twin_pipelines.commands.bench_training import training as run

    with console.status("") as shown:
        result = run(tokens, shown.update)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command("memory")
def bench_memory(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages of the history.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Extract and consolidate the memories of a history, then of one more day."""
    from twin_pipelines.commands.bench_memory import memory as run

    result = run(messages)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command("recall")
def bench_recall(
    memories: Annotated[int, typer.Option(min=2_000, help="Turns and memories.")] = 100_000,
    as_json: Json = False,
) -> None:
    """How quickly and completely a question finds what belongs to it; the whole path, warm."""
    from twin_pipelines.commands.bench_recall import recall as run

    with Console(stderr=True).status("") as shown:
        result = run(memories, shown.update)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command("serve")
def bench_serve(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long the clients stream.")] = 10.0,
    clients: Annotated[int, typer.Option(min=1, max=500, help="How many at once.")] = 100,
    as_json: Json = False,
) -> None:
    """The HTTP API under load, on a tiny model: errors, first words, fairness, memory, overhead."""
    from twin_pipelines.commands.bench_serve import serve as run

    with Console(stderr=True).status("") as shown:
        result = run(minutes, clients, shown.update)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command()
def locomo(
    files: Annotated[list[Path], typer.Argument(help="Files in LoCoMo's own schema.")],
    as_json: Json = False,
) -> None:
    """How much of a question's evidence is found, turn by turn; beside BM25 and meaning alone."""
    from twin_pipelines.commands.bench_locomo import locomo as run
    from twin_pipelines.commands.bench_locomo import table

    result = run(files)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print(table(result))


@app.command()
def subjects(
    ranks: Annotated[
        str, typer.Option(help="Chitchat senders by rank, such as 2,3 or 2-5.")
    ] = "2-5",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each person.")] = 3,
    as_json: Json = False,
) -> None:
    """The whole recipe on several people and seeds: every figure of a twin. Takes hours."""
    from twin_pipelines.commands.bench_subjects import subjects as run

    result = run(load_settings(), _ranks(ranks), seeds)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command()
def style(
    words: Annotated[int, typer.Option(min=100, help="How many a person is known by.")] = 500,
    as_json: Json = False,
) -> None:
    """Whether people are known by their habits of writing, on chats never seen: ranks 1 to 10."""
    from twin_pipelines.commands.bench_style import style as run

    result = run(words)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@app.command()
def curve(
    steps: Annotated[str, typer.Option(help="Steps of each training, all pairs.")] = "30,60,120",
    shares: Annotated[str, typer.Option(help="Shares of the pairs, most steps.")] = "0.25,0.5",
    as_json: Json = False,
) -> None:
    """What more steps and more pairs bring, on the validation split; a training a point."""
    from twin_pipelines.commands.bench_curve import curve as run

    asked = [int(part) for part in steps.split(",")], [float(part) for part in shares.split(",")]
    rows = []
    for row in run(load_settings(), *asked):
        rows.append(row)
        if not as_json:
            console.print("  ".join(f"{name} {value}" for name, value in row.items()))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))


def _ranks(text: str) -> list[int]:
    """Ranks of a list or a span, as they are typed. Raises TwinError naming what is no rank."""
    try:
        first, *rest = (int(part) for part in text.split("-"))
        found = list(range(first, rest[0] + 1)) if rest else [first]
    except ValueError:
        try:
            found = [int(part) for part in text.split(",")]
        except ValueError as error:
            raise TwinError(f"--ranks {text} is no list like 2,3 nor a span like 2-5.") from error
    if not found or min(found) < 1 or max(found) > 10:
        raise TwinError(f"--ranks {text}: ranks go from 1 to 10.")
    return found


@app.command()
def typos(
    questions: Annotated[int, typer.Option(min=10, help="How many to ask, each four times.")] = 200,
    as_json: Json = False,
) -> None:
    """Questions with a slip of the pen: how many still find their turn, and how long it takes."""
    from twin_pipelines.commands.bench_typos import typos as run

    result = run(load_settings(), questions)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)
