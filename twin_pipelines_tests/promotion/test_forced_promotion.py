"""Against the gate's word only by name, with a reason, and so that nobody edits it later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import psycopg
import pytest
from judged_metrics import PARTS

from twin_pipelines.commands.promote import standing, standing_lines
from twin_pipelines.foundation import alerts_store
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.promotion import checks, notes_store, release, signature, store
from twin_pipelines.promotion.gate import judge
from twin_pipelines.settings import Gate, TwinError, TwinSettings

Evaluated = Callable[..., str]
Candidates = Callable[..., pl.DataFrame]


@pytest.fixture
def refused(connection: psycopg.Connection, evaluated: Evaluated, good: dict[str, Any]) -> int:
    """A release that the gate refused."""
    good["reply_perplexity"].update(ratio=1.2, ratio_ci95=[1.1, 1.3])
    identity = evaluated("a1", good)
    saved = store.save_release(
        connection,
        adapter_id="a1",
        evaluation_id=identity,
        model_version=1,
        verdict=judge(good, Gate()).as_dict(),
        parts=PARTS,
    )
    connection.commit()
    return saved.release_id


@pytest.fixture
def forced(
    connection: psycopg.Connection,
    refused: int,
    candidates: Candidates,
    twin_home: TwinSettings,
) -> store.Release:
    key = signature.signing_key(twin_home.home)
    force = release.Force("mali", "the old one is unbearable", key)
    promoted = release.promote(connection, refused, candidates(0.9), force)
    connection.commit()
    return promoted


def test_a_refused_release_serves_only_when_forced_and_leaves_its_note(
    connection: psycopg.Connection,
    forced: store.Release,
    twin_home: TwinSettings,
) -> None:
    assert (forced.status, forced.forced) == ("champion", True)
    (note,) = notes_store.notes(connection)
    assert (note.signed_by, note.reason) == ("mali", "the old one is unbearable")
    assert note.verdict()["passed"] is False
    assert checks.forced_promotions_are_signed(TwinResource()).passed
    found = standing(connection, twin_home)
    (line,) = standing_lines(found)
    assert "was forced by mali" in line
    assert "signature valid. The gate had said: Refused: perplexity" in line
    key = twin_home.home / signature.KEY_FILE
    assert key.stat().st_mode & 0o077 == 0, "only its owner may read the key"


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("update promotion_notes set reason = 'it was the best'", "differs from what was signed"),
        ("update promotion_notes set signed_by = 'somebody'", "differs from what was signed"),
        (
            "update promotion_notes set document = replace(document, 'unbearable', 'fine'),"
            " reason = 'the old one is fine'",
            "was changed after it was signed",
        ),
        ("update promotion_notes set signature = 'x'", "was changed after it was signed"),
        ("delete from promotion_notes", "was forced and no note stands under it"),
    ],
)
def test_tampering_with_a_note_is_found(
    connection: psycopg.Connection, forced: store.Release, tampering: str, told: str
) -> None:
    connection.execute(tampering)
    connection.commit()
    found = checks.forced_promotions_are_signed(TwinResource())
    assert not found.passed
    assert told in str(found.description)


def test_a_lost_key_is_told_and_status_still_speaks(
    connection: psycopg.Connection, forced: store.Release, twin_home: TwinSettings
) -> None:
    (twin_home.home / signature.KEY_FILE).unlink()
    (line,) = standing_lines(standing(connection, twin_home))
    assert "cannot be read; restore it" in line
    assert not checks.forced_promotions_are_signed(TwinResource()).passed


def test_an_alert_is_a_warning_of_the_graph_and_a_line_of_the_status(
    connection: psycopg.Connection, twin_home: TwinSettings
) -> None:
    assert checks.champion_can_be_replaced(TwinResource()).passed
    for words in ("3 in a row", "4 in a row"):
        alerts_store.raise_alert(connection, release.REPLACEMENT_REFUSED, words)
    connection.commit()
    found = checks.champion_can_be_replaced(TwinResource())
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    (line,) = standing_lines(standing(connection, twin_home))
    assert line.endswith("4 in a row"), "one alert of a kind, with the latest words"
    alerts_store.clear_alert(connection, release.REPLACEMENT_REFUSED)
    connection.commit()
    assert standing(connection, twin_home)["alerts"] == []


def test_a_challenger_that_passed_needs_no_note_even_when_forced(
    connection: psycopg.Connection, evaluated: Evaluated, good: dict, candidates: Candidates
) -> None:
    saved = store.save_release(
        connection,
        adapter_id="a1",
        evaluation_id=evaluated("a1", good),
        model_version=1,
        verdict=judge(good, Gate()).as_dict(),
        parts=PARTS,
    )
    force = release.Force("mali", "to be sure", b"k" * 32)
    assert not release.promote(connection, saved.release_id, candidates(0.9), force).forced
    assert notes_store.notes(connection) == []


def test_the_note_survives_whatever_floats_the_verdict_holds(tmp_path: Path) -> None:
    verdict = {"passed": False, "words": "Refused: ยังไม่ดี", "figure": 1e-07, "n": [0.1 + 0.2]}
    key = signature.signing_key(tmp_path)
    assert signature.signing_key(tmp_path) == key
    note = signature.signed_note(
        key,
        release_id=1,
        replaced=None,
        adapter_id="a",
        evaluation_id="e",
        signed_by="mali",
        reason="because",
        signed_at=datetime.now(UTC),
        verdict=verdict,
    )
    assert signature.note_fault(key, note) is None
    assert signature.note_fault(b"other key, as long", note)
    assert note.verdict() == verdict


@pytest.mark.parametrize("content", ["not hexadecimal", "abcd", ""])
def test_a_broken_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / signature.KEY_FILE).write_text(content)
    with pytest.raises(TwinError, match="restore it"):
        signature.signing_key(tmp_path)
