"""What changed is indexed, nothing else is, and the counts stay exact whatever happens."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_turns import turns_of
from remembered import WordEncoder, remember

from twin_pipelines.embeddings.encoder import Progress, Vectors
from twin_pipelines.features.store import rewrite_days
from twin_pipelines.foundation.database import connect, copy_frame, fetch_frame
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.retrieval.index import index_store, queue_store, refresh
from twin_pipelines.retrieval.index.entries import DIMENSIONS, counted, term_number, weights_of
from twin_pipelines.retrieval.index.refresh import Indexed, Step, index_queued, ready, reindex
from twin_pipelines.retrieval.ranking.lexical import index, terms_of
from twin_pipelines.settings import TwinError

ENCODER = WordEncoder()
TALK = [
    [("bob", "where do you live now?"), ("Sue", "in Provo, with my two cats"), ("bob", "nice")],
    [("Sue", "ฉันชอบแมวมาก"), ("bob", "แมวของเธอชื่ออะไร"), ("Sue", "ชื่อส้ม")],
]
DAYS = DayRange(date(2018, 5, 1), date(2018, 5, 30))


class Counted(WordEncoder):
    """Counts the texts it is given; a tag makes it another model."""

    def __init__(self, tag: str = "", dimensions: int = 64) -> None:
        self.model_id = f"words{tag}@00000001"
        self.dimensions = dimensions
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self.texts += texts
        return super().encode(texts, progress)


def say(connection: psycopg.Connection, turns: pl.DataFrame) -> None:
    copy_frame(connection, "cleaned_messages", turns)
    connection.commit()


def entries(connection: psycopg.Connection) -> pl.DataFrame:
    return fetch_frame(
        connection,
        """
        select e.*, c.text, own::text as own_words from search_entries e
        left join cleaned_messages c on c.id = e.message_id
        order by e.session_id, e.sent_at, e.place, e.memory_id
        """,
    )


def versions(connection: psycopg.Connection) -> dict[str, str]:
    """Which transaction wrote each turn's entry."""
    rows = connection.execute("select message_id::text, xmin::text from search_entries")
    return dict(rows.fetchall())


def assert_counts_are_exact(connection: psycopg.Connection) -> None:
    wrong = connection.execute(
        """
        with recounted as (
            select term, sum(own) as own, sum(around) as around from (
                select unnest(own_terms) as term, 1 as own, 0 as around from search_entries
                union all select unnest(terms), 0, 1 from search_entries
            ) as each group by term
        )
        select term from search_terms full join recounted using (term)
        where coalesce(search_terms.own, 0) <> coalesce(recounted.own, 0)
           or coalesce(search_terms.around, 0) <> coalesce(recounted.around, 0)
        """
    ).fetchall()
    assert wrong == []
    sums = connection.execute(
        """
        select count(*), coalesce(sum(own_length), 0), coalesce(sum(around_length), 0)
        from search_entries
        """
    ).fetchone()
    now = index_store.state(connection)
    assert sums == (now.entries, now.own_length, now.around_length)


def test_every_turn_and_memory_is_indexed_and_the_queue_is_empty(
    connection: psycopg.Connection,
) -> None:
    say(connection, turns_of(TALK))
    memory = remember(connection, "Sue likes tea")
    done = index_queued(connection, ENCODER)
    found = entries(connection)
    assert (done.turns, done.memories, found.height) == (6, 1, 7)
    assert found["memory_id"].drop_nulls().to_list() == [memory]
    turns = found.filter(pl.col("message_id").is_not_null())
    assert turns["place"].to_list() == [0, 1, 2, 0, 1, 2]
    assert turns.filter(pl.col("text") == "in Provo, with my two cats")["answers"].all()
    assert set(turns.filter("asks")["text"]) == {"where do you live now?", "แมวของเธอชื่ออะไร"}
    assert connection.execute("select count(*) from search_queue").fetchone() == (0,)
    assert index_store.has_index(connection, ENCODER.model_id)
    assert_counts_are_exact(connection)
    ready(connection, ENCODER)


def test_weights_times_rarity_are_the_bm25_of_the_ranking(connection: psycopg.Connection) -> None:
    """The same texts weighed in memory by `ranking.lexical` score the same."""
    say(connection, turns_of(TALK))
    index_queued(connection, ENCODER)
    found = fetch_frame(
        connection,
        "select e.*, own::text as sparse from search_entries e order by session_id, place",
    )
    texts = [f"{said}" for said in _own_texts(connection)]
    lexicon = index(texts)
    for question in ("Where does Sue live in Provo?", "แมวชื่ออะไร"):
        expected = lexicon.scores(question)
        total = np.zeros(len(texts))
        for term in set(terms_of(question)):
            number = term_number(term)
            frequency = connection.execute(
                "select own from search_terms where term = %s", [number]
            ).fetchone() or (0,)
            idf = np.log(1 + (len(texts) - frequency[0] + 0.5) / (frequency[0] + 0.5))
            total += [idf * _sparse(row).get(number, 0.0) for row in found["sparse"]]
        assert total == pytest.approx(expected, rel=1e-4)


