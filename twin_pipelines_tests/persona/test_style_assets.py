"""Writing style and vocabulary on a real database: checked, traceable, identical when repeated."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import dagster as dg
import polars as pl
import psycopg
import pytest

from twin_pipelines.features.language import detect_languages
from twin_pipelines.foundation.database import copy_frame
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.persona import checks
from twin_pipelines.persona.assets import vocabulary, writing_style
from twin_pipelines.persona.style import store as style_store
from twin_pipelines.settings import TwinSettings, load_settings

CHECKS = [
    checks.style_is_sound,
    checks.style_stands_out,
    checks.vocabulary_is_sound,
    checks.vocabulary_says_something,
]


@pytest.fixture
def few_strangers(twin_home: TwinSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_PERSONA__BACKGROUND_PEOPLE", "5")
    load_settings.cache_clear()


@pytest.fixture
def history(
    twin_home: TwinSettings,
    connection: psycopg.Connection,
    sessions: Callable[..., pl.DataFrame],
    source_ids: dict[str, str],
    few_strangers: None,
) -> psycopg.Connection:
    """Sue, who is fond of owls and laughs as 555, writes to Bob and to Eve."""
    turns = sessions(
        [
            *([("bob", "Well, I see."), ("sue", "ohh owls 555 ค่ะ")] for _ in range(20)),
            *([("eve", "Is it so?"), ("sue", "owls are way cool")] for _ in range(30)),
        ]
    )
    turns = turns.with_columns(detect_languages(turns["text"]))
    connection.execute(
        "insert into consents (source, kind, location, granted) values ('made', 'file', '', '')"
    )
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    names = pl.col("id").replace_strict(source_ids).alias("source_message_id")
    raw = turns.select("source", names, "conversation_id", "speaker", "text", "sent_at", "day")
    copy_frame(connection, "raw_messages", raw)
    copy_frame(connection, "cleaned_messages", turns)
    connection.commit()
    return connection


def materialise() -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [writing_style, vocabulary, *CHECKS],
        resources={"twin": TwinResource()},
        raise_on_error=False,
    )


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_both_tables_are_filled_checked_drawn_and_the_same_again(
    history: psycopg.Connection, twin_home: TwinSettings
) -> None:
    result = materialise()
    assert result.success
    assert set(outcomes(result).values()) == {True}
    style = style_store.load_style(history, None, None)
    assert set(style["partner"]) == {"", "bob", "eve"}
    whole = style_store.load_style(history)
    laughs = whole.filter(pl.col("feature") == "laughter_555")
    assert laughs["value"].to_list() == [0.4]
    assert "ohh owls 555 ค่ะ" in laughs["examples"][0].to_list()
    words = style_store.load_vocabulary(history, "word")
    (owls,) = words.filter(pl.col("term") == "owls").iter_rows(named=True)
    assert (owls["uses"], owls["sessions"], len(owls["message_ids"])) == (50, 50, 5)
    assert {path.name for path in twin_home.persona_dir.iterdir()} >= {
        "distinctive_habits.png",
        "habits_by_partner.png",
        "characteristic_words.png",
    }
    vocabulary_before = style_store.load_vocabulary(history)
    history.rollback()
    materialise()
    assert style_store.load_style(history, None, None).equals(style)
    assert style_store.load_vocabulary(history).equals(vocabulary_before)


def test_broken_rows_change_nothing_and_planted_faults_are_caught(
    history: psycopg.Connection,
) -> None:
    materialise()
    style, words = style_store.load_style(history, None, None), style_store.load_vocabulary(history)
    broken = style.with_columns(message_ids=pl.lit(["no id"]))
    with pytest.raises(psycopg.errors.DataError):
        style_store.rewrite_style(history, broken)
    history.rollback()
    with pytest.raises(psycopg.errors.CheckViolation):
        style_store.rewrite_vocabulary(history, words.with_columns(kind=pl.lit("guess")))
    history.rollback()
    assert style_store.load_style(history, None, None).equals(style)
    assert style_store.load_vocabulary(history).equals(words)
    unknown = f"message_ids = array['{uuid.uuid4()}'::uuid]"
    for change, column, wrong in (
        ("value = 'nan'", "finite", 0),
        ("n = 0", "n", 0),
        (unknown, "unknown_messages", 1),
        ("value = 1, message_ids = '{}'", "untraced", 1),
    ):
        history.execute(f"update writing_style set {change}")
        assert set(style_store.style_faults(history, None)[column]) == {wrong}
        history.rollback()
    history.execute("delete from writing_style where partner = '' and period = ''")
    assert set(style_store.style_faults(history, None)["overall"]) == {0}
    history.rollback()
    for change, column, wrong in (
        ("term = ' '", "term_length", 0),
        (unknown, "unknown_messages", 1),
        ("sessions = uses + 1", "too_many_sessions", 1),
        ("z = case when kind = 'never' then 1 else -1 end", "contrary", 1),
        ("uses = 1, sessions = 1, message_ids = '{}'", "untraced", 1),
    ):
        history.execute("delete from vocabulary where term <> 'owls'")
        history.execute(f"update vocabulary set {change}")
        assert set(style_store.vocabulary_faults(history, None)[column]) == {wrong}
        history.rollback()


def test_a_history_without_messages_says_what_is_missing(
    connection: psycopg.Connection, few_strangers: None
) -> None:
    connection.execute("insert into subjects (speaker, name, chosen_by) values ('sue', 'Sue', '')")
    connection.commit()
    result = materialise()
    assert result.success
    assert outcomes(result) == {
        "style_is_sound": True,
        "style_stands_out": False,
        "vocabulary_is_sound": True,
        "vocabulary_says_something": False,
    }
    poor = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert {one.severity for one in poor} == {dg.AssetCheckSeverity.WARN}
    assert all("import more history" in str(one.description) for one in poor)
