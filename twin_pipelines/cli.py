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

from twin_pipelines.commands.memory_cli import app as memory_app
from twin_pipelines.settings import TwinError, load_settings

app = typer.Typer(
    help="Turns a conversation history into an LLM twin, and keeps it current.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
bench_app = typer.Typer(help="Measure, beside a baseline in the same run.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
dataset_app = typer.Typer(help="What the twin is taught.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")
app.add_typer(memory_app, name="memory")
persona_app = typer.Typer(help="Who the twin is told it is.", no_args_is_help=True)
app.add_typer(persona_app, name="persona")

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
    full: Annotated[
        bool, typer.Option("--full", help="Train longer and measure everything: about an hour.")
    ] = False,
) -> None:
    """Run the whole graph on real chats: no key, no GPU, about a quarter of an hour."""
    from twin_pipelines.commands.demo import demo as run

    run(subject_rank, subject, console, full=full)


@app.command()
def up() -> None:
    """Database, Dagster web UI and daemon, MLflow, twin server; Ctrl-C stops them all."""
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
def train(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show settings and memory; train nothing.")
    ] = False,
) -> None:
    """Dataset, adapter, evaluation, gate and, if it passes, promotion."""
    from twin_pipelines.commands.runs import open_twin, training_plan
    from twin_pipelines.commands.runs import train as run
    from twin_pipelines.commands.status import collect, scoreboard

    settings = load_settings()
    if plan:
        console.print(training_plan(settings))
        return
    with open_twin(settings) as (instance, databases):
        outcome = run(instance, console, "asked for")
        status = collect(settings, instance, databases)
    console.print(scoreboard(status))
    if not outcome.success and status["gate"]["passed"] is not False:
        raise TwinError(f"The release half failed: {'; '.join(outcome.failures)}.")


@app.command()
def export(
    gguf: Annotated[
        list[str] | None,
        typer.Option(help="A GGUF file too: f16, q8_0, q4_k_m, q4_0 or adapter; may be repeated."),
    ] = None,
) -> None:
    """Write the twin as files for other programs, each compared with the trained model."""
    from twin_pipelines.commands.export import export as run

    run(load_settings(), gguf or [], console)


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
def search(as_json: Json = False) -> None:
    """Try other training settings, on validation only; print the best as lines for twin.toml."""
    from dataclasses import asdict

    from twin_pipelines.commands.search import run_search, search_table, verdict

    progress = Console(stderr=True) if as_json else console
    found, lines = run_search(load_settings(), progress)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    console.print(search_table(found))
    console.print(verdict(found), highlight=False)
    console.print(f"Lines for twin.toml (in {lines}; nothing was changed):", soft_wrap=True)
    typer.echo(lines.read_text())


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


@app.command()
def promote(
    release: Annotated[
        int | None, typer.Argument(help="Number of a release; default: the one judged last.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Although the gate refused it; leaves a signed note.")
    ] = False,
    by: Annotated[str, typer.Option(help="With --force: who.")] = "",
    reason: Annotated[str, typer.Option(help="With --force: why.")] = "",
) -> None:
    """Let a registered challenger serve."""
    from twin_pipelines.commands.promote import promote_release
    from twin_pipelines.foundation.database import open_databases

    settings = load_settings()
    with open_databases(settings) as databases:
        promote_release(settings, databases, console, release, force=force, by=by, reason=reason)


@app.command(name="reindex")
def reindex_command(as_json: Json = False) -> None:
    """Bring the search index to what was said and to the set embedding model; resumable."""
    from dataclasses import asdict

    from twin_pipelines.commands.reindex import reindex_all, told

    done, entries = reindex_all(load_settings(), Console(stderr=True))
    typer.echo(json.dumps({**asdict(done), "entries": entries})) if as_json else console.print(
        told(done, entries), soft_wrap=True
    )


@app.command()
def rollback(
    to: Annotated[
        int | None, typer.Option(help="A release that served; default: the one before this.")
    ] = None,
) -> None:
    """Let an earlier release serve again: adapter, persona, core memories, retrieval settings."""
    from twin_pipelines.commands.rollback import roll_back
    from twin_pipelines.foundation.database import open_databases

    settings = load_settings()
    with open_databases(settings) as databases:
        roll_back(settings, databases, console, to)


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Instead of serving.port; 0: any.")
    ] = None,
) -> None:
    """Let the release in force answer at an OpenAI-compatible address of this machine."""
    from twin_pipelines.commands.serve import serve as run

    run(load_settings(), port, console)


@app.command()
def follow() -> None:
    """Follow the sources that ask for capture: what changes there is findable within seconds."""
    from twin_pipelines.commands.follow import follow as run

    run(load_settings(), console)


@app.command()
def chat(
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Of a server that runs already.")
    ] = None,
) -> None:
    """Talk with the twin here, through `twin serve` where it runs; /memories shows what it knew."""
    from twin_pipelines.commands.chat import chat as run

    run(load_settings(), port, console)


