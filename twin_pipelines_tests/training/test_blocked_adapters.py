"""What an erasure reached is known: which datasets held it, and which adapters learnt it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import dagster as dg
import psycopg
import pytest

from twin_pipelines.foundation.database import connect
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines.training.assets import _plan
from twin_pipelines.training.blocks_store import (
    Affected,
    affected,
    block,
    blocked_adapters,
    erased_of_dataset,
)
from twin_pipelines.training.export.assets import Wanted, prepare
from twin_pipelines.training.staleness import Changes, stale_adapter
from twin_pipelines.training.staleness_store import changes_since

Say = Callable[[int], str]


def message(number: int) -> str:
    """raw_messages.id of the message."""
    return str(uuid.UUID(int=number))


@pytest.fixture
def learnt(connection: psycopg.Connection) -> psycopg.Connection:
    """Ten messages: each but the first answers the one before. Dataset d holds the pairs of 1 to 9:
    6 in train, 2 in validation, the last in test. Adapter a was trained on it, b on another."""
    connection.execute(
        """
        insert into consents (source, kind, location, granted) values ('s', 'file', 'f', 'ann');
        insert into raw_messages
            (source, source_message_id, conversation_id, speaker, text, sent_at, day)
        select 's', n::text, 'c', 'ann', 'x', moment, moment::date
        from generate_series(0, 9) as n,
             lateral (select '2018-05-01 09:00Z'::timestamptz + n * interval '1 hour' as moment);
        insert into instruct_pairs
            (id, day, source, conversation_id, session_id, partner, replied_at, context, input,
             reply, language, quality, quality_parts, message_ids)
        select reply.id, reply.day, 's', 'c', reply.id, 'p', reply.sent_at, '[]', 'hi',
               'a reply', 'en', 5, '{}', array[asked.id, reply.id]
        from raw_messages as reply
        join raw_messages as asked
            on asked.source_message_id::int = reply.source_message_id::int - 1;
        insert into datasets (version, subject, settings, train, validation, test, purged,
                              train_until, test_from, path)
        select version, 'ann', '{}', 6, 2, 1, '{}', now(), now(), 'datasets/' || version
        from unnest(array['d', 'other']) as version;
        insert into dataset_pairs (version, pair_id, split, message_ids, content_hash)
        select 'd', id, case when source_message_id::int <= 6 then 'train'
                             when source_message_id::int <= 8 then 'validation' else 'test' end,
               message_ids, pair_hash(context, input, reply)
        from raw_messages join instruct_pairs using (id);
        insert into adapters (adapter_id, dataset_version, base_model, base_hash, config,
                              code_version, path, metrics, mlflow_run_id)
        values ('a', 'd', 'b', 'b', '{}', '1', 'adapters/a', '{}', 'run'),
               ('b', 'other', 'b', 'b', '{}', '1', 'adapters/b', '{}', 'run');
        insert into evaluations (evaluation_id, adapter_id, metrics, path)
        values ('e', 'a', '{}', 'evaluations/e');
        insert into releases (adapter_id, evaluation_id, model_version, status, verdict)
        values ('a', 'e', 1, 'challenger', '{"passed": true, "words": "", "conditions": []}');
        """
    )
    connection.commit()
    return connection


@pytest.fixture
def said(learnt: psycopg.Connection) -> Say:
    """raw_messages.id by the message's number."""

    def identity(number: int) -> str:
        row = learnt.execute(
            "select id::text from raw_messages where source_message_id = %s", (str(number),)
        ).fetchone()
        assert row
        return row[0]

    return identity


def add_adapter(connection: psycopg.Connection, name: str, metrics: str = "{}") -> None:
    connection.execute(
        "insert into adapters (adapter_id, dataset_version, base_model, base_hash, config, "
        "code_version, path, metrics, mlflow_run_id) "
        "values (%s, 'd', 'b', 'b', '{}', '1', 'p', %s, 'run')",
        (name, metrics),
    )


def test_a_message_is_found_in_replies_and_in_what_was_asked_before_them(
    learnt: psycopg.Connection, said: Say
) -> None:
    asked_and_answered = affected(learnt, [said(3)])
    assert asked_and_answered == [Affected("d", {"train": 2}, ("a",), (1,))]
    (mixed,) = affected(learnt, [said(6), said(8), message(999)])
    assert mixed.parts == {"train": 1, "validation": 2, "test": 1}
    assert mixed.learnt == 3
    assert affected(learnt, []) == []
    assert blocked_adapters(learnt) == {}, "looking blocks nobody"


def test_what_learnt_it_is_blocked_and_a_number_is_all_that_stays(
    learnt: psycopg.Connection, said: Say
) -> None:
    gone = [said(3), said(8)]
    (blocked,) = block(learnt, "e1", gone)
    assert (blocked.adapter_id, blocked.dataset_version) == ("a", "d")
    assert blocked_adapters(learnt) == {
        "a": "it learnt what was erased (2 of train, 1 of validation)"
    }
    left = learnt.execute(
        "select count(*) from dataset_pairs where message_ids && %s::uuid[]", (gone,)
    ).fetchone()
    assert left == (0,)
    assert erased_of_dataset(learnt, "d") == 3
    assert block(learnt, "e1", gone) == [blocked], "the same again changes nothing"
    assert erased_of_dataset(learnt, "d") == 3