def _own_texts(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        """
        select speaker || ': ' || text || ' (' || to_char(day, 'FMDD FMMonth YYYY') || ')'
        from cleaned_messages order by session_id, place
        """
    ).fetchall()
    return [text for (text,) in rows]


def _sparse(text: str) -> dict[int, float]:
    inside = text.split("/", maxsplit=1)[0].strip("{}")
    return {int(k): float(v) for k, v in (one.split(":") for one in inside.split(",") if one)}


def test_a_new_turn_costs_only_itself_and_its_neighbour(connection: psycopg.Connection) -> None:
    turns = turns_of([[*TALK[0], ("Sue", "thanks a lot")]])
    say(connection, turns.head(3))
    encoder = Counted()
    index_queued(connection, encoder)
    encoder.texts.clear()
    say(connection, turns.tail(1))
    done = index_queued(connection, encoder)
    assert done.turns == 2  # the last one has got a neighbour
    assert sorted(encoder.texts) == [
        "Sue: in Provo, with my two cats\nbob: nice\nSue: thanks a lot\n(1 May 2018)",
        "Sue: thanks a lot (1 May 2018)",
        "bob: nice\nSue: thanks a lot\n(1 May 2018)",
    ]
    assert_counts_are_exact(connection)


def test_nothing_is_embedded_when_a_day_is_written_again_unchanged(
    connection: psycopg.Connection,
) -> None:
    turns = turns_of(TALK)
    dropped = pl.DataFrame(schema={"raw_id": pl.String, "day": pl.Date, "reason": pl.String})
    rewrite_days(connection, DAYS, turns, dropped)
    connection.commit()
    encoder = Counted()
    index_queued(connection, encoder)
    encoder.texts.clear()
    rewrite_days(connection, DAYS, turns, dropped)
    connection.execute("update cleaned_messages set words = words + 1")
    connection.commit()
    assert index_queued(connection, encoder).turns == 0
    assert encoder.texts == []


def test_an_edit_a_deletion_and_a_merge_are_followed(connection: psycopg.Connection) -> None:
    turns = turns_of(TALK)
    say(connection, turns)
    index_queued(connection, ENCODER)
    first, second = turns["id"][1], turns["id"][2]
    connection.execute("update cleaned_messages set text = 'in Boston' where id = %s", [first])
    connection.execute("delete from cleaned_messages where id = %s", [second])
    connection.execute(
        "update cleaned_messages set session_id = %s where session_id = %s",
        [turns["session_id"][0], turns["session_id"][5]],
    )
    connection.commit()
    gone = entries(connection)
    assert gone.height == 5, "what was deleted is not found even before it is indexed"
    assert_counts_are_exact(connection)
    index_queued(connection, ENCODER)
    now = entries(connection)
    assert now["session_id"].n_unique() == 1
    assert now["text"].to_list()[1] == "in Boston"
    assert term_number(terms_of("Provo")[0]) not in {
        term for terms in now["terms"] for term in terms
    }
    assert_counts_are_exact(connection)


def test_of_a_long_session_only_what_changed_is_made_again(connection: psycopg.Connection) -> None:
    long = turns_of([[("Sue", f"number {number}") for number in range(40)]])
    say(connection, long)
    index_queued(connection, ENCODER)
    before = {row["message_id"]: row["entry_id"] for row in entries(connection).to_dicts()}
    written = versions(connection)
    connection.execute("delete from cleaned_messages where id = %s", [long["id"][10]])
    connection.execute("update cleaned_messages set text = 'a cat' where id = %s", [long["id"][20]])
    connection.commit()
    encoder = Counted()
    assert index_queued(connection, encoder).turns == 5, "what is beside a change, too"
    after = versions(connection)
    touched = [row for row in range(40) if after.get(long["id"][row]) != written[long["id"][row]]]
    assert touched == [9, 10, 11, 19, 20, 21]
    assert {row["message_id"]: row["entry_id"] for row in entries(connection).to_dicts()} == {
        ref: entry for ref, entry in before.items() if str(ref) != long["id"][10]
    }
    assert_counts_are_exact(connection)


