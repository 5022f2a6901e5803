"""The frozen evaluation set: which unseen exchanges every figure is computed on.

Chosen from the test split alone, by a hash of the pair's identity, so that a pair keeps its place
whatever else the dataset holds. The train split can be asked for only under its own name, for the
things that need it (teaching a verifier, example replies, finding copies); it never becomes a
question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_pipelines.generation.prompt import Message
from twin_pipelines.settings import TwinError


@dataclass(frozen=True)
class Exchange:
    """A conversation up to the partner's message, and the subject's real reply."""

    pair_id: str
    session_id: str
    prompt: tuple[Message, ...]  # system message first, ends with the user
    reply: str

    @property
    def input(self) -> str:
        """The partner's message."""
        return self.prompt[-1]["content"]


@dataclass(frozen=True)
class FrozenSet:
    """Unseen exchanges: the first are generated to, all are ranked and scored."""

    version: str
    dataset_version: str
    exchanges: tuple[Exchange, ...]
    generated: int

    @property
    def to_generate(self) -> tuple[Exchange, ...]:
        """The exchanges that systems write replies to."""
        return self.exchanges[: self.generated]

    @property
    def sessions(self) -> int:
        """How many sessions the exchanges come from."""
        return len({exchange.session_id for exchange in self.exchanges})


def freeze(folder: Path, dataset_version: str, *, replies: int, ranked: int) -> FrozenSet:
    """The frozen set of a dataset folder: at most max(replies, ranked) exchanges of its test split.

    Raises TwinError when the test split is missing, empty, or holds a row that names another split.
    """
    rows = read_split(folder, "test")
    if not rows:
        raise TwinError(
            f"The test split of dataset {dataset_version} is empty, so nothing can be evaluated; "
            "import more history or raise dataset.test_share."
        )
    strangers = sorted({str(row["split"]) for row in rows if row.get("split", "test") != "test"})
    if strangers:
        raise TwinError(
            f"{folder / 'test.jsonl'} holds {', '.join(strangers)} rows; only the test split may "
            "be evaluated on, rebuild the dataset."
        )
    rows.sort(key=lambda row: hashlib.sha256(str(row["pair_id"]).encode()).hexdigest())
    chosen = tuple(exchange(row) for row in rows[: max(replies, ranked)])
    content = json.dumps([[item.pair_id, item.prompt, item.reply] for item in chosen])
    digest = hashlib.sha256(f"{replies}/{ranked}/{content}".encode()).hexdigest()
    return FrozenSet(digest[:12], dataset_version, chosen, min(replies, len(chosen)))


def train_exchanges(folder: Path) -> list[Exchange]:
    """The train split without planted canaries: what may have been learnt, never a question."""
    return [exchange(row) for row in read_split(folder, "train") if not row.get("canary")]


def exchange(row: Mapping[str, Any]) -> Exchange:
    """A dataset row as an exchange."""
    return Exchange(
        pair_id=str(row["pair_id"]),
        session_id=str(row["session_id"]),
        prompt=tuple({"role": part["role"], "content": part["content"]} for part in row["prompt"]),
        reply=str(row["completion"][0]["content"]),
    )


def read_split(folder: Path, split: str) -> list[dict[str, Any]]:
    """Rows of one split of a dataset folder. Raises TwinError when the file is missing."""
    path = folder / f"{split}.jsonl"
    if not path.exists():
        raise TwinError(f"{path} is missing; materialise instruct_dataset again before evaluating.")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
