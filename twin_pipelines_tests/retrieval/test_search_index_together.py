"""Writers of turns and of memories and two drainers at once: nobody blocks another for good."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from made_turns import turns_of
from remembered import WordEncoder, remember

from twin_pipelines.foundation.database import connect, copy_frame
from twin_pipelines.retrieval.index import check_store, sample
from twin_pipelines.retrieval.index.refresh import index_queued

SECONDS = 6.0


@pytest.mark.slow
def test_writers_and_drainers_at_once_end_with_an_exact_index(
    connection: psycopg.Connection, database_url: str
) -> None:
    turns = turns_of([[("Sue", f"I like {word}") for word in ("tea", "cats", "แมว")]] * 8)
    copy_frame(connection, "cleaned_messages", turns)
    memories = [remember(connection, f"Sue likes {n} cats", days=n) for n in range(6)]
    connection.commit()
    until = time.monotonic() + SECONDS
    failures: list[BaseException] = []
    done = {"turns": 0, "memories": 0, "drained": 0}

    def change_turns(one: psycopg.Connection, rng: random.Random) -> None:
        row = rng.randrange(turns.height)
        one.execute(
            "update cleaned_messages set text = text || ' ok' where id = %s",
            [turns["id"][rng.randrange(turns.height)]],
        )
        one.execute("delete from cleaned_messages where id = %s", [turns["id"][row]])
        if rng.random() < 0.7:
            copy_frame(one, "cleaned_messages", turns[row])
        one.commit() if rng.random() < 0.8 else one.rollback()
        done["turns"] += 1

    def change_memories(one: psycopg.Connection, rng: random.Random) -> None:
        for memory in rng.sample(memories, 3):
            status = rng.choice(["active", "archived", "quarantined"])
            one.execute("update memories set status = %s where memory_id = %s", [status, memory])
        one.execute("delete from memories where memory_id = %s", [rng.choice(memories)])
        one.commit() if rng.random() < 0.3 else one.rollback()
        done["memories"] += 1

    def drain(one: psycopg.Connection, _: random.Random) -> None:
        index_queued(one, WordEncoder())
        done["drained"] += 1

    def over_and_over(step: Callable[[psycopg.Connection, random.Random], None], seed: int) -> None:
        rng = random.Random(seed)
        try:
            with connect(database_url) as one:
                while time.monotonic() < until:
                    step(one, rng)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=over_and_over, args=(step, seed))
        for seed, step in enumerate((change_turns, change_memories, drain, drain))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 60)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)
    assert all(done.values()), done
    index_queued(connection, WordEncoder(), wait=True)
    counts = check_store.recounted(connection)
    assert counts["kept"].to_list() == counts["counted"].to_list()
    covered = check_store.coverage(connection)
    assert covered["missing"].sum() == covered["unwanted"].sum() == 0
    assert sample.outdated(connection, 100) == 0
