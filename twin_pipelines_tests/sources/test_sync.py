"""Two databases in two-way sync: what is written on either side stands on both, the latest wins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from synced import made, notes, settled, until

from twin_pipelines.foundation.server import EmbeddedServer
from twin_pipelines.settings import Sync
from twin_pipelines.sources.sync import decision_store, replication_store, store
from twin_pipelines.sources.sync.pair import Pair, Side, opened
from twin_pipelines.sources.sync.setup import set_up, take_down
from twin_pipelines.sources.sync.standing import compare, standing

LONG_AGO = datetime(2018, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def standing_sync(server: EmbeddedServer) -> Iterator[Pair]:
    """A sync that runs, for all tests that leave it running."""
    for sync in made(server):
        with opened(sync) as both:
            set_up(both, lambda _words: None)
            yield both


@pytest.fixture
def running(standing_sync: Pair) -> Pair:
    """A sync of empty tables that runs."""
    settled(standing_sync)
    for side in standing_sync.sides:
        side.connection.execute(
            f"truncate {side.sync}.conflicts, {side.sync}.deletions; "
            "set session_replication_role = replica; delete from notes; "
            "reset session_replication_role"
        )
    return standing_sync


@pytest.fixture
def fresh(pair: Pair) -> Pair:
    """A sync of its own, for tests that break it."""
    set_up(pair, lambda _words: None)
    return pair


def write(side: Side, body: str, key: UUID | None = None, **columns: Any) -> UUID:
    """Insert one note on a side."""
    row = side.connection.execute(
        "insert into notes (id, body, email, origin, updated_at) "
        "values (coalesce(%s, gen_random_uuid()), %s, %s, %s, coalesce(%s, clock_timestamp())) "
        "returning id",
        (key, body, columns.get("email"), side.name, columns.get("at")),
    ).fetchone()
    assert row
    return row[0]


def edit(side: Side, key: UUID, body: str, at: datetime | None = None) -> None:
    """Change one note as the application does."""
    side.connection.execute(
        "update notes set body = %s, origin = %s, updated_at = coalesce(%s, clock_timestamp()) "
        "where id = %s",
        (body, side.name, at, key),
    )


def delete(side: Side, key: UUID) -> None:
    side.connection.execute("delete from notes where id = %s", [key])


def bodies(pair: Pair) -> list[str]:
    """The texts once both sides are the same."""
    return sorted(body for _, body, _ in settled(pair))


def apart(pair: Pair) -> None:
    """Let neither side take over anything until `together`."""
    for side in pair.sides:
        side.connection.execute(f"alter subscription {side.subscription} disable")
    until(lambda: not any(replication_store.slot_standing(one).active for one in pair.sides))


def together(pair: Pair) -> None:
    for side in pair.sides:
        side.connection.execute(f"alter subscription {side.subscription} enable")


def written(pair: Pair) -> list[list[tuple[object, ...]]]:
    """Which version of each row stands on each side: whatever is written again has another one."""
    return [
        side.connection.execute("select id, xmin::text from notes order by id").fetchall()
        for side in pair.sides
    ]


def lost(side: Side) -> list[tuple[str, str]]:
    """Kind and text of what lost on a side."""
    return side.connection.execute(
        f"select kind, lost ->> 'body' from {side.sync}.conflicts order by conflict_id"
    ).fetchall()


def test_what_both_had_before_is_made_the_same_by_the_later_version(pair: Pair) -> None:
    key = uuid4()
    write(pair.local, "alt", key, at=LONG_AGO)
    write(pair.remote, "วันนี้ฝนตก", key)
    write(pair.local, "only local")
    write(pair.remote, "only remote")
    (merged,) = set_up(pair, lambda _words: None)
    assert (merged.differed, merged.to_remote, merged.to_local) == (3, 1, 2)
    assert bodies(pair) == ["only local", "only remote", "วันนี้ฝนตก"]
    (again,) = set_up(pair, lambda _words: None)
    assert again.differed == 0


def test_every_change_reaches_the_other_side_once_and_does_not_come_back(running: Pair) -> None:
    first, second = write(running.local, "a"), write(running.remote, "ข")
    assert bodies(running) == ["a", "ข"]
    edit(running.remote, first, "b")
    delete(running.local, second)
    assert bodies(running) == ["b"]
    before = written(running)
    time.sleep(0.5)
    assert written(running) == before
    assert [lost(side) for side in running.sides] == [[], []]


def test_of_two_edits_at_once_the_later_stands_on_both_sides_and_the_other_is_kept(
    running: Pair,
) -> None:
    key = write(running.local, "before")
    settled(running)
    apart(running)
    edit(running.remote, key, "earlier")
    edit(running.local, key, "later")
    together(running)
    assert bodies(running) == ["later"]
    until(lambda: lost(running.local) == [("update", "earlier")])
    assert lost(running.remote) == []


def test_edits_of_one_moment_are_decided_by_origin(running: Pair) -> None:
    key = write(running.local, "before", at=LONG_AGO)
    settled(running)
    apart(running)
    moment = datetime.now(UTC)
    edit(running.local, key, "z", at=moment)
    edit(running.remote, key, "a", at=moment)
    together(running)
    until(lambda: lost(running.remote) == [("update", "z")])  # 'remote' comes after 'local'
    assert bodies(running) == ["a"]


def test_one_key_inserted_on_both_sides_does_not_block_the_worker(running: Pair) -> None:
    apart(running)
    key = uuid4()
    write(running.local, "earlier", key)
    write(running.remote, "later", key)
    together(running)
    assert bodies(running) == ["later"]
    until(lambda: lost(running.remote) == [("insert", "earlier")])
    assert all(one.running for one in standing(running).directions)


def test_a_deletion_wins_over_an_edit_it_did_not_know_and_the_edit_is_kept(running: Pair) -> None:
    key = write(running.local, "before")
    settled(running)
    apart(running)
    delete(running.local, key)
    edit(running.remote, key, "a later edit")
    together(running)
    until(lambda: lost(running.remote) == [("delete", "a later edit")])
    assert bodies(running) == []


def test_a_row_inserted_again_after_its_deletion_stands_on_both_sides(running: Pair) -> None:
    key = write(running.local, "first")
    settled(running)
    delete(running.remote, key)
    until(lambda: notes(running.local.connection) == [])
    write(running.local, "again", key, at=LONG_AGO)
    assert bodies(running) == ["again"]


def test_a_row_deleted_on_both_sides_and_inserted_again_on_one_stays(running: Pair) -> None:
    key = write(running.local, "first")
    settled(running)
    apart(running)
    delete(running.local, key)
    delete(running.remote, key)
    write(running.remote, "again", key)
    together(running)
    assert bodies(running) == ["again"]


def test_an_insert_that_did_not_know_of_the_deletion_goes(running: Pair) -> None:
    apart(running)
    key = uuid4()
    write(running.local, "mine", key)
    delete(running.local, key)
    write(running.remote, "theirs", key)
    together(running)
    until(lambda: lost(running.local) == [("insert", "theirs")])
    assert bodies(running) == []


def test_a_write_by_a_clock_that_is_behind_is_not_lost(running: Pair) -> None:
    key = write(running.remote, "by a clock that is ahead", at=datetime(2030, 1, 1, tzinfo=UTC))
    settled(running)
    edit(running.local, key, "written after it was seen")
    assert bodies(running) == ["written after it was seen"]


def test_an_edit_that_leaves_its_time_as_it_was_is_taken_over(running: Pair) -> None:
    key = write(running.local, "zz", at=LONG_AGO)
    settled(running)
    running.local.connection.execute("update notes set body = 'aa' where id = %s", [key])
    assert bodies(running) == ["aa"]


def test_a_row_that_blocks_the_worker_is_named_and_its_change_mends_it(fresh: Pair) -> None:
    apart(fresh)
    mine = write(fresh.local, "mine", email="same@example.org")
    theirs = write(fresh.remote, "theirs", email="same@example.org")
    together(fresh)
    until(lambda: all(one.problem for one in standing(fresh).directions))
    told = next(one for one in standing(fresh).directions if one.giver == "remote").problem
    assert str(mine) in told and str(theirs) in told and "same email" in told
    assert f"alter subscription {fresh.local.subscription} skip (lsn = '" in told
    assert "same@example.org" not in told
    fresh.local.connection.execute("update notes set email = null where id = %s", [mine])
    until(lambda: len(notes(fresh.local.connection)) == 2)


@pytest.mark.slow
def test_the_told_skip_lets_the_worker_go_on_and_the_difference_is_seen(fresh: Pair) -> None:
    apart(fresh)
    write(fresh.local, "mine", email="same@example.org")
    write(fresh.remote, "theirs", email="same@example.org")
    together(fresh)
    until(lambda: all(one.problem for one in standing(fresh).directions))
    for one, reader in zip(standing(fresh).directions, fresh.sides[::-1], strict=True):
        start = one.problem.index("alter subscription")
        statement = one.problem[start : one.problem.index(";", start)]
        reader.connection.execute(statement)
    write(fresh.local, "after")
    until(lambda: len(notes(fresh.remote.connection)) == 2)
    (found,) = compare(fresh)
    assert (found.table, found.only_local, found.only_remote) == ("notes", 1, 1)


def test_what_was_missed_is_mended_by_setup_and_deletions_stay_deletions(fresh: Pair) -> None:
    gone, kept = write(fresh.local, "gone"), write(fresh.local, "kept")
    settled(fresh)
    apart(fresh)
    delete(fresh.local, gone)
    edit(fresh.remote, kept, "kept, edited")
    replication_store.drop_slot(fresh.local)  # as when its log was thrown away
    told = standing(fresh).problems
    assert any("slot for what local writes is missing" in one for one in told)
    set_up(fresh, lambda _words: None)
    assert bodies(fresh) == ["kept, edited"]


def test_a_subscription_switched_off_is_told_with_the_statement(running: Pair) -> None:
    apart(running)
    told = standing(running).problems
    together(running)
    assert any(f"alter subscription {running.remote.subscription} enable;" in one for one in told)


def test_a_missing_trigger_is_told(fresh: Pair) -> None:
    fresh.remote.connection.execute(f"drop trigger zz_{fresh.name} on notes")
    assert any("trigger" in one and "notes" in one for one in standing(fresh).problems)


def test_stopping_leaves_nothing_on_either_side(fresh: Pair, sync: Sync) -> None:
    write(fresh.local, "a")
    settled(fresh)
    assert [one.problem for one in take_down(sync)] == ["", ""]
    for side in fresh.sides:
        assert replication_store.slot_standing(side) is None
        assert replication_store.subscription_standing(side) is None
        assert not decision_store.furnished(side)
        left = side.connection.execute(
            "select (select count(*) from pg_publication), "
            "(select count(*) from pg_trigger where not tgisinternal)"
        ).fetchone()
        assert left == (0, 0)


def test_conflicts_are_collected_without_what_was_written(
    running: Pair, connection: psycopg.Connection
) -> None:
    key = write(running.local, "before")
    settled(running)
    apart(running)
    edit(running.remote, key, "earlier")
    edit(running.local, key, "later")
    together(running)
    settled(running)
    until(lambda: lost(running.local) != [])
    numbers = [store.collect_conflicts(connection, running.local) for _ in range(2)]
    (found,) = store.conflicts(connection, running.name)
    assert numbers == [1, 0]
    assert (found["side"], found["key"], found["kind"]) == ("local", str(key), "update")
    assert "earlier" not in str(found)
