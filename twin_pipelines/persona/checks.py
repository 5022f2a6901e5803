"""What must be true of what is said about the subject before a prompt may hold it."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import dagster as dg
import polars as pl

from twin_pipelines.foundation.quality import table_checks
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.persona import store
from twin_pipelines.persona.identity import store as identity_store
from twin_pipelines.persona.identity.compose import fit_for_prompt
from twin_pipelines.persona.identity.page import GENERATED, Page
from twin_pipelines.persona.style import store as style_store
from twin_pipelines.persona.style.measure import FEATURES
from twin_pipelines.persona.style.rules import style_rules
from twin_pipelines.sources.store import subject


def _sound_templates(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToMatchRegex(column="template", regex=r"[^\s{}]"),
        gxe.ExpectColumnValuesToBeBetween(column="uses", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="sessions", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="more_sessions", value_set=[0]),
        gxe.ExpectColumnValuesToBeBetween(column="share", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="examples", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="messages", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
    ]


templates_are_sound = table_checks(
    "response_templates",
    "templates_are_sound",
    store.template_faults,
    _sound_templates,
    severity="critical",
    description="Every template says something, is counted soundly and names existing messages.",
)


def _sound_preferences(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="key_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="value_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", min_value=0, max_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="sessions", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="messages", min_value=1),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[0])
            for name in ("unknown_messages", "foreign_messages", "backward", "lost")
        ),
    ]


preferences_are_sound = table_checks(
    "preferences",
    "preferences_are_sound",
    store.preference_faults,
    _sound_preferences,
    severity="critical",
    description="Every preference rests on messages of whoever it is of, and ends after it began.",
)


@dg.asset_check(asset="preferences")
def contradictions_are_settled(twin: TwinResource) -> dg.AssetCheckResult:
    """Nobody is said to like and to dislike the same thing at the same time."""
    with twin.connect() as connection:
        held = store.load_preferences(connection)
        who = subject(connection).speaker
    both = (
        held.filter(pl.col("category").is_in(["like", "dislike"]))
        .group_by("speaker", pl.col("preference_key").str.to_lowercase())
        .agg(pl.col("polarity").n_unique())
        .filter(pl.col("polarity") > 1)
    )
    own = both.filter(pl.col("speaker") == who).height
    return dg.AssetCheckResult(
        passed=both.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if both.is_empty()
        else f"of {both.height} things both was said in one breath; look at them in preferences",
        metadata={"of the subject": own, "of others": both.height - own},
    )


def _sound_identity(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="text_length", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="untraced", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
    ]


identity_is_traceable = table_checks(
    "core_identity",
    "identity_is_traceable",
    identity_store.identity_faults,
    _sound_identity,
    severity="critical",
    description="Every generated line, but for words never used, rests on messages that exist.",
)


@dg.asset_check(asset="core_identity", blocking=True)
def identity_is_fit_for_a_prompt(twin: TwinResource) -> dg.AssetCheckResult:
    """The page is within its budget; no generated line instructs a model or holds an address."""
    settings = twin.settings.persona
    with twin.connect() as connection:
        stored = identity_store.latest_identity(connection, subject(connection).speaker)
    faults = []
    if stored and stored.tokens > settings.identity_tokens:
        faults.append(
            f"the page takes {stored.tokens} tokens and persona.identity_tokens allows "
            f"{settings.identity_tokens}; materialise core_identity again"
        )
    lines = stored.page.lines() if stored else []
    unfit = [one.key for one in lines if one.source == GENERATED and not fit_for_prompt(one.text)]
    faults += [f"the line {key} is not fit for a prompt" for key in unfit]
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(faults) or None,
        metadata={"tokens": stored.tokens if stored else 0, "lines": len(lines)},
    )


@dg.asset_check(asset="core_identity", blocking=True)
def edits_survive(twin: TwinResource) -> dg.AssetCheckResult:
    """Whatever the owner edited or took out of the page is as they left it."""
    with twin.connect() as connection:
        lost = identity_store.lost_edits(connection, subject(connection).speaker)
    return dg.AssetCheckResult(
        passed=not lost,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(lost)} edits were lost, the first: {lost[0]}" if lost else None,
        metadata={"lost": len(lost)},
    )


@dg.asset_check(asset="core_identity")
def owner_has_room(twin: TwinResource) -> dg.AssetCheckResult:
    """The hand-written page and the owner's edits fit into the budget, with room for the rest."""
    with twin.connect() as connection:
        stored = identity_store.latest_identity(connection, subject(connection).speaker)
    page = stored.page if stored else Page()
    waiting = sum(len(section.lines) for section in page.waiting)
    crowded = bool(stored) and not page.sources()[GENERATED]
    words = []
    if waiting:
        words.append(f"{waiting} lines of the owner have no room")
    if crowded:
        words.append("no generated line has room")
    return dg.AssetCheckResult(
        passed=not words,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join([*words, "shorten the page or raise persona.identity_tokens"])
        if words
        else None,
        metadata={"waiting": waiting, **page.sources()},
    )


