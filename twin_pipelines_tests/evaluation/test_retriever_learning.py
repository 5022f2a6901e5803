"""A retriever is taught by past replies, judged on later ones, and let in only if it helps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.evaluation.bootstrap import Estimate
from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.evaluation.retriever import learn
from twin_pipelines.evaluation.retriever.contexts import Context, Past, drawn
from twin_pipelines.evaluation.retriever.labels import taught
from twin_pipelines.evaluation.retriever.learn import learned_retriever
from twin_pipelines.evaluation.retriever.trial import Trial, tried
from twin_pipelines.evaluation.retriever.verdict import judged
from twin_pipelines.evaluation.unseen import SeenError
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.local import Score
from twin_pipelines.generation.prompt import Message
from twin_pipelines.instruct.store import DatasetVersion
from twin_pipelines.retrieval.index.refresh import index_queued
from twin_pipelines.retrieval.learning import store
from twin_pipelines.retrieval.learning.fit import Fitted
from twin_pipelines.retrieval.learning.retriever import STOCK, Retriever
from twin_pipelines.settings import TwinError, TwinSettings

NOON = datetime(2018, 5, 7, 12, tzinfo=UTC)
THINGS = ("river", "mango", "violin", "kitten", "rocket", "teapot")
ASKED = "so what would you tell me of all that now"


class Axes:
    """A stand-in in which every question means the first thing, whatever is answered."""

    model_id = "axes@00000001"
    dimensions = 8

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        made = np.full((len(texts), self.dimensions), 0.01, dtype=np.float32)
        for row, text in enumerate(texts):
            for axis, thing in enumerate(THINGS):
                made[row, axis] += thing in text
            made[row, 0] += ASKED in text
        return made / np.linalg.norm(made, axis=1, keepdims=True)


class LikesMangoes:
    """A language model that finds a reply likely where its prompt tells of mangoes."""

    def __init__(self) -> None:
        self.asked = 0

    def tokens(self, replies: Sequence[str]) -> list[tuple[int, ...]]:
        return [tuple(range(len(reply.split()))) for reply in replies]

    def cut(self, conversation: Sequence[Message]) -> list[Message]:
        return list(conversation)

    def scores(
        self, conversations: Sequence[Any], candidates: Sequence[Any], what: str, room: int
    ) -> list[list[Score]]:
        self.asked += len(conversations)
        told = [part[0]["content"] for part in conversations]
        return [
            [Score(-20.0 + 5 * ("mango" in text), len(reply)) for reply in group]
            for text, group in zip(told, candidates, strict=True)
        ]


@pytest.fixture
def past(connection: psycopg.Connection) -> Past:
    """The subject told of six things, twice each, an hour apart; a chat of their own each."""
    connection.execute("insert into subjects values (true, 'ann', 'Ann', 'settings')")
    for number in range(2 * len(THINGS)):
        text = f"I once told you of the {THINGS[number % len(THINGS)]} number {number}"
        at = NOON + timedelta(hours=number)
        connection.execute(
            "insert into cleaned_messages values"
            " (%s, 'f', 'c', %s, 'ann', %s, %s, %s, %s, 0, 'en', 3, md5(%s), %s)",
            (
                UUID(int=100 + number),
                UUID(int=number + 1),
                *(text, at, at, at.date(), text),
                [UUID(int=500 + number)],
            ),
        )
    connection.commit()
    index_queued(connection, Axes())
    return Past(connection, Axes(), TwinSettings(), "ann")


def context(number: int, session: int = 900, hours: int = 48) -> Context:
    prompt: tuple[Message, ...] = (
        {"role": "system", "content": "reply as ann"},
        {"role": "user", "content": f"{ASKED}, number {number}"},
    )
    exchange = Exchange(
        str(UUID(int=1000 + number)),
        str(UUID(int=session + number)),
        prompt,
        "I like mangoes a lot",
    )
    return Context(exchange, NOON + timedelta(hours=hours))


def mango_seeker() -> Retriever:
    looks, moves = np.zeros((2, 1, Axes.dimensions), dtype=np.float32)
    looks[0, 0], moves[0, THINGS.index("mango")] = 3.0, 3.0
    return Retriever("seeker", Axes.model_id, looks, moves)


def test_labels_say_which_past_message_made_the_reply_likelier(past: Past) -> None:
    system: Any = LikesMangoes()
    lesson = taught(past, system, [context(number) for number in range(3)])
    gains = lesson.labels.gains
    assert gains.shape == (3, 8) and set(np.unique(gains)) == {0.0, 5.0}
    assert (lesson.labels.candidates[gains == 5.0].argmax(axis=1) == THINGS.index("mango")).all()
    assert system.asked == 3 * 9, "each context alone, and once with each message"
    assert lesson.pair_ids == [str(UUID(int=1000 + number)) for number in range(3)]
    assert set(lesson.message_ids) <= {str(UUID(int=500 + number)) for number in range(12)}


def test_a_context_with_hardly_any_past_teaches_nothing(past: Past) -> None:
    system: Any = LikesMangoes()
    assert taught(past, system, [context(0, hours=2), context(1)]).pair_ids == [
        context(1).exchange.pair_id
    ]


def test_only_what_was_said_before_and_elsewhere_is_tried(past: Past) -> None:
    early = past.recalled(context(1, hours=3), k=8, retriever=STOCK)
    assert len(early) == 3 and all(hit.sent_at < NOON + timedelta(hours=3) for hit in early)
    own = context(0, session=2)
    texts = [hit.text for hit in past.recalled(own, k=12, retriever=STOCK)]
    assert len(texts) == 11 and not any(text.endswith("mango number 1") for text in texts)


def test_a_trial_tells_what_recalling_otherwise_is_worth(past: Past) -> None:
    system: Any = LikesMangoes()
    contexts = [context(number, hours=5) for number in range(4)]
    same = tried(past, system, contexts, present=STOCK, learned=STOCK)
    assert same.changed == 0 and same.gain is not None
    assert (same.gain.value, same.gain.low, same.gain.high) == (0, 0, 0)
    contexts = [replace(one, replied_at=NOON + timedelta(hours=48)) for one in contexts]
    found = tried(past, system, contexts, present=STOCK, learned=mango_seeker())
    assert found.contexts == 4 and found.changed == 1
    assert found.gain is not None and found.gain.low >= 0
    assert found.as_dict()["gain"]["n"] == 4


def test_contexts_are_drawn_alike_by_time_and_say_something() -> None:
    exchanges = [context(number).exchange for number in range(20)]
    times = {one.pair_id: NOON - timedelta(hours=place) for place, one in enumerate(exchanges)}
    chosen = drawn(exchanges, times, 7)
    assert chosen == drawn(exchanges[::-1], times, 7)
    assert [one.replied_at for one in chosen] == sorted(one.replied_at for one in chosen)
    gone = times.pop(chosen[0].exchange.pair_id)
    assert gone not in {one.replied_at for one in drawn(exchanges, times, 20)}
    times |= {one.pair_id: NOON for one in exchanges}
    curt = replace(exchanges[0], reply="ok then")
    thai = replace(exchanges[1], reply="ฉันชอบกินมะม่วงมากที่สุดเลย")
    assert [one.exchange for one in drawn([curt, thai], times, 5)] == [thai]


FITTED = Fitted(np.ones((1, 8)), np.ones((1, 8)), 0.5, 0.4, 0.1, 1.0, 20)  # type: ignore[arg-type]
HELPS = Trial(
    contexts=100,
    changed=0.5,
    gain=Estimate(0.02, 0.01, 0.03, 100),
    recalling=None,
    questions=200,
    known=Estimate(0.0, -0.01, 0.01, 200),
    known_before=0.7,
)


@pytest.mark.parametrize(
    ("trial", "passed", "words"),
    [
        (HELPS, True, "+0.0200 nats per token"),
        (replace(HELPS, gain=Estimate(0.02, -0.001, 0.04, 100)), False, "nothing or harm"),
        (replace(HELPS, known=Estimate(0.0, -0.05, 0.05, 200)), False, "loss of more than 0.03"),
        (replace(HELPS, contexts=49), False, "50 are needed"),
        (replace(HELPS, questions=0, known=None), False, "no known item"),
        (replace(HELPS, contexts=0, gain=None), False, "50 are needed"),
        (None, False, "learned nothing"),
    ],
)
def test_the_gate_lets_in_only_what_surely_helps_and_surely_does_not_hurt(
    trial: Trial | None, passed: bool, words: str
) -> None:
    verdict = judged(FITTED, trial)
    assert verdict[0] is passed and words in verdict[1]
    assert judged(replace(FITTED, steps=0), trial)[0] is False


@pytest.fixture
def prepared(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Past, TwinSettings]:
    """A dataset whose replies are all likelier after mangoes; the model is the stand-in."""
    settings = TwinSettings(home=tmp_path)
    folder = tmp_path / "datasets" / "d1"
    folder.mkdir(parents=True)
    times: dict[str, datetime] = {}
    for split, numbers in (("train", range(60)), ("validation", range(100, 160))):
        rows = []
        for number in numbers:
            one = context(number).exchange
            times[one.pair_id] = NOON + timedelta(hours=48 + number)
            rows.append(
                {
                    "pair_id": one.pair_id,
                    "session_id": one.session_id,
                    "prompt": list(one.prompt),
                    "completion": [{"role": "assistant", "content": one.reply}],
                }
            )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made_from = DatasetVersion(
        *("d1", "ann", {}, 60, 60, 0, {}, NOON, NOON), PurePosixPath("datasets/d1")
    )
    monkeypatch.setattr(learn, "latest_dataset", lambda _: made_from)
    monkeypatch.setattr(learn, "reply_times", lambda *_: times)
    monkeypatch.setattr(
        learn, "message_ids", lambda _, pairs: {pair: [str(UUID(int=7))] for pair in pairs}
    )
    base = ResolvedModel("tiny", tmp_path, "0" * 64)
    monkeypatch.setattr(learn, "resolve_model", lambda *_, **__: base)
    monkeypatch.setattr(learn, "System", lambda *_, **__: LikesMangoes())
    return past, settings


def test_what_is_learned_is_judged_recorded_and_reused(
    prepared: tuple[Past, TwinSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    past, settings = prepared
    connection, said = past.connection, []
    found = learned_retriever(connection, past.encoder, settings, said.append)
    assert found.figures["contexts"] == 60 and found.figures["gains"]["best_mean_nats"] == 5.0
    assert found.figures["divergence"]["after"] < found.figures["divergence"]["before"]
    assert found.in_force is found.passed, found.verdict
    assert not found.passed and "nothing or harm" in found.verdict, "mangoes are recalled anyway"
    monkeypatch.setattr(learn, "_learned", lambda *_: pytest.fail("it was learned already"))
    again = learned_retriever(connection, past.encoder, settings, said.append)
    assert again.retriever_id == found.retriever_id
    assert store.withdraw(connection, [str(UUID(int=7))]) == [found.retriever_id]


def test_one_that_passes_is_in_force_at_once_and_the_next_is_compared_with_it(
    prepared: tuple[Past, TwinSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    past, settings = prepared
    connection = past.connection
    monkeypatch.setattr(learn, "judged", lambda *_: (True, "It helps."))
    found = learned_retriever(connection, past.encoder, settings, lambda _: None)
    assert found.in_force and store.in_force(connection) == found.retriever_id
    next_one = learned_retriever(connection, past.encoder, settings, lambda _: None)
    assert next_one.figures["compared_with"] == found.retriever_id
    for _ in range(2):
        store.roll_back(connection)
    connection.commit()
    again = learned_retriever(connection, past.encoder, settings, lambda _: None)
    assert again.retriever_id == found.retriever_id
    assert not again.in_force, "what was rolled back comes back only when it is asked for"


def test_nothing_is_kept_that_learned_from_messages_erased_meanwhile(
    prepared: tuple[Past, TwinSettings],
) -> None:
    past, settings = prepared
    past.connection.execute(
        "insert into erasures (erasure_id, kind, request_hash, asked_by)"
        " values (%s, 'message', 'h', 'ann')",
        [UUID(int=1)],
    )
    past.connection.execute(
        "insert into tombstones (ref, erasure_id) values (%s, %s)", [UUID(int=7), UUID(int=1)]
    )
    past.connection.commit()
    with pytest.raises(TwinError, match="were erased meanwhile"):
        learned_retriever(past.connection, past.encoder, settings, lambda _: None)
    past.connection.rollback()
    assert store.learned(past.connection) == []


def test_too_little_to_learn_from_and_a_leak_are_refused_in_a_sentence(
    prepared: tuple[Past, TwinSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    past, settings = prepared
    folder = settings.datasets_dir / "d1"
    train = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").write_text("\n".join(train.splitlines()[:20]))
    with pytest.raises(TwinError, match="Only 20 replies of dataset d1"):
        learned_retriever(past.connection, past.encoder, settings, lambda _: None)
    (folder / "validation.jsonl").write_text(train)
    with pytest.raises(SeenError, match="sessions of the evaluation set"):
        learned_retriever(past.connection, past.encoder, settings, lambda _: None)
    monkeypatch.setattr(learn, "latest_dataset", lambda _: None)
    with pytest.raises(TwinError, match="materialise instruct_dataset first"):
        learned_retriever(past.connection, past.encoder, settings, lambda _: None)
