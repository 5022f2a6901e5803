"""`twin blind`: a page on which the owner picks their real reply among real, twin and base."""

from __future__ import annotations

import secrets
from functools import partial

from rich.console import Console

from twin_pipelines.commands.serve import HOST, listening, run_server
from twin_pipelines.evaluation.store import latest_evaluation
from twin_pipelines.foundation.database import connect, open_databases
from twin_pipelines.serving.blind import read_items
from twin_pipelines.settings import TwinError, TwinSettings


def blind(settings: TwinSettings, port: int, console: Console) -> None:
    """Serve the page for the current evaluation until Ctrl-C or SIGTERM.

    Raises TwinError when nothing was evaluated yet, or the evaluation's replies are gone.
    """
    from twin_pipelines.serving.blind_page import Trial, create_page

    with open_databases(settings) as databases, listening(settings, port) as listener:
        with connect(databases.twin) as connection:
            measured = latest_evaluation(connection)
        if measured is None:
            raise TwinError(
                "Nothing was evaluated yet, so there is nothing to compare; run `twin train`."
            )
        items = read_items(settings.home / measured.path, measured.evaluation_id)
        trial = Trial(measured.evaluation_id, measured.adapter_id, items)
        token = secrets.token_urlsafe(24)
        page = create_page(trial, partial(connect, databases.twin), token, settings.evaluation)
        console.print(
            f"{len(items)} contexts wait. Open this address, and Ctrl-C when you are done:"
        )
        address = f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"
        console.print(address, soft_wrap=True, highlight=False)
        run_server(page, listener)
    console.print("Stopped.")
