"""A release that learnt what was erased serves only when somebody signs for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.types.json import Jsonb
from rich.console import Console

from twin_pipelines.commands import promote as command
from twin_pipelines.evaluation.store import serving_adapter
from twin_pipelines.foundation.database import Databases
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.promotion import checks, store
from twin_pipelines.promotion.gate import judge
from twin_pipelines.promotion.parts import ReleaseParts
from twin_pipelines.promotion.release import (
    NOTHING_ERASED,
    Force,
    allow_erased,
    promote,
    rollback,
)
from twin_pipelines.promotion.signature import signing_key
from twin_pipelines.settings import Gate, TwinError, TwinSettings
from twin_pipelines.training.blocks_store import block, blocked_adapters

Evaluated = Callable[..., str]
MESSAGE = "00000000-0000-4000-8000-00000000abcd"
PARTS = ReleaseParts({}, {}, "", "", "")


@pytest.fixture
def released(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict[str, Any], candidates: Any
) -> Callable[[str], int]:
    """Registers an adapter of a dataset of its own, as the challenger; returns the release."""

    def make(adapter: str) -> int:
        evaluation = evaluated(adapter, good)
        connection.execute(
            "insert into datasets select %(new)s, subject, settings, train, validation, test, "
            "purged, train_until, test_from, path from datasets where version = 'd'",
            {"new": f"d-{adapter}"},
        )
        connection.execute(
            "update adapters set dataset_version = %s where adapter_id = %s",
            (f"d-{adapter}", adapter),
        )
        connection.execute(
            "insert into dataset_pairs (version, pair_id, split, message_ids) "
            "values (%(version)s, %(id)s, 'train', array[%(id)s]::uuid[])",
            {"version": f"d-{adapter}", "id": MESSAGE},
        )
        saved = store.save_release(
            connection,
            adapter_id=adapter,
            evaluation_id=evaluation,
            model_version=1,
            verdict=judge(good, Gate()).as_dict(),
            parts=PARTS,
        )
        connection.commit()
        return saved.release_id

    return make


@pytest.fixture
def none_remembered(candidates: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    return candidates()


def erase_from(connection: psycopg.Connection, *adapters: str) -> None:
    """An erasure that only these adapters' datasets held."""
    connection.execute(
        "delete from dataset_pairs where version <> all(%s)", ([f"d-{one}" for one in adapters],)
    )
    assert [one.adapter_id for one in block(connection, "erasure-1", [MESSAGE])] == sorted(adapters)


def signed(settings: TwinSettings) -> Force:
    return Force("David", "the family agreed", signing_key(settings.home))


def test_the_gate_refuses_it_and_no_force_lets_it_serve(
    connection: psycopg.Connection,
    released: Callable[[str], int],
    good: dict[str, Any],
    none_remembered: pl.DataFrame,
    twin_home: TwinSettings,
) -> None:
    number = released("a")
    erase_from(connection, "a")
    reason = blocked_adapters(connection)["a"]
    verdict = judge(good, Gate(), None, reason)
    refused = [one.name for one in verdict.conditions if not one.passed]
    assert refused == [NOTHING_ERASED]
    assert "it learnt what was erased (1 of train), so it may answer nobody" in verdict.words
    for force in (None, signed(twin_home)):
        with pytest.raises(TwinError, match=f"Release {number} may not serve: it learnt what was"):
            promote(connection, number, none_remembered, force=force)
    assert store.champion(connection) is None