def _sound_traits(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column="finite", value_set=[1]),
        gxe.ExpectColumnValuesToBeInSet(column="inside", value_set=[1]),
        gxe.ExpectColumnValuesToBeBetween(column="n", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="words_length", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
    ]


traits_are_sound = table_checks(
    "personality_traits",
    "traits_are_sound",
    identity_store.trait_faults,
    _sound_traits,
    severity="critical",
    description="Every tendency is a number within its interval, said in words, and traceable.",
)


def _sound_style(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeInSet(column="feature", value_set=list(FEATURES)),
        gxe.ExpectColumnValuesToBeBetween(column="n", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="finite", value_set=[1]),
        gxe.ExpectColumnValuesToBeInSet(column="overall", value_set=[1]),
        gxe.ExpectColumnValuesToBeInSet(column="untraced", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="unknown_messages", value_set=[0]),
    ]


style_is_sound = table_checks(
    "writing_style",
    "style_is_sound",
    style_store.style_faults,
    _sound_style,
    severity="critical",
    description="Every habit is known and a number, and names existing messages that show it.",
)


def _sound_vocabulary(gxe: ModuleType) -> Sequence[Any]:
    return [
        gxe.ExpectColumnValuesToBeBetween(column="term_length", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="uses", min_value=0),
        *(
            gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[0])
            for name in ("unknown_messages", "too_many_sessions", "contrary", "untraced")
        ),
    ]


vocabulary_is_sound = table_checks(
    "vocabulary",
    "vocabulary_is_sound",
    style_store.vocabulary_faults,
    _sound_vocabulary,
    severity="critical",
    description="Every term is counted soundly, stands on the right side and can be traced.",
)


@dg.asset_check(asset="writing_style")
def style_stands_out(twin: TwinResource) -> dg.AssetCheckResult:
    """There are other people to compare with, and some habit sets the subject apart from them."""
    with twin.connect() as connection:
        rows = style_store.load_style(connection)
    compared = rows["distinction"].drop_nulls()
    rules = style_rules(rows)
    words = (
        "too few turns or too few other people to tell what is characteristic; import more history"
        if compared.is_empty()
        else "no habit is a standard deviation away from other people"
    )
    return dg.AssetCheckResult(
        passed=bool(rules),
        severity=dg.AssetCheckSeverity.WARN,
        description=None if rules else words,
        metadata={"habits": rows.height, "compared": len(compared), "rules": len(rules)},
    )


@dg.asset_check(asset="vocabulary")
def vocabulary_says_something(twin: TwinResource) -> dg.AssetCheckResult:
    """Some words are the subject's more than other people's."""
    with twin.connect() as connection:
        rows = style_store.load_vocabulary(connection, "word")
    return dg.AssetCheckResult(
        passed=rows.height > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=None
        if rows.height
        else "no word is used often enough, in several sessions, to be characteristic; import more "
        "history",
        metadata={"words": rows.height},
    )
