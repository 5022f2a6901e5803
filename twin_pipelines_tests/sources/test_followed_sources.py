"""Sources that fail, change or are given up: what is told, what is kept, what is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from followed import CONVERSATIONS, say
from psycopg import sql

from twin_pipelines.foundation.days import DayRange
from twin_pipelines.foundation.server import open_server
from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store, looking, source_store
from twin_pipelines.sources.capture.comparison import compare
from twin_pipelines.sources.capture.drain import drain
from twin_pipelines.sources.capture.feeds import Feed, feeds
from twin_pipelines.sources.capture.letters_store import waiting_letters
from twin_pipelines.sources.capture.looking import Look, Lookout
from twin_pipelines.sources.capture.replay import replay
from twin_pipelines.sources.capture.retiring import asked_for, retire
from twin_pipelines.sources.landing import land_days, open_history

MAY = DayRange(date(2018, 5, 1), date(2018, 5, 31))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again at the next look."""
    monkeypatch.setattr(looking, "RETRY_SECONDS", 0.0)


@pytest.fixture
def lookout(following: TwinSettings, source: psycopg.Connection) -> Iterator[Lookout]:
    """Looks at the source."""
    with Lookout(following) as opened:
        yield opened


def texts(connection: psycopg.Connection) -> list[str]:
    found = connection.execute("select text from raw_messages order by sent_at, text").fetchall()
    connection.rollback()
    return [text for (text,) in found]


def noted(connection: psycopg.Connection) -> dict[str, Any]:
    (row,) = capture_store.feed_summary(connection).to_dicts()
    connection.rollback()
    return row


def changed(settings: TwinSettings, **values: Any) -> TwinSettings:
    (table,) = settings.sources
    return settings.model_copy(update={"sources": (table.model_copy(update=values),)})


def slots(source: psycopg.Connection) -> list[str]:
    rows = source.execute(
        "select slot_name from pg_replication_slots where database = current_database() "
        "union all select pubname from pg_publication"
    )
    return [name for (name,) in rows.fetchall()]


@contextmanager
def away(source_url: str, database_url: str) -> Iterator[None]:
    """The source's database cannot be reached."""
    name = sql.Identifier(source_url.rpartition("/")[2])
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            [source_url.rpartition("/")[2]],
        )
        administrator.execute(sql.SQL("alter database {} rename to gone_away").format(name))
        yield
        administrator.execute(sql.SQL("alter database gone_away rename to {}").format(name))


def test_a_source_that_is_down_at_the_start_is_told_and_followed_once_it_is_up(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    source_url: str,
    database_url: str,
) -> None:
    say(source, "said before")
    with away(source_url, database_url):
        (down,) = lookout.look(connection)
        assert "no database" in down.problem
        row = noted(connection)
        assert (row["position"], row["problem"], row["snapshots"]) == (None, down.problem, 0)
        assert row["problem_since"]
    (up,) = lookout.look(connection)
    assert up.drained and up.drained.taken_over
    row = noted(connection)
    assert (row["problem"], row["problem_since"], row["snapshots"]) == ("", None, 1)
    assert texts(connection) == ["said before"]


def test_a_run_goes_on_with_what_landed_while_a_source_is_down(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    source_url: str,
    database_url: str,
) -> None:
    following = following.model_copy(
        update={"subject": following.subject.model_copy(update={"speaker": "angela"})}
    )
    say(source, "landed before")
    land_days(connection, following, MAY)
    with away(source_url, database_url):
        open_history(connection, following)
        landed = land_days(connection, following, MAY)
    assert "no database" in landed.reports[0].notices[0]
    assert landed.counts["messages"].sum() == 1


def test_rights_revoked_midway_are_told_with_the_grant_and_nothing_is_lost(
    connection: psycopg.Connection, source: psycopg.Connection, following: TwinSettings
) -> None:
    source.execute("create role guest login replication password 'guest'")
    try:
        source.execute("alter table conversations owner to guest")
        database = source.info.dbname
        source.execute(
            sql.SQL("grant create on database {} to guest").format(sql.Identifier(database))
        )
        url = f"postgresql://guest:guest@{source.info.host}:{source.info.port}/{database}"
        with Lookout(changed(following, url=url)) as lookout:
            lookout.look(connection)
            source.execute("alter role guest noreplication")
            say(source, "waits for the right")
            (refused,) = lookout.look(connection)
            assert "alter role guest replication" in refused.problem
            assert noted(connection)["problem"] == refused.problem
            source.execute("alter role guest replication")
            (back,) = lookout.look(connection)
            assert back.drained and not back.drained.taken_over
            source.execute("alter role guest nologin")
            source.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'guest'"
            )
            problems = [lookout.look(connection)[0].problem for _ in range(2)]
            assert "broke off" in problems[0]
            assert "not permitted to log in" in problems[1]
        assert texts(connection) == ["waits for the right"]
    finally:
        source.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
            "where database = current_database()"
        )
        source.execute("reassign owned by guest to postgres; drop owned by guest; drop role guest")