def test_a_step_finds_what_came_before_it_reads_anew_what_stands_beside(
    connection: psycopg.Connection,
) -> None:
    turns = turns_of([[*TALK[0], ("Sue", "thanks a lot")], TALK[1]])
    say(connection, turns.filter(pl.col("text") != "thanks a lot"))
    index_queued(connection, ENCODER)
    say(connection, turns.filter(text=pl.lit("thanks a lot")))
    encoder = Counted()
    first = index_queued(connection, encoder, step=Step(10))
    assert (first.turns, first.left) == (1, True)
    assert [text.partition(" ")[0] for text in encoder.texts] == ["Sue:", "bob:"]
    assert "thanks a lot" in entries(connection)["text"].to_list()
    assert index_queued(connection, encoder, step=Step(10)).turns == 0, "nothing came"
    rest = index_queued(connection, encoder, step=Step(10, oldest=True))
    assert (rest.turns, rest.left, len(encoder.texts)) == (1, False, 3)
    assert_counts_are_exact(connection)


def test_a_memory_that_is_archived_is_gone_at_once_and_comes_back(
    connection: psycopg.Connection,
) -> None:
    memory = remember(connection, "Sue likes tea")
    index_queued(connection, ENCODER)
    before = index_store.state(connection).version
    connection.execute("update memories set status = 'archived' where memory_id = %s", [memory])
    connection.commit()
    assert entries(connection).is_empty()
    assert index_store.state(connection).version > before
    index_queued(connection, ENCODER)
    connection.execute("update memories set status = 'active' where memory_id = %s", [memory])
    connection.commit()
    assert index_queued(connection, ENCODER).memories == 1
    connection.execute("delete from memories")
    connection.commit()
    assert entries(connection).is_empty()
    assert_counts_are_exact(connection)


def test_a_killed_drainer_leaves_what_the_next_one_completes(
    connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "PART", 3)
    say(connection, turns_of([TALK[0]] * 5))

    class Dies(WordEncoder):
        calls = 0

        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
            self.calls += 1
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().encode(texts, progress)

    with connect(database_url) as killed, pytest.raises(KeyboardInterrupt):
        index_queued(killed, Dies())
    assert entries(connection).height == 6
    assert_counts_are_exact(connection)
    connection.commit()
    assert index_queued(connection, ENCODER).turns == 9
    assert entries(connection).height == 15


def test_one_drains_at_a_time(connection: psycopg.Connection, database_url: str) -> None:
    say(connection, turns_of(TALK))
    with connect(database_url) as other:
        assert queue_store.try_alone(other, wait=False)
        other.commit()
        assert index_queued(connection, ENCODER).busy
        assert entries(connection).is_empty()
        connection.commit()
        waited: list[Indexed] = []
        thread = threading.Thread(
            target=lambda: waited.append(index_queued(connection, ENCODER, wait=True))
        )
        thread.start()
        queue_store.end_alone(other)
        other.commit()
        thread.join(20)
    assert waited[0].turns == 6


def test_what_changes_while_it_is_embedded_is_indexed_once_more(
    connection: psycopg.Connection, database_url: str
) -> None:
    turns = turns_of(TALK)
    say(connection, turns)

    class Meanwhile(WordEncoder):
        done = False

        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
            if not self.done:
                self.done = True
                with connect(database_url) as other:
                    other.execute(
                        "update cleaned_messages set text = 'in Boston' where id = %s",
                        [turns["id"][1]],
                    )
                    other.execute("delete from cleaned_messages where id = %s", [turns["id"][0]])
            return super().encode(texts, progress)

    index_queued(connection, Meanwhile())
    found = entries(connection)
    boston = term_number(terms_of("Boston")[0])
    assert found.height == 5
    assert [boston in terms for terms in found["own_terms"]].count(True) == 1
    assert_counts_are_exact(connection)
    assert not queue_store.something_waits(connection)


def test_a_turn_that_is_being_deleted_is_passed_over_and_not_waited_for(
    connection: psycopg.Connection, database_url: str
) -> None:
    turns = turns_of(TALK)
    say(connection, turns)
    with connect(database_url) as other:
        other.execute("delete from cleaned_messages where id = %s", [turns["id"][0]])
        # The deleter waits for nobody: it holds the state, so the drainer waits for it instead.
        thread = threading.Thread(target=index_queued, args=(connection, ENCODER))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        other.rollback()
        thread.join(20)
    assert entries(connection).height == 6
    assert_counts_are_exact(connection)


