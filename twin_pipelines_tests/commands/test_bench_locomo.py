"""The benchmark reads LoCoMo's schema, broken ids too, and computes its figures as defined."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin_pipelines.commands.bench_locomo import FIGURES, evidence_shares, locomo, measure, table
from twin_pipelines.commands.locomo import normalised_ids, read_conversations
from twin_pipelines.settings import TwinError, TwinSettings
from twin_pipelines_tests.retrieval.ranking.made_history import SAID, WordEncoder

DEVELOPMENT = Path(os.environ.get("LOCOMO_FILE", "locomo.json"))


def sample(name: str = "made-up") -> dict[str, Any]:
    """SAID in LoCoMo's schema, with questions whose evidence is told in every broken way."""
    conversation: dict[str, Any] = {"speaker_a": "Mira", "speaker_b": "Otto"}
    for session, time in (("1", "1:56 pm on 4 March, 2024"), ("2", "9:05 am on 20 May, 2024")):
        said = [line for line in SAID if line[0] == session]
        conversation[f"session_{session}"] = [
            {"speaker": speaker, "dia_id": f"D{session}:{place}", "text": text}
            for place, (_, speaker, text, _) in enumerate(said, start=1)
        ]
        conversation[f"session_{session}_date_time"] = time
    conversation["session_3_date_time"] = "1:00 pm on 1 June, 2024"
    asked = [
        ("What did Otto do on the lake?", 4, ["D1:02"]),
        ("Which recipe and which teacher has Mira?", 1, ["D1:5; D2:4"]),
        ("What boat did the brother buy?", 4, ["D2:1", "D2:1"]),
        ("What is the dog's name?", 5, ["D9:9"]),
        ("Why?", 3, []),
        ("When?", 2, ["D"]),
    ]
    questions = [{"question": q, "category": c, "evidence": e, "answer": 1} for q, c, e in asked]
    return {"sample_id": name, "conversation": conversation, "qa": questions}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two.json"
    path.write_text(json.dumps([sample("one"), sample("two")]))
    return path


def test_ids_lose_their_zeros_and_are_found_within_a_text() -> None:
    assert normalised_ids("D8:06; D9:17") == ["D8:6", "D9:17"]
    assert normalised_ids("D30:05 D1:10") == ["D30:5", "D1:10"]
    assert normalised_ids("D") == []


def test_questions_without_evidence_are_dropped_and_counted(file: Path) -> None:
    first, second = read_conversations([file])
    assert (first.name, second.name) == ("one", "two")
    assert first.turns.height == len(SAID)
    assert [question.evidence for question in first.questions] == [
        ("D1:2",),
        ("D1:5", "D2:4"),
        ("D2:1",),
    ]
    assert first.dropped == 3
    assert first.turns["sent_at"][0].isoformat() == "2024-03-04T13:56:00+00:00"


def test_one_conversation_may_be_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(sample()))
    assert [found.name for found in read_conversations([path])] == ["made-up"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read as JSON .*not found"),
        ("{", "cannot be read as JSON"),
        ("[]", "No question of"),
        ("[3]", "Conversation 1 of .* is not in LoCoMo's schema"),
        ('{"qa": []}', "KeyError: 'conversation'"),
        ('{"conversation": {}, "qa": []}', "no session has a turn"),
        (json.dumps({**sample(), "qa": []}), "nothing to measure"),
        (json.dumps(sample()).replace("1:56 pm on", "at noon,"), "not in LoCoMo's schema"),
    ],
)
def test_a_file_that_is_not_of_the_schema_is_named(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TwinError, match=complaint):
        read_conversations([path])


def test_shares_are_counted_by_hand() -> None:
    order, told = np.arange(100), np.arange(13)
    shares = evidence_shares(np.array([3, 12, 40, 99]), order, told)
    assert dict(zip(FIGURES, shares, strict=True)) == {
        **{"r5": 0.25, "r10": 0.25, "r25": 0.5, "r50": 0.75},
        **{"hit10": 1.0, "evidence_2k": 0.5},
    }
    assert evidence_shares(np.array([13]), order, told)[-1] == 0.0


def test_evidence_counts_where_its_line_fits_as_a_prompt_tells_it(file: Path) -> None:
    def in_context(tokens: int) -> float:
        counted: list[str] = []

        def count(lines: Sequence[str]) -> list[int]:
            counted.extend(lines)
            return [tokens] * len(lines)

        found = measure(read_conversations([file]), WordEncoder(), count)
        assert "\n4 Mar 2024:" in counted
        assert any(line.startswith("\n- Otto: “") for line in counted)
        return found["overall"]["evidence_2k"]

    assert (in_context(2_001), in_context(10)) == (0.0, 1.0)


def test_every_system_is_measured_on_the_same_questions(file: Path) -> None:
    result = measure(read_conversations([file]), WordEncoder(), lambda lines: [500] * len(lines))
    assert (result["conversations"], result["turns"]) == (2, 18)
    assert (result["questions"], result["dropped"]) == (6, 6)
    assert set(result["by_category"]) == {"1", "4"}
    assert result["overall"]["r10"] == 1.0
    assert result["overall"]["evidence_2k"] >= 0.5
    assert set(result["baselines"]) == {
        *("bm25", "bm25_ctx", "dense", "dense_ctx", "equal_weights", "fed_back"),
        "fitted_on_the_others",
    }
    for one in result["baselines"].values():
        assert one["overall"]["questions"] == 6
    json.dumps(result)
    assert table(result).row_count == 10


def test_one_conversation_has_no_others_to_fit_on(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(sample()))
    result = measure(read_conversations([path]), WordEncoder(), lambda lines: [9] * len(lines))
    assert "fitted_on_the_others" not in result["baselines"]


@pytest.mark.slow
@pytest.mark.skipif(not DEVELOPMENT.is_file(), reason="LOCOMO_FILE names no file of LoCoMo")
def test_the_shipped_weights_beat_bm25_and_meaning_on_locomo(twin_home: TwinSettings) -> None:
    result = locomo([DEVELOPMENT])
    ours = result["overall"]
    assert ours["r10"] >= 0.78
    assert ours["evidence_2k"] >= 0.91
    for name in ("bm25", "bm25_ctx", "dense", "dense_ctx", "equal_weights"):
        assert ours["r10"] > result["baselines"][name]["overall"]["r10"]
