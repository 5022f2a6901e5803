"""A cross-encoder has the last word while its time lasts, and what it did not read is told so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from twin_pipelines.retrieval import rerank
from twin_pipelines.retrieval.find import Question, find
from twin_pipelines.retrieval.records import Hit
from twin_pipelines.retrieval.rerank import AT_ONCE, NOT_READ, reranked
from twin_pipelines.settings import Retrieval, TwinError, TwinSettings
from twin_pipelines_tests.retrieval.searched_history import ENCODER, HISTORY, add_turns, index_all
from twin_pipelines_tests.tiny_model import build_tiny_tokenizer

THEN = datetime(2018, 5, 7, tzinfo=UTC)


def hit(number: int, boost: float = 1.0) -> Hit:
    return Hit(
        *("turn", str(number), f"text {number}", "ann", "message", "s", THEN, THEN, ("r",)),
        *(-float(number), {}, boost, 0.5, False, False, "fits"),
    )


class LaterIsBetter:
    """Likes high numbers, and takes its time by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now = seconds, 0.0

    def predict(self, sentences: list[tuple[str, str]], **settings: Any) -> list[float]:
        self.now += self.seconds
        return [float(text.split()[-1]) for _, text in sentences]


def settings_with(budget_ms: float, model: str = "given") -> TwinSettings:
    return TwinSettings(retrieval=Retrieval(reranker=model, rerank_ms=budget_ms))


def test_all_are_read_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LaterIsBetter(0.001)
    monkeypatch.setattr(rerank, "load_cross_encoder", lambda _: model)
    found = reranked("q", [hit(n) for n in range(20)], settings_with(1_000), lambda: model.now)
    assert [one.ref for one in found] == [str(n) for n in reversed(range(20))]
    assert all(NOT_READ not in one.why for one in found)


def test_when_the_time_is_over_the_rest_keeps_its_order_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = LaterIsBetter(0.020)
    monkeypatch.setattr(rerank, "load_cross_encoder", lambda _: model)
    found = reranked("q", [hit(n) for n in range(30)], settings_with(50), lambda: model.now)
    read = 2 * AT_ONCE
    assert [one.ref for one in found[:read]] == [str(n) for n in reversed(range(read))]
    assert [one.ref for one in found[read:]] == [str(n) for n in range(read, 30)]
    assert all(one.why == f"fits; {NOT_READ}" for one in found[read:])
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert model.now <= 0.050


def test_the_first_are_always_read_and_a_boost_decides_between_equals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Even(LaterIsBetter):
        def predict(self, sentences: list[tuple[str, str]], **settings: Any) -> list[float]:
            super().predict(sentences)
            return [0.5] * len(sentences)

    model = Even(10.0)
    monkeypatch.setattr(rerank, "load_cross_encoder", lambda _: model)
    found = reranked("q", [hit(1, 0.9), hit(2, 1.1)], settings_with(1), lambda: model.now)
    assert [one.ref for one in found] == ["2", "1"]
    assert reranked("q", [], settings_with(1)) == []


@pytest.fixture(scope="module")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real cross-encoder of random weights, saved as a user would have it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross")
    tokenizer = build_tiny_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=2_048,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id or 0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    yield folder
    rerank._load.cache_clear()


def test_a_real_cross_encoder_reorders_what_is_found(
    connection: psycopg.Connection, tiny_cross_encoder: Path, twin_home: TwinSettings
) -> None:
    add_turns(connection, HISTORY)
    index_all(connection)
    chosen = Retrieval(reranker=str(tiny_cross_encoder), rerank_ms=60_000)
    settings = twin_home.model_copy(update={"retrieval": chosen})
    [plain] = find(connection, ENCODER, [Question("the dog")], k=8, settings=twin_home)
    [found] = find(connection, ENCODER, [Question("the dog")], k=8, settings=settings)
    model = rerank.load_cross_encoder(settings)
    scores = dict(
        zip(
            (one.ref for one in plain),
            model.predict([("the dog", one.text) for one in plain], show_progress_bar=False),
            strict=True,
        )
    )
    assert {one.ref for one in found} == {one.ref for one in plain}
    ordered = [scores[one.ref] for one in found]
    assert ordered == pytest.approx(sorted(ordered, reverse=True), abs=0.11), "but for the boost"


def test_a_folder_that_is_no_cross_encoder_is_refused_in_a_sentence(
    tmp_path: Path, twin_home: TwinSettings
) -> None:
    chosen = Retrieval(reranker=str(tmp_path))
    settings = twin_home.model_copy(update={"retrieval": chosen})
    with pytest.raises(TwinError, match=r"config\.json"):
        reranked("q", [hit(1)], settings)