def test_another_model_is_refused_until_the_index_is_made_anew(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "PART", 3)
    say(connection, turns_of([TALK[0]] * 4))
    index_queued(connection, ENCODER)
    other = Counted("-better", dimensions=32)
    for refused in (ready, index_queued):
        with pytest.raises(TwinError, match="twin reindex"):
            refused(connection, other)
    connection.rollback()

    class Dies(Counted):
        def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
            if self.texts:
                raise KeyboardInterrupt
            return super().encode(texts, progress)

    with pytest.raises(KeyboardInterrupt):
        reindex(connection, Dies("-better", dimensions=32))
    for half_way in (ENCODER, other):
        with pytest.raises(TwinError, match="twin reindex"):
            ready(connection, half_way)
    connection.rollback()
    done = reindex(connection, other)
    assert done.turns == 9, "what was embedded before it was killed is kept"
    ready(connection, other)
    assert index_store.has_index(connection, other.model_id)
    assert not index_store.has_index(connection, ENCODER.model_id)
    assert_counts_are_exact(connection)


def test_reindex_mends_what_no_queue_knows_of(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(connection, turns_of(TALK))
    index_queued(connection, ENCODER)
    connection.execute("delete from search_entries where place = 1")
    connection.commit()
    assert index_queued(connection, ENCODER).turns == 0
    encoder = Counted()
    assert reindex(connection, encoder).turns == 2
    assert len(encoder.texts) == 4
    monkeypatch.setattr(index_store, "MADE", 2)
    assert reindex(connection, ENCODER).turns == 6, "terms are made otherwise now"
    assert_counts_are_exact(connection)


def test_all_is_weighed_anew_when_texts_become_much_longer(connection: psycopg.Connection) -> None:
    say(connection, turns_of(TALK))
    index_queued(connection, ENCODER)
    encoder = Counted()
    longer = turns_of([*TALK, [("Sue", "one two three four five six seven eight nine ten " * 5)]])
    say(connection, longer.tail(1))
    done = index_queued(connection, encoder)
    assert done.weighed_anew
    assert len(encoder.texts) <= 2, "weighing anew embeds nothing"
    now = index_store.state(connection)
    assert now.own_mean == pytest.approx(now.own_length / now.entries)
    assert entries(connection)["weighing"].unique().to_list() == [now.weighing]
    assert_counts_are_exact(connection)


def test_a_bulk_is_indexed_without_the_hnsw_index_and_gets_it_afterwards(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "REBUILD_ENTRIES", 5)
    monkeypatch.setattr(refresh, "BULK_PART", 4)
    say(connection, turns_of(TALK))
    told: list[tuple[int, int]] = []
    done = index_queued(connection, ENCODER, progress=lambda part, all: told.append((part, all)))
    assert done.index_made
    assert told[-1] == (6, 6)


WORDS = st.lists(st.sampled_from(["cat", "tea", "Provo", "แมว", "แมวส้ม", "?"]), max_size=6)
CHANGE = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 3), st.integers(0, 5), WORDS),
    st.tuples(st.just("forget"), st.integers(0, 3), st.integers(0, 5), st.just([])),
    st.tuples(st.just("index"), st.just(0), st.just(0), st.just([])),
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(CHANGE, min_size=3, max_size=12))
def test_counts_are_exact_whatever_is_said_and_deleted(
    connection: psycopg.Connection, changes: list[tuple[str, int, int, list[str]]]
) -> None:
    connection.rollback()
    connection.execute("delete from cleaned_messages")
    connection.commit()
    for what, session, place, words in changes:
        turn = turns_of([[("Sue", "x")] * 6] * 4).filter(
            pl.col("session_id") == str(uuid.uuid5(uuid.NAMESPACE_OID, str(session))),
            place=place,
        )
        if what == "say":
            connection.execute("delete from cleaned_messages where id = %s", [turn["id"][0]])
            say(connection, turn.with_columns(text=pl.lit(" ".join(words))))
        elif what == "forget":
            connection.execute("delete from cleaned_messages where id = %s", [turn["id"][0]])
        else:
            index_queued(connection, ENCODER)
        assert_counts_are_exact(connection)
    index_queued(connection, ENCODER)
    assert_counts_are_exact(connection)
    rows = connection.execute(
        "select (select count(*) from cleaned_messages), (select count(*) from search_entries)"
    ).fetchone()
    assert rows and rows[0] == rows[1]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_terms_that_can_be_stored(text: str) -> None:
    terms = counted(text)
    expected = Counter(map(term_number, terms_of(text)))
    assert dict(zip(terms.numbers.tolist(), terms.times.tolist(), strict=True)) == expected
    assert terms.length == expected.total()
    assert (np.diff(terms.numbers) > 0).all()
    assert ((terms.numbers >= 1) & (terms.numbers <= DIMENSIONS)).all()
    assert (weights_of(terms, 5.0) > 0).all()
