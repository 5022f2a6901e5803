"""`twin forget`. It is thin: what it does stands in `commands.forget`."""

from __future__ import annotations

import getpass
import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from twin_pipelines.settings import TwinError, load_settings

console = Console()


def forget(
    *,
    message: Annotated[
        str | None, typer.Option(help="One message, by its id (message_ids of twin recall --json).")
    ] = None,
    conversation: Annotated[str | None, typer.Option(help="A conversation, by its name.")] = None,
    person: Annotated[str | None, typer.Option(help="All that somebody wrote.")] = None,
    source: Annotated[str | None, typer.Option(help="All of a source.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="From this day on; narrows the others too."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Up to this day; narrows the others too."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without, it is told what would go.")
    ] = False,
    reason: Annotated[
        str, typer.Option(help="Why; kept for good, so it may name nothing of it.")
    ] = "",
    keep_serving: Annotated[
        bool,
        typer.Option("--keep-serving", help="Let models that learnt it answer on; signed."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an erasure that was broken off.")
    ] = False,
    receipts: Annotated[bool, typer.Option("--receipts", help="List what was erased.")] = False,
    check: Annotated[
        str | None, typer.Option(help="Search every table and file for a text.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")] = False,
) -> None:
    """Erase messages and all that came of them, for good, with a receipt.

    What is named together must fit together: --person anna --since 2024-01-01 is what anna wrote
    since then. It stays out when it is imported or followed again. `twin memory forget` and `drop`
    are another thing: they hide a memory, and can be taken back.
    """
    settings = load_settings()
    if receipts:
        _receipts(as_json)
        return
    if check is not None:
        _check(check, as_json)
        return
    from twin_pipelines.automation.erasure.request import Request
    from twin_pipelines.commands import forget as command

    progress = Console(stderr=True) if as_json else console
    if resume:
        done = command.resume(settings, progress)
    else:
        request = Request(
            asked_by=getpass.getuser(),
            message=message,
            conversation=conversation,
            person=person,
            source=source,
            first_day=since.date() if since else None,
            last_day=until.date() if until else None,
            reason=reason,
            keep_serving=keep_serving,
        )
        if not yes:
            planned = command.plan(settings, request)
            if as_json:
                _echo(command.planned_json(planned))
                return
            console.print(command.planned_view(planned), soft_wrap=True)
            console.print("Nothing was changed; add --yes to do it. There is no way back.")
            return
        done = command.forget(settings, request, progress)
    if as_json:
        _echo({"dry_run": False, **command.told(done.erasure), "receipt": str(done.receipt)})
    else:
        console.print(command.done_view(done), soft_wrap=True)


def _receipts(as_json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from twin_pipelines.automation.erasure.receipt import receipts

    found = [asdict(one) for one in receipts(load_settings().home)]
    if as_json:
        _echo(found)
        return
    if not found:
        console.print("Nothing was erased yet.")
        return
    table = Table(*found[0], box=None, pad_edge=False)
    for one in found:
        table.add_row(*(str(value) for value in one.values()))
    console.print(table)


def _check(text: str, as_json: bool) -> None:
    from twin_pipelines.commands.forget import check

    found = check(load_settings(), text)
    if as_json:
        _echo(found.to_dict())
    else:
        for query in found.queries:
            console.print(str(query), highlight=False, markup=False, soft_wrap=True)
    if not found.passed:
        raise TwinError("It was found, see above; `twin forget` erases what says it.")
    console.print("It was found nowhere.") if not as_json else None


def _echo(found: Any) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