@app.command()
def recall(
    question: Annotated[str, typer.Argument(help="What the twin is asked, in any language.")],
    *,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many turns and memories.")] = 10,
    after: Annotated[
        list[str] | None, typer.Option(help="A turn of the chat before it; may be repeated.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="turn or memory; without it both.")] = None,
    before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only what was said before.")
    ] = None,
    dreams: Annotated[bool, typer.Option("--dreams", help="Dreams, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """What the twin would be told for a question, and why; nothing counts as recalled."""
    from datetime import UTC

    from twin_pipelines.commands.recall import recall_json, recall_view, recalled

    found = recalled(
        load_settings(),
        question,
        k,
        turns=after or [],
        before=before.replace(tzinfo=UTC) if before else None,
        kinds=kind or [],
        dreams=dreams,
    )
    if as_json:
        typer.echo(json.dumps(recall_json(found), ensure_ascii=False, indent=2))
    else:
        console.print(recall_view(found))


@app.command()
def blind(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of the page; default: any free one.")
    ] = 0,
) -> None:
    """Open a page on which you pick your real reply among real, twin and base."""
    from twin_pipelines.commands.blind import blind as run

    run(load_settings(), port, console)


@dataset_app.command()
def diff(before: str, after: str, as_json: Json = False) -> None:
    """Pairs added, removed, moved and changed between two versions, and why; settings changed."""
    from twin_pipelines.commands.dataset import as_json as plain
    from twin_pipelines.commands.dataset import as_tables, compare

    found = compare(load_settings(), before, after)
    if as_json:
        typer.echo(json.dumps(plain(found), indent=2, ensure_ascii=False))
    else:
        console.print(as_tables(found))


@dataset_app.command(name="base-replies")
def base_replies(
    count: Annotated[int, typer.Argument(min=1, help="How many more pairs of train.")] = 200,
) -> None:
    """Let the base answer pairs of train; preference_pairs then turns its replies down."""
    from twin_pipelines.commands.dataset import answer_by_base

    path = answer_by_base(load_settings(), count, console)
    console.print(f"Wrote {path}; materialise preference_pairs to use it.", soft_wrap=True)


@persona_app.command(name="show")
def persona_show(as_json: Json = False) -> None:
    """Print the persona page in use: facts, style rules, words never said."""
    from twin_pipelines.commands.persona import show, shown

    found = shown(load_settings())
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    else:
        show(found, console)


@persona_app.command(name="edit")
def persona_edit(
    file: Annotated[
        Path | None, typer.Option(help="The page as it shall be, instead of opening $EDITOR.")
    ] = None,
) -> None:
    """Change the persona page; what you change stays when it is made anew."""
    from twin_pipelines.commands.persona import edit

    edit(load_settings(), file, console)


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


@bench_app.command()
def cdc(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to write.")] = 1.0,
    kills: Annotated[int, typer.Option(min=0, help="Processes to kill meanwhile.")] = 0,
    as_json: Json = False,
) -> None:
    """Follow a source that is written to, and compare both sides row by row at the end."""
    from twin_pipelines.commands.bench_cdc import cdc as run

    progress = Console(stderr=True)
    result = run(minutes, kills, lambda words: progress.print(words, style="dim"))
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            console.print(f"{name:<34} {value}")


@bench_app.command()
def training(
    tokens: Annotated[int, typer.Option(min=500, help="How many each system reads.")] = 3_000,
    as_json: Json = False,
) -> None:
    """Our training beside plain TRL, on the same pairs and base: tokens/s and loss."""
    from twin_pipelines.commands.bench_training import training as run

    with console.status("") as shown:
        result = run(tokens, shown.update)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@bench_app.command("memory")
def bench_memory(
    messages: Annotated[int, typer.Option(min=1_000, help="Messages of the history.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Extract and consolidate the memories of a history, then of one more day."""
    from twin_pipelines.commands.bench_memory import memory as run

    result = run(messages)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@bench_app.command("recall")
def bench_recall(
    memories: Annotated[int, typer.Option(min=2_000, help="Turns and memories.")] = 100_000,
    as_json: Json = False,
) -> None:
    """How quickly and completely a question finds what belongs to it; the whole path, warm."""
    from twin_pipelines.commands.bench_recall import recall as run

    with Console(stderr=True).status("") as shown:
        result = run(memories, shown.update)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@bench_app.command("serve")
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


@bench_app.command()
def locomo(
    files: Annotated[list[Path], typer.Argument(help="Files in LoCoMo's own schema.")],
    as_json: Json = False,
) -> None:
    """How much of a question's evidence is found, turn by turn; beside BM25 and meaning alone."""
    from twin_pipelines.commands.bench_locomo import locomo as run
    from twin_pipelines.commands.bench_locomo import table

    result = run(files)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print(table(result))


@bench_app.command()
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


@bench_app.command()
def style(
    words: Annotated[int, typer.Option(min=100, help="How many a person is known by.")] = 500,
    as_json: Json = False,
) -> None:
    """Whether people are known by their habits of writing, on chats never seen: ranks 1 to 10."""
    from twin_pipelines.commands.bench_style import style as run

    result = run(words)
    typer.echo(json.dumps(result, indent=2)) if as_json else console.print_json(data=result)


@bench_app.command()
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
