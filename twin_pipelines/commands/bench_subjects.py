"""`twin bench subjects`: the whole recipe on several people and seeds, no setting changed between.

Each person gets a state folder of their own and runs through the same commands a user would type.
Somebody whose account fails the one-voice test is reported as such and left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.settings import TwinError, TwinSettings

SOURCES = json.dumps([{"name": "chitchat", "kind": "chitchat"}])
FIRST_SEED = 7
FIGURES: Mapping[str, tuple[str, ...]] = {
    "style consistency": ("style_consistency",),
    "masked": ("style_consistency", "masked"),
    "base": ("style_consistency", "base"),
    "another person's twin": ("style_consistency", "another_person"),
    "person-specific gain": ("person_specific_gain",),
    "style realism": ("style_realism",),
    "hits@1/20": ("pick_real_reply", "twin", "hits1_of_20"),
    "hits@1/20 of the base": ("pick_real_reply", "base", "hits1_of_20"),
    "hits@1/20 beyond the base": ("context", "hits20_beyond_base"),
    "copies beyond human": ("memorisation", "beyond_human"),
    "personality": ("personality",),
    "traits": ("personality", "parts", "traits"),
    "preferences": ("personality", "parts", "preferences"),
    "facts": ("personality", "parts", "facts"),
    "manner": ("personality", "parts", "manner"),
}


@dataclass(frozen=True)
class Trial:
    """One person's twin of one seed: the figures of its evaluation."""

    rank: int
    seed: int
    metrics: Mapping[str, Any]


def subjects(settings: TwinSettings, ranks: Sequence[int], seeds: int) -> dict[str, Any]:
    """Run every person and seed; returns the figures by rank, and who was left out and why.

    Raises TwinError when a command fails.
    """
    left_out: dict[int, str] = {}
    trials: list[Trial] = []
    controls = settings.home / "bench" / "controls"
    for rank in ranks:
        home = settings.home / "bench" / f"rank-{rank}"
        environment = _environment(home, rank)
        _twin(environment, "refresh")
        pairs = json.loads(_twin(environment, "status", "--json"))["instruct_pairs"]
        if pairs["shared_account"]:
            left_out[rank] = "fails the one-voice test: a shared account"
            continue
        _share(controls, home / "adapters" / "controls")
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            _twin({**environment, "TWIN_TRAINING__SEED": str(seed)}, "train")
            trials.append(Trial(rank, seed, _latest_metrics(home)))
        _share(home / "adapters" / "controls", controls)
    return {
        "seeds": seeds,
        "left_out": {str(rank): why for rank, why in left_out.items()},
        "subjects": {
            str(rank): dict(_figures([one for one in trials if one.rank == rank]))
            for rank in dict.fromkeys(one.rank for one in trials)
        },
    }


def _figures(trials: Sequence[Trial]) -> Iterator[tuple[str, Any]]:
    for name, path in FIGURES.items():
        found = [_at(one.metrics, path) for one in trials]
        known = [one for one in found if one and one.get("value") is not None]
        bounds = [one["ci95"] for one in known if one.get("ci95") and None not in one["ci95"]]
        yield (
            name,
            {
                "mean": mean(one["value"] for one in known) if known else None,
                "by_seed": [one["value"] if one else None for one in found],
                "ci95": [min(low for low, _ in bounds), max(high for _, high in bounds)]
                if bounds
                else None,
            },
        )
    yield (
        "judge AUC per reply",
        {
            "by_seed": [
                (_at(one.metrics, ("style_realism", "indistinguishability")) or {})
                .get("auc_per_reply", {})
                .get("twin")
                for one in trials
            ]
        },
    )


def _environment(home: Path, rank: int) -> dict[str, str]:
    return {
        **os.environ,
        "TWIN_HOME": str(home),
        "TWIN_SUBJECT__RANK": str(rank),
        "TWIN_SOURCES": SOURCES,
    }


def _twin(environment: Mapping[str, str], *arguments: str) -> str:
    """What a `twin` command prints; what it tells on the way goes to this program's stderr."""
    show = None if arguments[0] == "status" else sys.stderr
    command = [sys.executable, "-m", "twin_pipelines.cli", *arguments]
    done = subprocess.run(
        command, env=dict(environment), check=False, text=True, stdout=show or subprocess.PIPE
    )
    if done.returncode:
        home = environment["TWIN_HOME"]
        raise TwinError(f"`twin {' '.join(arguments)}` failed in {home}; its words stand above.")
    return done.stdout or ""


def _latest_metrics(home: Path) -> Mapping[str, Any]:
    found = sorted((home / "evaluations").glob("*/metrics.json"), key=lambda p: p.stat().st_mtime)
    return read_json(found[-1])


def _share(source: Path, target: Path) -> None:
    """Let the twin of another person, which is the same for everybody, be trained once."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


def _at(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
