"""`twin demo`: the whole graph on real human conversations, from nothing to a scoreboard."""

from __future__ import annotations

import time

import tomli_w
from rich.console import Console

from twin_pipelines.commands import runs
from twin_pipelines.commands.scoreboard import scoreboard
from twin_pipelines.commands.status import collect
from twin_pipelines.settings import TwinError, TwinSettings, load_settings

MARK = "# Written by `twin demo`; edit or delete it as you like.\n"


QUICK = {"training": {"max_steps": 120}, "evaluation": {"depth": "quick"}}


def demo(rank: int | None, speaker: str, console: Console, *, full: bool = False) -> bool:
    """Run everything on the chitchat package and print the scoreboard.

    Unless it is `full`, training is short and what takes another person's twin is not measured.

    Returns True when the whole graph ran through; a challenger that the gate refuses is
    a run through as well: the scoreboard says why. Raises TwinError when this state folder already
    holds somebody's own history.
    """
    started = time.monotonic()
    settings = _demo_settings(rank, speaker, full=full)
    with runs.open_twin(settings) as (instance, databases):
        first, last = settings.history_span()
        assert last is not None, "the demo's only source is a finished archive"
        runs.refresh(instance, first, last, console)
        console.print("[bold]Training, evaluation, release[/bold]")
        release = runs.train(instance, console, "demo")
        status = collect(settings, instance, databases)
    console.print(scoreboard(status))
    console.print(
        f"{time.monotonic() - started:.0f} s. `twin up` shows it; `twin report` tells it."
    )
    if not release.success and status["gate"]["passed"] is not False:
        raise TwinError(f"The release half failed: {'; '.join(release.failures)}.")
    return True


def _demo_settings(rank: int | None, speaker: str, *, full: bool) -> TwinSettings:
    settings = load_settings()
    foreign = [source.name for source in settings.sources if source.kind != "chitchat"]
    if foreign:
        raise TwinError(
            f"The settings name your own sources ({', '.join(foreign)}); the demo would mix "
            "strangers into them: run it with another TWIN_HOME and in another folder."
        )
    file = settings.home / "twin.toml"
    if file.exists() and not file.read_text().startswith(MARK):
        raise TwinError(f"{file} is yours; run the demo with another TWIN_HOME.")
    subject: dict[str, object] = {}
    if rank is not None:
        subject["rank"] = rank
    if speaker:
        subject["speaker"] = speaker
    content: dict[str, object] = {
        "sources": [{"name": "chitchat", "kind": "chitchat"}],
        **({"subject": subject} if subject else {}),
        **({} if full else QUICK),
    }
    settings.home.mkdir(parents=True, exist_ok=True)
    file.write_text(MARK + tomli_w.dumps(content))
    load_settings.cache_clear()
    return load_settings()
