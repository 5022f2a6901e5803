"""Which column of a companion's memory table means what: by the usual names, or as mapped.

The usual names are those of companions' databases met so far; a mapping in `memory.imports` names
any other, or says with an empty name that the table has no such column.
"""

from __future__ import annotations

from collections.abc import Iterable

from twin_pipelines.settings import MemoryTable, TwinError

USUAL: dict[str, tuple[str, ...]] = {
    "id": (
        "memory_id",
        "node_id",
        "knowledge_id",
        "emotion_id",
        "dream_id",
        "context_id",
        "id",
        "uuid",
        "session_id",
        "key",
    ),
    "title": ("title", "concept_name", "name", "topic", "label", "heading", "current_topic"),
    "content": (
        "content",
        "my_understanding",
        "understanding",
        "description",
        "summary",
        "context_summary",
        "memory",
        "text",
        "body",
        "value",
        "message_text",
        "note",
        "context",
        "current_context",
    ),
    "kind": ("memory_type", "concept_category", "category", "dream_type", "type", "kind"),
    "emotion": ("emotion", "emotion_name", "emotion_detected", "feeling", "mood"),
    "intensity": ("intensity", "strength", "emotional_intensity"),
    "importance": (
        "importance",
        "importance_level",
        "importance_score",
        "emotional_weight",
        "weight",
        "significance",
    ),
    "confidence": ("confidence", "confidence_level", "confidence_score", "understanding_level"),
    "time": (
        "felt_at",
        "occurred_at",
        "happened_at",
        "dreamed_at",
        "learned_at",
        "started_at",
        "created_at",
        "recorded_at",
        "timestamp",
        "date",
        "time",
        "updated_at",
    ),
    "last": ("updated_at", "last_used_at", "last_activity_at", "last_seen_at", "modified_at"),
    "pinned": ("is_pinned", "pinned"),
    "active": ("is_active", "active"),
    "fulfilled": ("is_fulfilled", "fulfilled", "is_achieved"),
    "fulfilled_at": ("fulfilled_at", "achieved_at"),
    "triggers": ("triggers", "trigger_words", "tags", "keywords"),
    "about": ("about", "speaker", "person"),
    "people": ("people", "participants"),
    "message": ("conversation_id", "message_id", "source_message_id", "related_conversation_id"),
    "context": ("why_important", "why_it_matters", "context", "how_i_learned", "reason"),
}
_SAID_BY = {"emotional": ("content", "emotion", "title")}  # one of these must be there
_SAID_BY_DEFAULT = ("content", "title")


def find_columns(table: MemoryTable, present: Iterable[str]) -> dict[str, str]:
    """Column by field (`USUAL`) of a table with the columns `present`; a column serves one field.

    What the mapping says comes first, then the usual names in their order, whatever their case.
    Raises TwinError when the mapping names a field or column there is none of, or when there is no
    text or no time.
    """
    names = list(present)
    unknown = sorted(set(table.columns) - set(USUAL))
    if unknown:
        raise TwinError(
            f"The import of {table.table} maps {', '.join(unknown)}, which a memory does not have; "
            f"use {', '.join(USUAL)} under columns in twin.toml."
        )
    missing = [name for name in table.columns.values() if name and name not in names]
    if missing:
        raise TwinError(
            f"The table {table.table} has no column {', '.join(missing)} (found: "
            f"{', '.join(names)}); correct columns of its import in twin.toml."
        )
    found = {field: name for field, name in table.columns.items() if name}
    by_lower = {name.lower(): name for name in reversed(names)}
    for field, usual in USUAL.items():
        free = [by_lower[name] for name in usual if name in by_lower]
        chosen = next((name for name in free if name not in found.values()), None)
        if field not in table.columns and chosen:
            found[field] = chosen
    _demand(table, found, names)
    return found


def _demand(table: MemoryTable, found: dict[str, str], names: list[str]) -> None:
    texts = _SAID_BY.get(table.type, _SAID_BY_DEFAULT)
    lacking = [] if any(field in found for field in texts) else ["content"]
    lacking += [] if "time" in found else ["time"]
    if lacking:
        raise TwinError(
            f"Which column of {table.table} is its {' and its '.join(lacking)} is not clear "
            f"(found: {', '.join(names)}); say so under columns of its import in twin.toml."
        )
