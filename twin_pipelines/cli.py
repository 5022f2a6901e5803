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

from twin_pipelines.commands.bench_cli import app as bench_app
from twin_pipelines.commands.follow_cli import app as follow_app
from twin_pipelines.commands.forget_cli import forget
from twin_pipelines.commands.memory_cli import app as memory_app
from twin_pipelines.commands.persona_cli import app as persona_app
from twin_pipelines.commands.retriever_cli import app as retriever_app
from twin_pipelines.commands.sync_cli import app as sync_app
from twin_pipelines.settings import TwinError, load_settings

app = typer.Typer(
    help="Turns a conversation history into an LLM twin, and keeps it current.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(bench_app, name="bench")
dataset_app = typer.Typer(help="What the twin is taught.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")
app.add_typer(follow_app)
app.add_typer(memory_app, name="memory")
app.add_typer(persona_app, name="persona")
app.add_typer(retriever_app, name="retriever")
app.add_typer(sync_app, name="sync")

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]


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
def refresh(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day; default: the first.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; default: the last.")
    ] = None,
) -> None:
    """Derive any range of days anew, as one run, then memories and persona."""
    from twin_pipelines.commands.importing import refresh_days

    refresh_days(
        load_settings(), since.date() if since else None, until.date() if until else None, console
    )


@app.command()
def alerts(
    test: Annotated[
        bool, typer.Option("--test", help="Send a message by every channel that is set up.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the owner should look at, and whether it can be told outside."""
    from twin_pipelines.commands.alerts import alerts as run

    run(load_settings(), console, test=test, as_json=as_json)


@app.command()
def train(
    plan: Annotated[
        bool, typer.Option("--plan", help="Show settings and memory; train nothing.")
    ] = False,
) -> None:
    """Dataset, adapter, evaluation, gate and, if it passes, promotion."""
    from twin_pipelines.commands.runs import open_twin, training_plan
    from twin_pipelines.commands.runs import train as run
    from twin_pipelines.commands.scoreboard import scoreboard
    from twin_pipelines.commands.status import collect

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
    from twin_pipelines.commands.scoreboard import scoreboard
    from twin_pipelines.commands.status import collect
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
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="First say what turns refer to: recall is measured on it."),
    ] = False,
) -> None:
    """Write one self-contained HTML page that tells what went in and what came out."""
    from twin_pipelines.commands.confirm import confirm as ask_owner
    from twin_pipelines.commands.report import write_report
    from twin_pipelines.foundation.instance import open_instance

    settings = load_settings()
    with open_instance(settings) as (instance, databases):
        if confirm:
            judged = ask_owner(settings, databases.twin, console, typer.prompt)
            console.print(f"{judged} kept; the job remember measures recall on them.")
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
    allow_erased: Annotated[
        bool,
        typer.Option("--allow-erased", help="Although it learnt what was erased; signed likewise."),
    ] = False,
    by: Annotated[str, typer.Option(help="With --force or --allow-erased: who.")] = "",
    reason: Annotated[str, typer.Option(help="With --force or --allow-erased: why.")] = "",
) -> None:
    """Let a registered challenger serve."""
    from twin_pipelines.commands.promote import promote_release
    from twin_pipelines.foundation.database import open_databases

    settings = load_settings()
    wishes = {"force": force, "allow_erased": allow_erased}
    with open_databases(settings) as databases:
        promote_release(settings, databases, console, release, **wishes, by=by, reason=reason)


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


app.command()(forget)


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
