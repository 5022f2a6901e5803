"""The frozen evaluation set: which unseen exchanges every figure is computed on.

Chosen from the test split alone, by a hash of the pair's identity, so that a pair keeps its place
whatever else the dataset holds. The train split can be asked for only under its own name, for the
things that need it (teaching a verifier, example replies, finding copies); it never becomes a
question. Freezing raises SeenError when anything of the test split was learnt from: by a model
(train, validation, or what a training recorded) or by a threshold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_pipelines.evaluation.unseen import long_texts, refuse_shared
from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.generation.prompt import Message
from twin_pipelines.instruct.preferences import FILE as PREFERENCES_FILE
from twin_pipelines.instruct.preferences import read_preferences
from twin_pipelines.instruct.thresholds import ROWS_FILE
from twin_pipelines.settings import TwinError

LEARNT_SPLITS = ("train", "validation")
TRAINING = "training.json"  # beside an adapter's weights
LEARNT = "learnt"  # in it, where a training says what it read: {"pairs": [...], "sessions": [...]}


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

    @property
    def said(self) -> str:
        """Message and reply in small letters, one space between words."""
        return " ".join(f"{self.input} {self.reply}".casefold().split())


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


def freeze(
    folder: Path,
    dataset_version: str,
    *,
    replies: int,
    ranked: int,
    adapter: Path | None = None,
    barred: Collection[str] = (),
) -> FrozenSet:
    """The frozen set of a dataset folder: at most max(replies, ranked) exchanges of its test split.

    `adapter` holds the twin's weights; what its training recorded as read is refused too. Sessions
    in `barred` (a champion's training sessions) are left out. Raises TwinError when the test split
    is missing, empty, or holds a row that names another split; SeenError when something learnt from
    it.
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
    kept = [row for row in rows if str(row["session_id"]) not in barred]
    if not kept:
        raise TwinError(
            f"The champion was trained on every test session of dataset {dataset_version}, so they "
            "cannot be compared; import newer history."
        )
    kept.sort(key=lambda row: hashlib.sha256(str(row["pair_id"]).encode()).hexdigest())
    chosen = tuple(exchange(row) for row in kept[: max(replies, ranked)])
    refuse_seen(chosen, folder, adapter)
    content = json.dumps([[item.pair_id, item.prompt, item.reply] for item in chosen])
    digest = hashlib.sha256(f"{replies}/{ranked}/{content}".encode()).hexdigest()
    return FrozenSet(digest[:12], dataset_version, chosen, min(replies, len(chosen)))


def refuse_seen(asked: Sequence[Exchange], folder: Path, adapter: Path | None = None) -> None:
    """Raise SeenError when a pair, a session or a whole exchange asked about was learnt from.

    Looked for in the train and validation splits of the dataset folder, in its preference pairs, in
    the rows that its thresholds were computed on, and in what the training of `adapter` recorded.
    """
    for split in LEARNT_SPLITS:
        if (folder / f"{split}.jsonl").exists():
            learnt = [exchange(row) for row in read_split(folder, split)]
            where = f"the {split} split"
            _refuse(
                asked, (one.pair_id for one in learnt), (one.session_id for one in learnt), where
            )
            said = long_texts(one.said for one in learnt)
            refuse_shared(long_texts(one.said for one in asked), said, "whole exchanges", where)
    if (folder / PREFERENCES_FILE).exists():
        preferred = read_preferences(folder)
        where = "the preference pairs"
        _refuse(asked, (str(row["id"]) for row in preferred), (), where)
        texts = (f"{one['prompt'][-1]['content']} {_content(one['chosen'])}" for one in preferred)
        answered = long_texts(" ".join(text.casefold().split()) for text in texts)
        refuse_shared(long_texts(one.said for one in asked), answered, "whole exchanges", where)
    if (folder / ROWS_FILE).exists():
        import polars as pl

        rows = pl.read_parquet(folder / ROWS_FILE, columns=["pair_id", "session_id"])
        _refuse(asked, rows["pair_id"], rows["session_id"], "the rows its thresholds come from")
    if adapter is not None:
        recorded = read_json(adapter.parent / TRAINING).get(LEARNT, {})
        where = f"what the training of {adapter.parent.name} read"
        _refuse(asked, recorded.get("pairs", ()), recorded.get("sessions", ()), where)


def _refuse(
    asked: Sequence[Exchange], pairs: Iterable[str], sessions: Iterable[str], where: str
) -> None:
    refuse_shared((one.pair_id for one in asked), map(str, pairs), "pairs", where)
    refuse_shared((one.session_id for one in asked), map(str, sessions), "sessions", where)


def train_exchanges(folder: Path) -> list[Exchange]:
    """The subject's train split: what may have been learnt, never a question.

    Without planted canaries, and without rehearsed chats of others.
    """
    return [
        exchange(row)
        for row in read_split(folder, "train")
        if not row.get("canary") and not row.get("rehearsal")
    ]


def exchange(row: Mapping[str, Any]) -> Exchange:
    """A dataset row as an exchange."""
    return Exchange(
        pair_id=str(row["pair_id"]),
        session_id=str(row["session_id"]),
        prompt=tuple({"role": part["role"], "content": part["content"]} for part in row["prompt"]),
        reply=_content(row["completion"]),
    )


def _content(spoken: Sequence[Mapping[str, Any]]) -> str:
    return str(spoken[0]["content"])


def read_split(folder: Path, split: str) -> list[dict[str, Any]]:
    """Rows of one split of a dataset folder. Raises TwinError when the file is missing."""
    path = folder / f"{split}.jsonl"
    if not path.exists():
        raise TwinError(f"{path} is missing; materialise instruct_dataset again before evaluating.")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]
