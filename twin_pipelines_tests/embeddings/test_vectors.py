"""Only what is new or changed is embedded, no other model's vector is lost, and search finds."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import psycopg
import pytest

from twin_pipelines.embeddings import refresh as refreshing
from twin_pipelines.embeddings import store
from twin_pipelines.embeddings.assets import message_embeddings
from twin_pipelines.embeddings.checks import (
    every_turn_embedded,
    thai_meets_english,
    unit_vectors,
)
from twin_pipelines.embeddings.encoder import Progress, Vectors, load_encoder
from twin_pipelines.embeddings.refresh import refresh
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.settings import TwinSettings

MONDAY, TUESDAY, FRIDAY = date(2018, 5, 7), date(2018, 5, 8), date(2018, 5, 11)
WEEK = DayRange(MONDAY, FRIDAY)


class CountingEncoder:
    """A deterministic stand-in: a text's vector is drawn from its hash; remembers what it saw."""

    def __init__(self, model_id: str = "stub@00000001", dimensions: int = 32) -> None:
        self.model_id = model_id
        self.dimensions = dimensions
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self.seen += texts
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            seed = int(hashlib.md5(f"{self.model_id}{text}".encode()).hexdigest()[:8], 16)
            vectors[row] = np.random.default_rng(seed).normal(size=self.dimensions)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if texts else vectors


def add_turns(connection: psycopg.Connection, day: date, *texts: str) -> list[UUID]:
    """Turns of one session on the day; returns their ids."""
    ids = [uuid4() for _ in texts]
    sent_at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    with connection.cursor() as cursor:
        columns = [
            row[0]
            for row in cursor.execute(
                "select column_name from information_schema.columns"
                " where table_name = 'cleaned_messages' and is_nullable = 'NO'"
            )
        ]
        values: dict[str, object] = {
            "source": "file",
            "conversation_id": "c",
            "session_id": uuid4(),
            "speaker": "ann",
            "sent_at": sent_at,
            "ended_at": sent_at,
            "day": day,
            "language": "en",
            "raw_ids": [],
        }
        for number, (turn, text) in enumerate(zip(ids, texts, strict=True)):
            content_hash = hashlib.md5(text.encode()).hexdigest()
            row = {**values, "id": turn, "text": text, "content_hash": content_hash}
            names = ", ".join(columns)
            marks = ", ".join(["%s"] * len(columns))
            cursor.execute(
                f"insert into cleaned_messages ({names}) values ({marks})",
                [row.get(column, number) for column in columns],
            )
    connection.commit()
    return ids


def change_text(connection: psycopg.Connection, turn: UUID, text: str) -> None:
    connection.execute(
        "update cleaned_messages set text = %s, content_hash = md5(%s) where id = %s",
        [text, text, turn],
    )
    connection.commit()


def vectors_of(connection: psycopg.Connection, model: str) -> dict[UUID, str]:
    rows = connection.execute(
        "select message_id, embedding::text from message_embeddings where model = %s", [model]
    )
    return dict(rows.fetchall())


def embed(
    connection: psycopg.Connection, encoder: CountingEncoder, days: DayRange = WEEK
) -> refreshing.Refreshed:
    encoder.seen.clear()
    return refresh(connection, days, encoder, lambda done, total: None)


def test_identical_texts_are_embedded_once(connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, "ok", "ok", "see you")
    add_turns(connection, TUESDAY, "ok")
    encoder = CountingEncoder()
    done = embed(connection, encoder)
    assert sorted(encoder.seen) == ["ok", "see you"]
    assert (done.turns, done.embedded, done.reused) == (4, 2, 2)
    assert len(vectors_of(connection, encoder.model_id)) == 4


def test_known_text_on_a_new_day_needs_no_model(connection: psycopg.Connection) -> None:
    encoder = CountingEncoder()
    (monday,) = add_turns(connection, MONDAY, "good night")
    embed(connection, encoder)
    (friday,) = add_turns(connection, FRIDAY, "good night")
    done = embed(connection, encoder)
    vectors = vectors_of(connection, encoder.model_id)
    assert encoder.seen == []
    assert (done.turns, done.reused, done.texts_per_second) == (1, 1, None)
    assert vectors[monday] == vectors[friday]


def test_second_run_does_nothing(connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, "a", "b")
    encoder = CountingEncoder()
    embed(connection, encoder)
    before = vectors_of(connection, encoder.model_id)
    done = embed(connection, encoder)
    assert (done.turns, encoder.seen) == (0, [])
    assert vectors_of(connection, encoder.model_id) == before


def test_only_the_changed_text_is_embedded_again(connection: psycopg.Connection) -> None:
    kept, changed = add_turns(connection, MONDAY, "stays", "changes")
    encoder = CountingEncoder()
    embed(connection, encoder)
    before = vectors_of(connection, encoder.model_id)
    change_text(connection, changed, "was changed")
    embed(connection, encoder)
    after = vectors_of(connection, encoder.model_id)
    assert encoder.seen == ["was changed"]
    assert after[kept] == before[kept]
    assert after[changed] != before[changed]


