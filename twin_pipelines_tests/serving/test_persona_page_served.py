"""The release's persona page stands in every prompt where the owner wants it, and else nowhere."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg.types.json import Jsonb

from twin_pipelines.promotion.store import release_in_force
from twin_pipelines.serving.voice import load_voice
from twin_pipelines.settings import TwinSettings, load_settings

PAGE = "## About Mali\n- I am from Lampang ครับ"


def test_the_page_of_the_release_is_told_only_where_it_is_asked_for(
    served: TwinSettings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(
        "update releases set persona = persona || %s where status = 'champion'",
        (Jsonb({"identity": PAGE, "identity_version": 3}),),
    )
    release = release_in_force(connection)
    assert release
    plain = load_voice(release, served)
    assert PAGE not in plain.system
    monkeypatch.setenv("TWIN_SERVING__PERSONA_PAGE", "true")
    load_settings.cache_clear()
    told = load_voice(release, load_settings(), plain)
    assert told.system.startswith(f"{release.system_prompt}\n\n{PAGE}\n\n")
    assert replace(release, identity_version=4).version != release.version
