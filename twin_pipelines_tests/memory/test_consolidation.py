"""Consolidation is exact, incremental and reversible: the store is always before it or after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from told import frame, message_id, said, write_told

from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.days import DayRange
from twin_pipelines.memory import ledger, ledger_store, store
from twin_pipelines.memory.consolidation import store as consolidation_store
from twin_pipelines.memory.consolidation.consolidate import Consolidated, consolidate
from twin_pipelines.persona.statements.patterns import KINDS
from twin_pipelines.settings import ImportanceWeights, TwinError

WEIGHTS = ImportanceWeights()
DESIGN = (
    said("I am studying industrial design", 0, kind="Work and study", confidence=0.6),
    said("im studying Industrial Design", 1, kind="Work and study"),
    said("I am studying industrial design", 2, kind="Work and study"),
)
TEA = said("I love jasmine tea", 1), said("I really love jasmine tea!", 4)
SINGLE = said("I love owls", 2)
THAI = said("ฉันชอบกินส้มตำมากค่ะ", 1), said("ฉันชอบกินส้มตำมากๆ", 5)
MOVE = said("I live in Provo", 0, kind="Home"), said("I live in Rome", 6, kind="Home")
BOB = said("I love jasmine tea", 0, about="bob"), said("I love jasmine tea", 3, about="bob")


@pytest.fixture
def history(connection: psycopg.Connection) -> psycopg.Connection:
    """What Sue and Bob said of themselves, not consolidated yet."""
    write_told(connection, *DESIGN, *TEA, SINGLE, *THAI, *MOVE, *BOB)
    return connection


def run(connection: psycopg.Connection) -> Consolidated:
    done = consolidate(connection, WEIGHTS)
    connection.commit()
    return done


def knowledge(connection: psycopg.Connection) -> dict[tuple[str, str], dict[str, Any]]:
    rows = store.load_memories(connection, types=["knowledge"]).to_dicts()
    return {(row["about"], row["content"]): row for row in rows}


def states(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute("select memory_id, status from memories where type = 'episodic'")
    return {str(memory): status for memory, status in rows.fetchall()}


def identities(*rows: dict[str, Any]) -> list[str]:
    return [row["memory_id"] for row in rows]


def test_what_says_the_same_becomes_knowledge_with_all_its_evidence(
    history: psycopg.Connection,
) -> None:
    done = run(history)
    known = knowledge(history)
    assert (done.speakers, done.statements, done.knowledge) == (2, 12, 4)
    fact = known["sue", "I am studying industrial design"]
    assert fact["source_ids"] == identities(*DESIGN)
    assert sorted(fact["message_ids"]) == sorted(row["message_ids"][0] for row in DESIGN)
    assert (fact["sessions"], fact["origin"], fact["day"]) == (3, "consolidated", None)
    assert (fact["first_at"], fact["last_at"]) == (DESIGN[0]["first_at"], DESIGN[2]["last_at"])
    assert fact["confidence"] == pytest.approx(1 - 0.2 * (0.5 + 0.5**3))
    assert json.loads(fact["importance_parts"])["repetition"] == 0.75
    assert fact["importance"] > DESIGN[0]["importance"]
    assert known["sue", "ฉันชอบกินส้มตำมากๆ"]["language"] == "th"
    assert ("bob", "I love jasmine tea") in known


def test_merged_statements_retire_and_single_ones_stay(history: psycopg.Connection) -> None:
    run(history)
    now = states(history)
    assert {now[one] for one in identities(*DESIGN, *TEA, *THAI, *BOB)} == {"merged"}
    assert {now[one] for one in identities(SINGLE, *MOVE)} == {"active"}
    row = history.execute(
        "select status_reason from memories where memory_id = %s", [DESIGN[1]["memory_id"]]
    ).fetchone()
    fact = knowledge(history)["sue", "I am studying industrial design"]
    assert row == (f"part of knowledge {fact['memory_id']}",)


def test_conflicting_facts_keep_both_with_validity(history: psycopg.Connection) -> None:
    run(history)
    homes = history.execute(
        "select content, valid_until, superseded_by::text from memories "
        "where kind = 'Home' order by first_at"
    ).fetchall()
    assert homes == [
        ("I live in Provo", MOVE[1]["first_at"], MOVE[1]["memory_id"]),
        ("I live in Rome", None, None),
    ]


def test_nothing_new_changes_nothing_and_leaves_no_run(history: psycopg.Connection) -> None:
    run(history)
    before = ledger_store.store_hash(history)
    again = run(history)
    assert (again.run_id, again.speakers, again.statements) == (None, 0, 0)
    assert ledger_store.store_hash(history) == before
    assert ledger_store.load_runs(history).height == 1


def test_only_speakers_who_said_something_new_are_looked_at_and_the_rest_is_not_touched(
    history: psycopg.Connection,
) -> None:
    run(history)
    write_told(history, said("I really love owls", 9))
    done = run(history)
    assert (done.speakers, done.made) == (1, 1)
    touched = ledger_store.load_changes(history, run_id=done.run_id)["memory_id"].to_list()
    assert SINGLE["memory_id"] in touched
    assert len(touched) == 3


def test_day_by_day_gives_what_all_at_once_gives(
    connection: psycopg.Connection, database_url: str
) -> None:
    rows = sorted((*DESIGN, *TEA, SINGLE, *THAI, *MOVE, *BOB), key=lambda row: row["first_at"])
    for row in rows:
        write_told(connection, row)
        run(connection)
    incremental = ledger_store.store_hash(connection)
    connection.execute("delete from consolidated_speakers")
    connection.execute("delete from memories where type = 'knowledge'")
    connection.execute(
        "update memories set status = 'active', status_reason = '', valid_from = null, "
        "valid_until = null, superseded_by = null"
    )
    run(connection)
    assert ledger_store.store_hash(connection) == incremental


def test_an_earlier_day_imported_later_keeps_identity_pin_and_recalls(
    history: psycopg.Connection,
) -> None:
    run(history)
    fact = knowledge(history)["sue", "I love jasmine tea"]["memory_id"]
    history.execute("update memories set pinned = true where memory_id = %s", [fact])
    earlier = said("I love jasmine tea", -5)
    write_told(history, earlier)
    run(history)
    grown = knowledge(history)["sue", "I love jasmine tea"]
    assert (grown["memory_id"], grown["pinned"]) == (fact, True)
    assert grown["source_ids"] == identities(earlier, *TEA)


def test_what_had_faded_is_evidence_and_comes_back_when_said_again(
    history: psycopg.Connection,
) -> None:
    run(history)
    history.execute(
        "update memories set status = 'archived', status_reason = 'faded: 0.01' "
        "where content in ('I love owls') or type = 'knowledge' and about = 'bob'"
    )
    write_told(history, said("I love jasmine tea", 9, about="bob"), said("I love owls", 9))
    run(history)
    known = knowledge(history)
    assert known["bob", "I love jasmine tea"]["sessions"] == 3
    assert SINGLE["memory_id"] in known["sue", "I love owls"]["source_ids"]
    assert states(history)[SINGLE["memory_id"]] == "merged"


def test_pinned_statements_stay_and_suspicious_ones_are_no_evidence(
    history: psycopg.Connection,
) -> None:
    history.execute("update memories set pinned = true where memory_id = %s", [TEA[0]["memory_id"]])
    history.execute(
        "update memories set status = 'quarantined' where memory_id = %s", [THAI[0]["memory_id"]]
    )
    run(history)
    now = states(history)
    assert now[TEA[0]["memory_id"]] == "active"
    assert now[THAI[0]["memory_id"]] == "quarantined"
    assert ("sue", "ฉันชอบกินส้มตำมากๆ") not in knowledge(history)


def test_dreams_and_episodes_are_never_consolidated(connection: psycopg.Connection) -> None:
    dream = {"type": "dream", "origin": "reflected", "kind": "hope"}
    write_told(
        connection,
        *(said("I love jasmine tea", day, **dream) for day in range(3)),
        *(said("I love jasmine tea", day, kind="session") for day in range(3, 6)),
    )
    assert run(connection).statements == 0


def test_knowledge_goes_when_its_evidence_goes(history: psycopg.Connection) -> None:
    run(history)
    day = TEA[0]["day"]
    kept = [one for one in (*DESIGN, *THAI) if one["day"] == day]
    store.rewrite_days(history, DayRange(day, day), frame(*kept))
    history.execute("delete from raw_messages where id = %s", [TEA[0]["message_ids"][0]])
    run(history)
    assert ("sue", "I love jasmine tea") not in knowledge(history)
    assert states(history)[TEA[1]["memory_id"]] == "active"


def test_undo_restores_the_exact_former_store_and_stays_undone(
    history: psycopg.Connection,
) -> None:
    before = ledger_store.store_hash(history)
    first = run(history)
    between = ledger_store.store_hash(history)
    write_told(history, said("I love owls", 9), said("I am 24", 9, kind="Who I am"))
    history.execute("update memories set importance = 0.41 where content = 'I am 24'")
    unmerged = ledger_store.store_hash(history)
    second = run(history)
    ledger.undo(history, second.run_id or 0)
    assert ledger_store.store_hash(history) == unmerged != between
    assert run(history).run_id is None
    history.execute("delete from memories where day = '2018-05-10'")
    back = ledger.undo(history, first.run_id or 0)
    redone = ledger.undo(history, back.run_id)
    ledger.undo(history, redone.run_id)
    assert ledger_store.store_hash(history) == before
    history.execute("delete from consolidated_speakers")
    run(history)
    assert knowledge(history) == {}


def test_what_was_undone_comes_only_with_new_evidence(history: psycopg.Connection) -> None:
    done = run(history)
    ledger.undo(history, done.run_id or 0)
    write_told(history, said("I love jasmine tea", 9), said("I am 24", 9, kind="Who I am"))
    run(history)
    assert list(knowledge(history)) == [("sue", "I love jasmine tea")]


def test_a_failed_verification_changes_nothing(
    history: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ledger_store.store_hash(history)

    def forgetful(connection: psycopg.Connection, *_: object) -> tuple[int, int]:
        connection.execute("update memories set status = 'merged' where content = 'I love owls'")
        return 0, 0

    monkeypatch.setattr(consolidation_store, "retire", forgetful)
    with pytest.raises(TwinError, match="1 lost, 9 counted twice"):
        consolidate(history, WEIGHTS)
    assert ledger_store.store_hash(history) == before
    assert ledger_store.load_runs(history).is_empty()


def test_faults_are_found(history: psycopg.Connection) -> None:
    run(history)
    for change, frame_of, column in (
        (
            "update memories set source_ids = source_ids[1:1] where type = 'knowledge'",
            consolidation_store.knowledge_faults,
            "few_sources",
        ),
        (
            "update memories set message_ids = message_ids[1:1] where type = 'knowledge'",
            consolidation_store.knowledge_faults,
            "other_messages",
        ),
        (
            "delete from memories where status = 'merged'",
            consolidation_store.knowledge_faults,
            "missing_sources",
        ),
    ):
        history.execute(change)
        assert frame_of(history)[column][0] >= 4
        history.rollback()
    history.execute("delete from memories where type = 'knowledge'")
    assert consolidation_store.statement_faults(history, KINDS)["lost"][0] == 9
    history.rollback()
    history.execute("delete from memories where content = 'I live in Rome'")
    assert consolidation_store.statement_faults(history, KINDS)["dangling"][0] == 1
    history.rollback()
    history.execute(
        "delete from raw_messages where id = %s", [message_id("sue/1/I love jasmine tea")]
    )
    assert consolidation_store.unknown_messages(history, None)["unknown"].sum() == 1


class Mortal(psycopg.Connection[Any]):
    """A connection whose server process is killed right after its nth statement."""

    left: int
    killer: psycopg.Connection

    def said(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.killer.execute("select pg_terminate_backend(%s)", [self.info.backend_pid])


class MortalCursor(psycopg.Cursor[Any]):
    def execute(self, *given: Any, **named: Any) -> Any:
        done = super().execute(*given, **named)
        self.connection.said()  # type: ignore[attr-defined]
        return done

    def copy(self, *given: Any, **named: Any) -> Any:
        return _said_after(super().copy(*given, **named), self.connection)


@contextmanager
def _said_after(copying: Any, connection: Any) -> Iterator[Any]:
    with copying as copy:
        yield copy
    connection.said()


@pytest.mark.parametrize("what", ["first consolidation", "consolidation", "undo"])
def test_killed_after_any_statement_the_store_is_before_or_after(
    history: psycopg.Connection, database_url: str, what: str
) -> None:
    def consolidating(connection: psycopg.Connection) -> None:
        consolidate(connection, WEIGHTS)

    work: Callable[[psycopg.Connection], object] = consolidating
    if what != "first consolidation":
        first = run(history)
        write_told(history, said("I love owls", 9), said("I am 24", 9, kind="Who I am"))
        work = (
            consolidating
            if what == "consolidation"
            else lambda connection: ledger.undo(connection, first.run_id or 0)
        )
    before, runs = ledger_store.store_hash(history), ledger_store.load_runs(history).height
    history.commit()
    killed = 0
    with connect(database_url) as killer:
        killer.autocommit = True
        for statement in range(1, 100):
            if not _dies(database_url, killer, statement, work):
                break
            killed += 1
            assert ledger_store.store_hash(history) == before
            assert ledger_store.load_runs(history).height == runs
            history.commit()
    assert killed >= 12
    assert ledger_store.store_hash(history) != before
    assert ledger_store.load_runs(history).height == runs + 1


def _dies(
    url: str,
    killer: psycopg.Connection,
    statement: int,
    work: Callable[[psycopg.Connection], object],
) -> bool:
    mortal = Mortal.connect(url, cursor_factory=MortalCursor)
    mortal.left, mortal.killer = statement, killer
    try:
        work(mortal)
        mortal.commit()
    except psycopg.OperationalError:
        return True
    finally:
        mortal.close()
    return False