def test_who_signs_for_it_lets_it_serve_though_the_gate_refused_that_alone(
    connection: psycopg.Connection,
    released: Callable[[str], int],
    good: dict[str, Any],
    none_remembered: pl.DataFrame,
    twin_home: TwinSettings,
) -> None:
    number = released("a")
    erase_from(connection, "a")
    verdict = judge(good, Gate(), None, blocked_adapters(connection)["a"]).as_dict()
    connection.execute("update releases set status = 'refused', verdict = %s", (Jsonb(verdict),))
    promoted = promote(connection, number, none_remembered, allow=signed(twin_home))
    assert (promoted.status, promoted.blocked, promoted.forced) == ("champion", "", False)
    assert serving_adapter(connection) == "a"
    connection.commit()
    assert checks.forced_promotions_are_signed(TwinResource()).passed
    (allowed,) = command.standing(connection, twin_home)["allowed_adapters"]
    assert (allowed["by"], allowed["reason"], allowed["fault"]) == (
        "David",
        "the family agreed",
        None,
    )
    connection.execute("update adapter_blocks set allowed_by = 'Somchai'")
    connection.commit()
    fault = checks.forced_promotions_are_signed(TwinResource()).description
    assert "the allowance of adapter a differs from what was signed: allowed_by" in str(fault)
    assert any("Somchai" in line for line in lines(connection, twin_home))


def lines(connection: psycopg.Connection, settings: TwinSettings) -> list[str]:
    return command.standing_lines(command.standing(connection, settings))


def test_a_later_erasure_blocks_it_anew(
    connection: psycopg.Connection, released: Callable[[str], int], twin_home: TwinSettings
) -> None:
    released("a")
    erase_from(connection, "a")
    assert allow_erased(connection, "a", signed(twin_home)) == 1
    assert blocked_adapters(connection) == {}
    connection.execute(
        "insert into dataset_pairs (version, pair_id, split) values ('d-a', %s, 'train')",
        (MESSAGE,),
    )
    block(connection, "erasure-2", [MESSAGE])
    assert set(blocked_adapters(connection)) == {"a"}
    assert any("Adapter a may not answer" in line for line in lines(connection, twin_home))


def test_rolling_back_passes_over_it_and_to_it_is_refused(
    connection: psycopg.Connection,
    released: Callable[[str], int],
    none_remembered: pl.DataFrame,
    twin_home: TwinSettings,
) -> None:
    first, second, third = (served(connection, released(name), none_remembered) for name in "abc")
    erase_from(connection, "b")
    champion = store.champion(connection)
    assert champion and champion.release_id == third
    before = store.previous_champion(connection, champion)
    assert before and before.release_id == first
    with pytest.raises(TwinError, match=f"Release {second} may not serve: it learnt what was"):
        rollback(connection, second)
    assert rollback(connection).release_id == first
    again = promote(connection, second, none_remembered, allow=signed(twin_home))
    assert (again.release_id, again.status) == (second, "champion")


def test_without_any_that_may_answer_there_is_nothing_to_go_back_to(
    connection: psycopg.Connection, released: Callable[[str], int], none_remembered: pl.DataFrame
) -> None:
    for name in "ab":
        served(connection, released(name), none_remembered)
    erase_from(connection, "a", "b")
    with pytest.raises(TwinError, match="No earlier release has served that may answer still"):
        rollback(connection)


def test_a_challenger_is_not_held_against_a_champion_that_may_not_answer(
    connection: psycopg.Connection,
    released: Callable[[str], int],
    none_remembered: pl.DataFrame,
    twin_home: TwinSettings,
) -> None:
    served(connection, released("a"), none_remembered)
    erase_from(connection, "a")
    connection.commit()
    shown = checks.champion_is_current(TwinResource())
    assert not shown.passed
    assert "answers nobody: it learnt what was erased (1 of train)" in str(shown.description)
    assert serving_adapter(connection) is None, "the next evaluation runs without it"
    clean = released("b")
    promoted = promote(connection, clean, none_remembered)
    assert promoted.release_id == clean


def served(connection: psycopg.Connection, number: int, memories: pl.DataFrame) -> int:
    """The release, promoted; whoever served before is retired."""
    release = store.release(connection, number)
    assert release
    connection.execute(
        "update evaluations set champion_id = %s where evaluation_id = %s",
        (serving_adapter(connection), release.evaluation_id),
    )
    promote(connection, number, memories)
    connection.commit()
    return number


def test_the_command_wants_a_name_and_a_reason(twin_home: TwinSettings) -> None:
    with pytest.raises(TwinError, match="say who and why"):
        command.promote_release(
            twin_home, Databases("", "", ""), Console(), None, allow_erased=True, by="David"
        )