def test_what_is_followed_no_longer_loses_its_slot_at_the_next_look_and_can_be_followed_again(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    following: TwinSettings,
) -> None:
    say(source, "while it was followed", day=3)
    lookout.look(connection)
    assert len(slots(source)) == 2
    lookout.go_by(changed(following, capture=False))
    (left,) = lookout.look(connection)
    assert "followed no longer" in left.problem
    assert slots(source) == []
    row = noted(connection)
    assert row["stopped_at"]
    assert row["touched_days"] == 1, "what landed is derived still"
    assert texts(connection) == ["while it was followed"]
    assert lookout.look(connection) == ()

    say(source, "in between", day=4)
    lookout.go_by(following)
    (again,) = lookout.look(connection)
    assert again.drained and again.drained.days == {date(2018, 5, 4)}
    assert noted(connection)["stopped_at"] is None


def test_a_feed_that_no_url_leads_to_is_complained_of_once_and_stopped_by_its_address(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    feed: Feed,
    following: TwinSettings,
    source_url: str,
) -> None:
    lookout.look(connection)
    nothing = following.model_copy(update={"sources": ()})
    lookout.go_by(nothing)
    (complaint,) = lookout.look(connection)
    assert f"--stop {feed.name} --url" in complaint.problem
    assert lookout.look(connection) == ()
    with pytest.raises(TwinError, match="give --url"):
        asked_for(connection, nothing, feed.name, "")
    with pytest.raises(TwinError, match="url that was given"):
        asked_for(connection, nothing, feed.name, "postgresql://elsewhere/else")
    with pytest.raises(TwinError, match="No feed twin_of_nobody"):
        asked_for(connection, nothing, "twin_of_nobody", "")
    retire(connection, asked_for(connection, nothing, feed.name, source_url))
    assert slots(source) == []


def test_what_twin_toml_follows_still_is_not_stopped(
    connection: psycopg.Connection, lookout: Lookout, following: TwinSettings
) -> None:
    lookout.look(connection)
    with pytest.raises(TwinError, match="capture = false"):
        asked_for(connection, following, "angela", "")


@pytest.mark.parametrize("loss", ["drop publication {name}", "alter publication {name} drop table"])
def test_a_publication_that_was_changed_there_makes_the_tables_be_taken_over_anew(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    feed: Feed,
    loss: str,
) -> None:
    lookout.look(connection)
    tail = " conversations" if loss.endswith("table") else ""
    source.execute(loss.format(name=feed.name) + tail)
    say(source, "told to nobody")
    (anew,) = lookout.look(connection)
    assert anew.drained and anew.drained.taken_over
    assert texts(connection) == ["told to nobody"]


def test_a_table_that_was_made_anew_is_followed_on(
    connection: psycopg.Connection, source: psycopg.Connection, lookout: Lookout
) -> None:
    say(source, "of the old table", day=1)
    lookout.look(connection)
    source.execute("drop table conversations")
    source.execute(CONVERSATIONS)
    say(source, "of the new table", day=2)
    lookout.look(connection)
    say(source, "and then", day=3)
    lookout.look(connection)
    assert texts(connection) == ["of the new table", "and then"]


def test_a_column_that_took_on_another_type_midway_does_not_stop_the_feed(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
) -> None:
    lookout.look(connection)
    say(source, "as a timestamp", day=2)
    source.execute(
        "alter table conversations alter created_at type bigint "
        "using extract(epoch from created_at)::bigint"
    )
    say(source, "as a number", created_at=1525348800)
    (seen,) = lookout.look(connection)
    assert seen.problem == ""
    assert texts(connection) == ["as a timestamp", "as a number"]


def test_a_time_beyond_all_time_is_set_aside_and_the_rest_goes_on(
    connection: psycopg.Connection, source: psycopg.Connection, lookout: Lookout
) -> None:
    say(source, "never", created_at="infinity")
    say(source, "fine")
    lookout.look(connection)
    say(source, "never again", created_at="-infinity")
    lookout.look(connection)
    assert texts(connection) == ["fine"]
    assert waiting_letters(connection)["reason"].to_list() == ["no time", "no time"]


