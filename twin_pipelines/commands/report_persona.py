"""The page "Persona" of `twin report`: what its template needs, as plain values."""

from __future__ import annotations

import base64
from typing import Any

import polars as pl
import psycopg

from twin_pipelines.persona import store
from twin_pipelines.persona.identity import store as identity_store
from twin_pipelines.persona.style import store as style_store
from twin_pipelines.settings import TwinSettings
from twin_pipelines.sources.store import stored_subject

SHOWN = 25  # rows of a table
WORDS_SHOWN = 40
OF_SITUATION = 3
HALF_WIDTH, EDGE = 100, 110  # pixels of 3 SD, and where 0 lies
PLOTS = "persona"  # folder of the state folder


def persona_page(connection: psycopg.Connection, settings: TwinSettings) -> dict[str, Any] | None:
    """Everything `report_persona.html.j2` shows; None before the first persona page."""
    who = stored_subject(connection)
    stored = identity_store.latest_identity(connection, who.speaker) if who else None
    if who is None or stored is None:
        return None
    return {
        "name": who.name,
        "version": stored.version,
        "tokens": stored.tokens,
        "budget": settings.persona.identity_tokens,
        "sections": [
            {
                "title": section.title,
                "inline": section.inline,
                "lines": [
                    {
                        "text": line.text,
                        "source": line.source,
                        "note": f"{len(line.message_ids)} messages",
                    }
                    for line in section.lines
                ],
            }
            for section in stored.page.sections
        ],
        "removed": [one.text for one in stored.page.removed],
        "waiting": [line.text for section in stored.page.waiting for line in section.lines],
        "traits": [_bar(row) for row in identity_store.load_traits(connection).to_dicts()],
        "preferences": store.load_preferences(connection, speaker=who.speaker)
        .sort("sessions", "confidence", "preference_key", descending=[True, True, False])
        .head(SHOWN)
        .to_dicts(),
        "habits": _habits(style_store.load_style(connection)),
        "words": _words(style_store.load_vocabulary(connection)),
        "templates": _templates(store.load_templates(connection)),
        "plots": [
            (file.stem.replace("_", " "), base64.b64encode(file.read_bytes()).decode())
            for file in sorted((settings.home / PLOTS).glob("*.png"))
        ],
    }


def _bar(row: dict[str, Any]) -> dict[str, Any]:
    """A trait with the pixels of its interval and value."""
    low, at, high = (
        EDGE + HALF_WIDTH / 3 * max(-3.0, min(3.0, row[name])) for name in ("low", "value", "high")
    )
    return {
        **row,
        "left": round(low, 1),
        "width": round(max(1.0, high - low), 1),
        "at": round(at, 1),
        "apart": row["low"] > 0 or row["high"] < 0,
    }


def _habits(style: pl.DataFrame) -> list[dict[str, Any]]:
    known = style.filter(pl.col("distinction").is_not_null(), pl.col("background").is_not_null())
    example = pl.col("examples").list.first().fill_null("")
    return known.with_columns(example.alias("example")).head(SHOWN).to_dicts()


def _words(vocabulary: pl.DataFrame) -> list[tuple[str, list[str]]]:
    kinds = {"word": "words", "phrase": "phrases", "emoji": "emoji", "never": "never said"}
    found = [
        (said, vocabulary.filter(pl.col("kind") == kind)["term"].head(WORDS_SHOWN).to_list())
        for kind, said in kinds.items()
    ]
    return [(said, terms) for said, terms in found if terms]


def _templates(templates: pl.DataFrame) -> list[dict[str, Any]]:
    best = templates.sort("share", "uses", descending=True).group_by(
        "situation", maintain_order=True
    )
    return best.head(OF_SITUATION).sort("situation", maintain_order=True).to_dicts()
