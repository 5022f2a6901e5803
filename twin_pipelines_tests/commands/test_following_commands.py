"""`twin follow --stop` and `twin replay` say what they did, and what to do where they cannot."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, cast

import psycopg
import pytest
from followed import say, source, source_url
from typer.testing import CliRunner

from twin_pipelines.cli import app
from twin_pipelines.commands.bench_cdc_writer import Watcher, Writer
from twin_pipelines.commands.follow import Ended
from twin_pipelines.settings import TwinError, TwinSettings, load_settings
from twin_pipelines.sources.capture.looking import Lookout

__all__ = ["source", "source_url"]


def write(settings: TwinSettings, source_url: str, *, capture: bool) -> TwinSettings:
    (settings.home / "twin.toml").write_text(
        f'sources = [{{ name = "angela", kind = "table", consent = "David, 2026", '
        f'url = "{source_url}", capture = {str(capture).lower()} }}]\n'
    )
    load_settings.cache_clear()
    return load_settings()


@pytest.fixture
def written(twin_home: TwinSettings, source_url: str, source: psycopg.Connection) -> TwinSettings:
    """Settings as a user writes them: a table that is followed."""
    return write(twin_home, source_url, capture=True)


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def look(connection: psycopg.Connection, settings: TwinSettings) -> None:
    with Lookout(settings) as lookout:
        lookout.look(connection)


def test_rows_set_aside_are_tried_again_and_accounted_for(
    written: TwinSettings, source: psycopg.Connection, connection: psycopg.Connection
) -> None:
    assert "No row is set aside" in told("replay")
    say(source, "without a speaker", speaker=None)
    look(connection, written)
    assert "0 taken over, 0 gone from the source, 1 still set aside (no speaker)" in told("replay")
    source.execute("delete from conversations")
    (account,) = json.loads(told("replay", "--source", "angela", "--json"))
    assert (account["taken"], account["gone"], account["waiting"]) == (0, 1, 0)


def test_a_source_that_is_not_followed_cannot_be_replayed(written: TwinSettings) -> None:
    with pytest.raises(TwinError, match="No source nobody is followed"):
        told("replay", "--source", "nobody")


def test_a_feed_is_stopped_once_twin_toml_says_so(
    written: TwinSettings,
    source: psycopg.Connection,
    source_url: str,
    connection: psycopg.Connection,
) -> None:
    look(connection, written)
    with pytest.raises(TwinError, match="capture = false"):
        told("follow", "--stop", "angela")
    write(written, source_url, capture=False)
    assert "its slot and publication are removed there" in told("follow", "--stop", "angela")
    slots = "select count(*) from pg_replication_slots where database = current_database()"
    assert source.execute(slots).fetchone() == (0,)


def test_a_thread_that_fails_ends_the_other_and_is_not_forgotten() -> None:
    ended = Ended()
    with ended.both():
        raise ZeroDivisionError
    assert ended.stop.is_set()
    assert isinstance(ended.failure, ZeroDivisionError)


class Said:
    """What a writer of the benchmark has said."""

    def __init__(self) -> None:
        self.committed = {"kept": time.monotonic(), "taken back": time.monotonic()}
        self.deleted: set[str] = set()


def test_the_benchmark_does_not_wait_for_what_was_deleted_before_it_landed(
    connection: psycopg.Connection, database_url: str
) -> None:
    said = Said()
    watcher = Watcher(database_url, cast(Writer, said))
    assert watcher.missing() == {"kept": False, "taken back": False}
    said.deleted.add("taken back")
    assert watcher.missing() == {"kept": False}
    connection.execute("insert into consents values ('companion', 'table', 'there', 'a test')")
    connection.execute(
        "insert into raw_messages (source, source_message_id, conversation_id, speaker, text, "
        "sent_at, day) values ('companion', 'kept', 'c', 'angela', 'x', now(), current_date)"
    )
    connection.commit()
    _until(watcher, {"kept": True})


def _until(watcher: Watcher, missing: dict[str, Any]) -> None:
    done = threading.Event()
    with watcher:
        for _ in range(100):
            if watcher.missing() == missing:
                done.set()
                break
            time.sleep(0.05)
    assert done.is_set()