def test_a_row_that_is_read_by_its_key_and_breaks_the_mapping_is_set_aside_too(
    connection: psycopg.Connection, source: psycopg.Connection, lookout: Lookout
) -> None:
    long = "".join(chr(97 + number % 26) + str(number) for number in range(5_000))
    identity = say(source, long)
    lookout.look(connection)
    source.execute("update conversations set speaker = null where conversation_id = %s", [identity])
    lookout.look(connection)
    assert texts(connection) == []
    assert waiting_letters(connection)["key"].to_list() == [str(identity)]


def test_a_letter_is_answered_when_another_mapping_or_rule_makes_a_message_of_the_row(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    following: TwinSettings,
) -> None:
    say(source, "x" * 200, topic="short")
    short = following.cleaning.model_copy(update={"max_chars": 100})
    lookout.go_by(following.model_copy(update={"cleaning": short}))
    lookout.look(connection)
    assert waiting_letters(connection)["reason"].to_list() == ["a text of more than 100 characters"]
    lookout.go_by(following)
    (seen,) = lookout.look(connection)
    assert seen.drained and seen.drained.taken_over
    assert waiting_letters(connection).is_empty()
    excerpts = connection.execute("select excerpt from dead_letters").fetchall()
    assert excerpts == [("",)], "nothing of a row that is whole stays here twice"


