"""What one evaluation needs to know, as a file that its process reads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.settings import Evaluation, Llm


@dataclass(frozen=True)
class Candidate:
    """An adapter on its base."""

    base: ResolvedModel
    adapter: Path | None  # None: the base as it is


@dataclass(frozen=True)
class Task:
    """One evaluation: where everything lies, and the settings that shape the figures."""

    folder: Path  # of the evaluation, made whole or not at all
    cache: Path  # answers of systems, kept between evaluations
    dataset: Path
    dataset_version: str
    speaker: str  # the subject, left out of the background
    twin: Candidate
    champion: Candidate | None
    settings: Evaluation
    min_reply_words: int  # of the subject's pairs; others' texts are filtered alike
    one_voice: dict[str, Any] | None  # docs/figures.md, measured when messages were landed
    leaks: dict[str, Any]  # what of the test set was trained on, see `leaks.Overlap`
    dtype: str = "auto"
    control: Candidate | None = None  # another person's adapter, of the same recipe
    recalled: dict[str, list[str]] | None = None  # own messages recalled, by the pair's identity
    barred: list[str] = field(default_factory=list)  # sessions that the champion was trained on
    llm: Llm = field(default_factory=Llm)  # a judge, where one is configured


def write_task(task: Task, path: Path) -> None:
    """Write a task so that `read_task` gives it back."""
    content: dict[str, Any] = {
        **vars(task),
        "folder": str(task.folder),
        "cache": str(task.cache),
        "dataset": str(task.dataset),
        "twin": _plain(task.twin),
        "champion": _plain(task.champion) if task.champion else None,
        "control": _plain(task.control) if task.control else None,
        "settings": task.settings.model_dump(mode="json"),
        "llm": task.llm.model_dump(mode="json"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def read_task(path: Path) -> Task:
    """The task of a file that `write_task` wrote."""
    content = json.loads(path.read_text())
    return Task(
        **{
            **content,
            "folder": Path(content["folder"]),
            "cache": Path(content["cache"]),
            "dataset": Path(content["dataset"]),
            "twin": _candidate(content["twin"]),
            "champion": _candidate(content["champion"]) if content["champion"] else None,
            "control": _candidate(content["control"]) if content["control"] else None,
            "settings": Evaluation(**content["settings"]),
            "llm": Llm(**content["llm"]),
        }
    )


def _plain(candidate: Candidate) -> dict[str, str]:
    base = candidate.base
    return {
        "reference": base.reference,
        "path": str(base.path),
        "sha256": base.sha256,
        "adapter": str(candidate.adapter or ""),
    }


def _candidate(content: dict[str, str]) -> Candidate:
    base = ResolvedModel(content["reference"], Path(content["path"]), content["sha256"])
    return Candidate(base, Path(content["adapter"]) if content["adapter"] else None)
