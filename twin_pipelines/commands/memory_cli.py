"""The `twin memory` commands. Each is thin: what it does stands in `commands.memory`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from twin_pipelines.settings import load_settings

app = typer.Typer(help="What the twin remembers, and why.", no_args_is_help=True)
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Reference = Annotated[str, typer.Argument(help="A memory's id, or its first digits.")]


@app.command(name="list")
def list_memories(
    *,
    type: Annotated[
        list[str] | None, typer.Option(help="Only of this type; may be repeated.")
    ] = None,
    status: Annotated[
        str, typer.Option(help="active, archived, merged, quarantined or forgotten.")
    ] = "active",
    about: Annotated[str | None, typer.Option(help="Only about this speaker.")] = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="Only what is pinned.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Memories, the weightiest first, whole with --json: messages, sources, reasons."""
    from twin_pipelines.commands.memory import list_table, listed

    found = listed(
        load_settings(), types=type or [], status=status, about=about, pinned=pinned, limit=limit
    )
    _echo(found.to_dicts()) if as_json else console.print(list_table(found))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="A question, or words, in any language.")],
    k: Annotated[int, typer.Option(min=1, help="How many.")] = 10,
    dreams: Annotated[
        bool, typer.Option("--dreams", help="Among dreams, which are imagined, instead.")
    ] = False,
    about: Annotated[str | None, typer.Option(help="Only about this speaker.")] = None,
    as_json: Json = False,
) -> None:
    """What the twin recalls; what is found counts as recalled and fades more slowly."""
    from twin_pipelines.commands.memory import found_json, search_table, searched

    found = searched(load_settings(), query, k, dreams=dreams, about=about)
    _echo(found_json(found)) if as_json else console.print(search_table(found))


@app.command()
def pin(memory: Reference, as_json: Json = False) -> None:
    """Keep a memory whatever happens; one that had faded comes back."""
    _pin(memory, keep=True, as_json=as_json)


@app.command()
def unpin(memory: Reference, as_json: Json = False) -> None:
    """Let a memory fade like any other again."""
    _pin(memory, keep=False, as_json=as_json)


@app.command()
def drop(memory: Reference, as_json: Json = False) -> None:
    """Never recall a memory again, nor what says the same; `undo` takes that back.

    The words stay in the history: `twin forget` erases them.
    """
    from twin_pipelines.commands.memory_owner import dropped

    done = dropped(load_settings(), memory)
    if as_json:
        _echo(asdict(done))
        return
    console.print(
        f"{len(done.memory_ids)} memories are recalled no more, {len(done.message_ids)} messages "
        f"are found no more; `twin memory undo {done.run_id}` takes it back.",
        soft_wrap=True,
    )


@app.command()
def correct(
    memory: Reference,
    text: Annotated[str, typer.Argument(help="What is true instead.")],
    as_json: Json = False,
) -> None:
    """Put your words in place of a memory; they are pinned, and it is recalled no more."""
    from twin_pipelines.commands.memory_owner import corrected

    done = corrected(load_settings(), memory, text)
    if as_json:
        _echo(asdict(done))
        return
    console.print(
        f"“{done.memory['content']}” is remembered instead, as {done.memory['memory_id'][:8]}; "
        f"`twin memory undo {done.run_id}` takes it back.",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def quarantine(
    release: Annotated[
        str | None, typer.Option(help="Let this memory out for good: its id or first digits.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What waits to be looked at, and why: instructions, sudden bursts, contradictions of pins."""
    from twin_pipelines.commands import memory_owner

    if release is None:
        found = memory_owner.waiting(load_settings())
        _echo(found.to_dicts()) if as_json else console.print(memory_owner.waiting_view(found))
        return
    memory = memory_owner.released(load_settings(), release)
    if as_json:
        _echo(memory)
    else:
        console.print(f"“{memory['content']}” may be recalled.", markup=False, soft_wrap=True)


@app.command()
def undo(
    run: Annotated[
        int | None, typer.Argument(help="Number of a run; without one the runs are listed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take back what a run did to memories, exactly; an undo can be undone too."""
    from twin_pipelines.commands.memory import runs, runs_table, undone

    if run is None:
        found = runs(load_settings())
        _echo(found.to_dicts()) if as_json else console.print(runs_table(found))
        return
    done = undone(load_settings(), run)
    if as_json:
        _echo(asdict(done))
        return
    left = f"; {done.left} could not go back, as their messages are gone" if done.left else ""
    console.print(
        f"Run {run} is taken back by run {done.run_id}: {done.restored} memories are as they were, "
        f"{done.returned} are back, {done.taken_back} are gone again{left}.",
        soft_wrap=True,
    )


@app.command()
def why(
    memory: Annotated[str, typer.Argument(help="A memory's id, or a question.")],
    as_json: Json = False,
) -> None:
    """Why a memory is recalled, promoted, archived, or not; in words and numbers."""
    from twin_pipelines.commands.memory import why as explained

    found = explained(load_settings(), memory)
    if as_json:
        _echo([one.as_dict() for one in found])
    else:
        console.print(
            "\n\n".join(one.words() for one in found) or "Nothing is remembered yet.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def forget(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and what search loses.")
    ] = False,
    half_life_days: Annotated[
        float | None, typer.Option(min=0.01, help="With --dry-run: instead of the setting.")
    ] = None,
    forget_below: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="With --dry-run: instead of the setting.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Archive what has faded; nothing is deleted, and it can be undone."""
    from twin_pipelines.commands.memory import forgetting, plan_view

    planned, run = forgetting(
        load_settings(), dry_run=dry_run, half_life_days=half_life_days, forget_below=forget_below
    )
    if as_json:
        done = None if run is None or not run.changed_anything else run.run_id
        _echo({**planned.as_dict(), "dry_run": dry_run, "run_id": done})
    else:
        console.print(plan_view(planned, run))


def _pin(reference: str, *, keep: bool, as_json: bool) -> None:
    from twin_pipelines.commands.memory import pinned

    memory = pinned(load_settings(), reference, keep=keep)
    if as_json:
        _echo(memory)
        return
    state = "stays whatever happens" if keep else "fades like any other"
    console.print(f"“{memory['content']}” {state}.", markup=False, soft_wrap=True)


def _echo(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