def test_letters_are_replayed_as_their_rows_stand_now(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soon = datetime.now(UTC) + timedelta(days=3)
    say(source, "of a clock that is ahead", created_at=soon)
    say(source, "never mended", speaker=None)
    say(source, "deleted", created_at=None)
    drain(connection, reader, following, feed)
    assert waiting_letters(connection).height == 3
    connection.rollback()

    monkeypatch.setattr("twin_pipelines.sources.messages.datetime", _later(timedelta(days=4)))
    source.execute("delete from conversations where message_text = 'deleted'")
    (account,) = replay(connection, reader, following, feed, "angela")
    assert (account.taken, account.gone, account.waiting) == (1, 1, 1)
    assert account.reasons == ("no speaker",)
    assert texts(connection) == ["of a clock that is ahead"]
    assert capture_store.touched(connection)["day"].to_list() == [soon.date()]
    connection.rollback()
    assert waiting_letters(connection)["reason"].to_list() == ["no speaker"]


def _later(by: timedelta) -> type[datetime]:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + by

    return Later


def test_a_clock_that_is_ahead_is_told_and_makes_no_lag_negative(
    connection: psycopg.Connection,
    source: psycopg.Connection,
    lookout: Lookout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookout.look(connection)
    real = source_store.slot_state

    def ahead(*arguments: Any) -> source_store.SlotState:
        state = real(*arguments)
        return source_store.SlotState(**{**vars(state), "clock": state.clock - timedelta(hours=1)})

    monkeypatch.setattr(source_store, "slot_state", ahead)
    say(source, "committed an hour after now, by that clock")
    (seen,) = lookout.look(connection)
    assert seen.drained and seen.drained.lag_seconds == 0.0
    assert "its clock is 3,600 seconds behind ours" in seen.words
    assert noted(connection)["clock_ahead"] == pytest.approx(-3_600, abs=2)


def test_one_source_that_fails_does_not_keep_another(
    connection: psycopg.Connection, source: psycopg.Connection, following: TwinSettings
) -> None:
    nowhere = Source(
        name="nobody",
        kind="table",
        consent="a test",
        url="postgresql://nobody@127.0.0.1:1/none",
        capture=True,
    )
    both = following.model_copy(update={"sources": (nowhere, *following.sources)})
    say(source, "heard")
    with Lookout(both) as lookout:
        down, up = lookout.look(connection)
    assert "cannot be reached" in down.problem
    assert up.drained
    assert texts(connection) == ["heard"]


def agreed(
    connection: psycopg.Connection, settings: TwinSettings, feed: Feed, days: DayRange = MAY
) -> tuple[int, int, list[str], str]:
    (found,) = compare(connection, settings, feed, days)
    return found.rows, found.days, list(found.differing), found.problem


def test_what_is_on_its_way_set_aside_mended_or_erased_is_no_difference(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
) -> None:
    say(source, "สวัสดีค่ะ \N{WAVING HAND SIGN}", day=1)
    say(source, "mended", day=1, session_id=" s1 ", speaker=" angela ")
    say(source, "of no conversation", day=2, session_id=None)
    say(source, "set aside", day=2, speaker=None)
    erased = say(source, "erased here", day=4)
    drain(connection, reader, following, feed)
    assert agreed(connection, following, feed) == (5, 0, [], "")
    connection.execute(
        "with asked as (insert into erasures (kind, request_hash, asked_by) "
        "values ('message', '', 'a test') returning erasure_id), "
        "gone as (delete from raw_messages where source_message_id = %s returning id) "
        "insert into tombstones (ref, erasure_id) select id, erasure_id from gone, asked",
        [str(erased)],
    )
    connection.commit()
    say(source, "on its way", day=3)
    assert agreed(connection, following, feed) == (6, 0, [], "")
    assert "on its way" in texts(connection)
    source.execute("update conversations set speaker = null where conversation_id = %s", [erased])
    drain(connection, reader, following, feed)
    quoted = dict(connection.execute("select key, excerpt from dead_letters").fetchall())
    assert quoted.pop(str(erased)) == "", "what was erased is quoted nowhere again"
    assert all("set aside" in excerpt for excerpt in quoted.values())


@pytest.mark.parametrize(
    ("damage", "days"),
    [
        ("delete from raw_messages where text = 'one'", 1),
        ("update raw_messages set text = 'another' where text = 'one'", 1),
        (
            "insert into raw_messages (source, source_message_id, conversation_id, speaker, text, "
            "sent_at, day) values ('angela', 'made up', 's', 'angela', 'x', '2018-05-09Z', "
            "'2018-05-09')",
            1,
        ),
    ],
)
def test_what_differs_for_good_is_named_and_mended_by_taking_over_anew(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    *,
    damage: str,
    days: int,
) -> None:
    identity = str(say(source, "one", day=3))
    say(source, "two", day=5)
    drain(connection, reader, following, feed)
    connection.execute(damage)
    connection.commit()
    rows, found, differing, _ = agreed(connection, following, feed)
    assert (rows, found) == (2, days)
    assert differing in ([identity], ["made up"])
    assert agreed(connection, following, feed, DayRange(date(2018, 5, 20), MAY.last))[1] == 0
    source.execute("select pg_drop_replication_slot(%s)", [feed.name])
    drain(connection, reader, following, feed)
    assert agreed(connection, following, feed) == (2, 0, [], "")


def test_a_source_that_cannot_be_compared_is_told(
    connection: psycopg.Connection,
    reader: psycopg.Connection,
    source: psycopg.Connection,
    following: TwinSettings,
    feed: Feed,
    source_url: str,
    database_url: str,
) -> None:
    drain(connection, reader, following, feed)
    reader.close()
    with away(source_url, database_url):
        assert "no database" in agreed(connection, following, feed)[3]


def test_a_slot_that_a_real_server_gave_up_is_made_anew_and_both_sides_agree(
    connection: psycopg.Connection,
    following: TwinSettings,
    open_folder: Callable[[], Path],
) -> None:
    folder = open_folder()
    settings = TwinSettings(home=folder)
    settings.postgres_dir.mkdir()
    (settings.postgres_dir / "local.conf").write_text(
        "fsync = off\nmax_slot_wal_keep_size = 1MB\nmin_wal_size = 32MB\nmax_wal_size = 32MB\n"
        "autovacuum = off\n"
    )
    with open_server(settings) as there:
        with psycopg.connect(there.url("postgres"), autocommit=True) as administrator:
            administrator.execute("create database companion")
        with (
            psycopg.connect(there.url("companion"), autocommit=True) as writer,
            Lookout(changed(following, url=there.url("companion"))) as lookout,
        ):
            writer.execute(CONVERSATIONS)
            gone = say(writer, "deleted while nobody looked", day=1)
            say(writer, "stays", day=2)
            lookout.look(connection)
            writer.execute("delete from conversations where conversation_id = %s", [gone])
            say(writer, "said while nobody looked", day=3)
            for _ in range(4):
                writer.execute(
                    "select pg_logical_emit_message(false, 'noise', 'x'), pg_switch_wal()"
                )
                writer.execute("checkpoint")
            lost = writer.execute("select wal_status from pg_replication_slots").fetchall()
            assert lost == [("lost",)]
            (seen,) = lookout.look(connection)
            assert seen.drained
            assert (seen.drained.taken_over, len(seen.drained.days)) == (True, 2)
            (feed,) = feeds(changed(following, url=there.url("companion")))
            assert agreed(connection, following, feed) == (2, 0, [], "")
    assert noted(connection)["snapshots"] == 2


def test_a_look_is_told_in_one_sentence() -> None:
    assert Look("twin_x", None, "it is down").words == "twin_x: it is down"
    assert json.dumps(looking.skewed(4.0)) == '""'