def test_a_message_that_is_gone_already_still_blocks(learnt: psycopg.Connection, said: Say) -> None:
    gone = said(3)
    learnt.execute("delete from instruct_pairs where %s = any(message_ids)", (gone,))
    learnt.execute("delete from raw_messages where id = %s", (gone,))
    assert [one.adapter_id for one in block(learnt, "e1", [gone])] == ["a"]


def test_what_was_only_tested_with_blocks_nobody(learnt: psycopg.Connection, said: Say) -> None:
    assert block(learnt, "e1", [said(9)]) == []
    assert erased_of_dataset(learnt, "d") == 0
    changes = changes_since(learnt, "d")
    assert (changes.learnt, changes.tested, changes.stale) == (0, 1, True)
    assert stale_adapter(changes) == ""


def test_corrections_judged_answers_and_prompts_block_too(learnt: psycopg.Connection) -> None:
    (correction,) = learnt.execute(
        "insert into corrections (prompt, rejected, chosen, made_by) values "
        "('[{}]', 'no', 'yes', 'page') returning id::text"
    ).fetchone() or ("",)
    learnt.execute(
        "insert into preference_pairs (version, number, kind, correction_id) "
        "values ('d', 0, 'correction', %s)",
        (correction,),
    )
    assert block(learnt, "e1", [], correction_ids=[correction]) == [], "it learnt no preferences"
    learnt.execute("""update adapters set metrics = '{"preferences": {}}' where adapter_id = 'a'""")
    (blocked,) = block(learnt, "e2", [], correction_ids=[correction])
    assert blocked.reason == "it learnt what was erased (1 of its corrections)"
    add_adapter(learnt, "later", '{"preferences": {}}')
    assert set(blocked_adapters(learnt)) == {"a"}, "what is trained later has other corrections"
    (prompted,) = block(learnt, "e3", [], versions=["other"])
    assert (prompted.adapter_id, prompted.reason) == (
        "b",
        "it learnt what was erased (in its prompt)",
    )


def test_a_training_that_was_under_way_is_blocked_when_it_ends(
    learnt: psycopg.Connection, said: Say, database_url: str
) -> None:
    block(learnt, "e1", [said(3)])
    ended = threading.Event()

    def save() -> None:
        with connect(database_url) as other:
            add_adapter(other, "late")
            other.commit()
        ended.set()

    thread = threading.Thread(target=save)
    thread.start()
    assert not ended.wait(0.3), "it waits until the erasure is whole"
    learnt.commit()
    thread.join(10)
    assert set(blocked_adapters(learnt)) == {"a", "late"}


def test_what_may_not_answer_is_not_exported(
    learnt: psycopg.Connection, said: Say, twin_home: TwinSettings
) -> None:
    block(learnt, "e1", [said(3)])
    with pytest.raises(TwinError, match="a is not exported: it learnt what was erased"):
        prepare(learnt, twin_home, Wanted(adapter_id="a"))


def test_nothing_is_trained_on_a_dataset_that_was_erased_in_part(
    learnt: psycopg.Connection, twin_home: TwinSettings
) -> None:
    learnt.execute("update datasets set chosen_at = clock_timestamp() where version = 'other'")
    block(learnt, "e1", [], versions=["other"])
    with pytest.raises(dg.Failure, match="Part of what dataset other teaches was erased"):
        _plan(learnt, twin_home)


def test_what_became_of_the_pairs_is_told_apart(learnt: psycopg.Connection, said: Say) -> None:
    assert changes_since(learnt, "d") == Changes("d", 0, 0, 0, 0)
    assert stale_adapter(changes_since(learnt, "d")) == ""
    learnt.execute("update instruct_pairs set reply = 'another' where id = %s", (said(1),))
    learnt.execute(
        """update instruct_pairs set context = '[{"role": "user", "content": "ก่อน"}]'
        where id = %s""",
        (said(2),),
    )
    learnt.execute("update instruct_pairs set excluded = 'too short' where id = %s", (said(3),))
    learnt.execute("delete from instruct_pairs where id = %s", (said(4),))
    learnt.execute(
        "insert into forgotten (hidden_ids, words) values (array[%s::uuid], 'hi')", (said(6),)
    )
    learnt.execute("delete from raw_messages where id = any(%s)", ([said(5), said(9)],))
    changes = changes_since(learnt, "d")
    assert changes == Changes("d", erased=1, dropped=4, edited=2, tested=1)
    assert changes.words == (
        "of the pairs it taught 1 erased, 4 no longer usable and 2 edited since; "
        "1 of its test changed"
    )
    assert stale_adapter(changes).startswith("Dataset d is no longer what it was: of the pairs")


def test_a_dataset_from_before_tells_deletions_only(learnt: psycopg.Connection, said: Say) -> None:
    learnt.execute("update dataset_pairs set content_hash = null")
    learnt.execute("update instruct_pairs set reply = 'another' where id = %s", (said(1),))
    learnt.execute("delete from raw_messages where id = %s", (said(2),))
    changes = changes_since(learnt, "d")
    assert (changes.erased, changes.edited, changes.untold) == (1, 0, 9)