def test_other_model_embeds_anew_and_deletes_nothing(connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, "a", "b")
    first, second = CountingEncoder("m@1"), CountingEncoder("m@2", dimensions=8)
    embed(connection, first)
    before = vectors_of(connection, "m@1")
    embed(connection, second)
    assert sorted(second.seen) == ["a", "b"]
    assert vectors_of(connection, "m@1") == before
    assert len(vectors_of(connection, "m@2")) == 2


def test_days_outside_the_range_are_left_alone(connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, "a")
    (friday,) = add_turns(connection, FRIDAY, "b")
    encoder = CountingEncoder()
    embed(connection, encoder, DayRange(MONDAY, TUESDAY))
    assert friday not in vectors_of(connection, encoder.model_id)


def test_vectors_survive_half_precision(connection: psycopg.Connection) -> None:
    (turn,) = add_turns(connection, MONDAY, "a")
    encoder = CountingEncoder()
    embed(connection, encoder)
    row = connection.execute(
        "select embedding from message_embeddings where message_id = %s", [turn]
    ).fetchone()
    assert row is not None
    assert np.allclose(row[0].to_numpy(), encoder.encode(["a"])[0], atol=1e-3)


def test_killed_run_keeps_finished_days(
    connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice that was under way leaves nothing; the next run takes only what is missing."""
    monkeypatch.setattr(refreshing, "SLICE_TURNS", 1)
    add_turns(connection, MONDAY, "a")
    add_turns(connection, FRIDAY, "b")

    class Dying(CountingEncoder):
        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
            if "b" in texts:
                raise KeyboardInterrupt
            return super().encode(texts, progress)

    with pytest.raises(KeyboardInterrupt), connect(database_url) as dying:
        embed(dying, Dying())
    assert len(vectors_of(connection, "stub@00000001")) == 1
    encoder = CountingEncoder()
    embed(connection, encoder)
    assert encoder.seen == ["b"]


def test_a_day_too_big_for_memory_is_embedded_in_parts(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "SLICE_TEXTS", 3)
    add_turns(connection, MONDAY, *(f"text {number}" for number in range(9)), "text 0")
    encoder = CountingEncoder()
    done = embed(connection, encoder)
    assert len(encoder.seen) == 9
    assert (done.turns, done.embedded) == (10, 9)


def test_progress_counts_turns_up_to_the_total(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshing, "SLICE_TURNS", 2)
    add_turns(connection, MONDAY, "a", "b")
    add_turns(connection, FRIDAY, "a", "c")
    heard: list[tuple[int, int]] = []
    refresh(connection, WEEK, CountingEncoder(), lambda *told: heard.append(told))
    assert heard == [(2, 4), (4, 4)]


def test_deleted_turn_takes_its_vector_along(connection: psycopg.Connection) -> None:
    (turn,) = add_turns(connection, MONDAY, "a")
    encoder = CountingEncoder()
    embed(connection, encoder)
    connection.execute("delete from cleaned_messages where id = %s", [turn])
    connection.commit()
    assert vectors_of(connection, encoder.model_id) == {}


def test_embedded_fraction_counts_only_current_vectors(connection: psycopg.Connection) -> None:
    assert store.embedded_fraction(connection) is None
    first, *_ = add_turns(connection, MONDAY, "a", "b", "c", "d")
    assert store.embedded_fraction(connection) == 0
    encoder = CountingEncoder()
    embed(connection, encoder)
    assert store.embedded_fraction(connection) == 1
    assert store.embedded_fraction(connection, encoder.model_id) == 1
    assert store.embedded_fraction(connection, "other@1") == 0
    change_text(connection, first, "e")
    assert store.embedded_fraction(connection) == 0.75


# search -----------------------------------------------------------------------------------------


def test_nearest_finds_the_text_itself_first(connection: psycopg.Connection) -> None:
    texts = [f"text {number}" for number in range(300)]
    ids = add_turns(connection, MONDAY, *texts)
    encoder = CountingEncoder()
    embed(connection, encoder)
    found = store.nearest(connection, encoder.model_id, encoder.encode(["text 7"])[0], 5)
    assert found[0][0] == ids[7]
    assert found[0][1] == pytest.approx(1, abs=1e-3)
    similarities = [similarity for _, similarity in found]
    assert similarities == sorted(similarities, reverse=True)
    assert len(found) == 5


def test_search_uses_the_index_of_its_model(connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, *(f"text {number}" for number in range(300)))
    encoder, other = CountingEncoder("m@1"), CountingEncoder("m@2", dimensions=8)
    for each in (encoder, other):
        assert embed(connection, each).index_made
        assert not embed(connection, each).index_made
    assert store.index_name("m@1") != store.index_name("m@2")
    connection.execute("set enable_seqscan = off; set enable_sort = off; analyze")
    plan = connection.execute(
        "explain select message_id from message_embeddings where model = 'm@1'"
        " order by (embedding::halfvec(32)) <=> array_fill(1, array[32])::halfvec(32) limit 3"
    ).fetchall()
    assert store.index_name("m@1") in str(plan)
    assert len(store.nearest(connection, "m@2", other.encode(["text 1"])[0], 300)) == 300


def test_many_new_vectors_build_the_index_anew(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding to an HNSW index costs milliseconds a row; a big import must not pay that."""
    monkeypatch.setattr(refreshing, "REBUILD_TURNS", 3)
    encoder = CountingEncoder()
    add_turns(connection, MONDAY, *(f"old {number}" for number in range(20)))
    embed(connection, encoder)
    add_turns(connection, TUESDAY, "new 1", "new 2", "new 3")
    assert not embed(connection, encoder).index_made, "3 of 20 are few"
    add_turns(connection, FRIDAY, *(f"newer {number}" for number in range(9)))
    assert embed(connection, encoder).index_made


def test_two_runs_make_one_index(connection: psycopg.Connection, database_url: str) -> None:
    add_turns(connection, MONDAY, "a")
    embed(connection, CountingEncoder())
    connection.execute(f"drop index {store.index_name('stub@00000001')}")
    connection.commit()
    made: list[bool] = []

    def make() -> None:
        with connect(database_url) as own:
            made.append(store.ensure_index(own, "stub@00000001", 32))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False, False, False, True]


def test_vectors_too_long_for_an_index_are_searched_without(
    connection: psycopg.Connection,
) -> None:
    (turn,) = add_turns(connection, MONDAY, "a")
    encoder = CountingEncoder(dimensions=store.INDEX_LIMIT + 1)
    assert not embed(connection, encoder).index_made
    found = store.nearest(connection, encoder.model_id, encoder.encode(["a"])[0], 1)
    assert found[0][0] == turn


# the asset and its checks -----------------------------------------------------------------------

CHECKS = [every_turn_embedded, unit_vectors, thai_meets_english]


def materialize(settings: TwinSettings) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [message_embeddings, *CHECKS],
        resources={"twin": TwinResource()},
        tags={
            "dagster/asset_partition_range_start": MONDAY.isoformat(),
            "dagster/asset_partition_range_end": FRIDAY.isoformat(),
        },
    )


def test_asset_embeds_a_range_and_passes_its_checks(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    add_turns(connection, MONDAY, "hello", "สวัสดีครับ")
    add_turns(connection, FRIDAY, "hello")
    result = materialize(twin_home)
    events = {
        event.partition: {key: value.value for key, value in event.metadata.items()}
        for event in result.asset_materializations_for_node("message_embeddings")
    }
    assert {day: event["dagster/partition_row_count"] for day, event in events.items()} == {
        "2018-05-07": 2,
        "2018-05-08": 0,
        "2018-05-09": 0,
        "2018-05-10": 0,
        "2018-05-11": 1,
    }
    metadata = events["2018-05-07"]
    assert (metadata["vectors_written"], metadata["embedded"], metadata["reused"]) == (3, 2, 1)
    assert metadata["model"] == load_encoder(twin_home).model_id
    passed = {each.check_name: each.passed for each in result.get_asset_check_evaluations()}
    assert passed == dict.fromkeys(
        ["every_turn_embedded", "unit_vectors", "thai_meets_english"], True
    )


def test_asset_without_turns_is_no_failure(twin_home: TwinSettings) -> None:
    result = materialize(twin_home)
    assert result.success
    assert all(each.passed for each in result.get_asset_check_evaluations())


def run_checks(settings: TwinSettings) -> dict[str, dg.AssetCheckEvaluation]:
    """The table checks alone, over the range, as they would run after the asset."""

    @dg.asset(
        name="message_embeddings",
        partitions_def=message_embeddings.partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def untouched() -> None:
        """Leaves the table as the test made it."""

    result = dg.materialize(
        [untouched, every_turn_embedded, unit_vectors],
        resources={"twin": TwinResource()},
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": MONDAY.isoformat(),
            "dagster/asset_partition_range_end": FRIDAY.isoformat(),
        },
    )
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_missing_vector_blocks(twin_home: TwinSettings, connection: psycopg.Connection) -> None:
    add_turns(connection, MONDAY, "a", "b")
    materialize(twin_home)
    add_turns(connection, FRIDAY, "never embedded")
    check = run_checks(twin_home)["every_turn_embedded"]
    assert not check.passed
    assert check.blocking
    assert check.severity == dg.AssetCheckSeverity.ERROR


def test_vector_that_is_not_of_unit_length_blocks(
    twin_home: TwinSettings, connection: psycopg.Connection
) -> None:
    add_turns(connection, MONDAY, "a", "b")
    materialize(twin_home)
    connection.execute(
        "update message_embeddings set embedding = (select array_agg(0.5)::halfvec"
        " from generate_series(1, 512)) where content_hash = md5('a')"
    )
    connection.commit()
    checks = run_checks(twin_home)
    assert not checks["unit_vectors"].passed
    assert checks["every_turn_embedded"].passed


def test_model_without_thai_is_only_warned_about(
    twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import twin_pipelines.embeddings.checks as module

    monkeypatch.setattr(module, "load_encoder", lambda settings: CountingEncoder("english@1", 512))
    result = thai_meets_english(twin=TwinResource())
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert "english@1 does not connect Thai and English" in str(result.description)
