"""What was erased is found however it was written down; what others say too is not looked for."""

from __future__ import annotations

import gzip
import html
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.automation.erasure import papers
from twin_pipelines.automation.erasure.markings import marked
from twin_pipelines.automation.erasure.removal_store import ERASED
from twin_pipelines.automation.erasure.sayings import spoken, telling
from twin_pipelines.automation.erasure.traces import Traces, inflated, unescaped

SECRET = "The canary sings, at “midnight” only!\nthen it sleeps"
THAI = "นกขมิ้นร้องเพลงตอนเที่ยงคืนเท่านั้น"
WORDS = st.lists(st.text("abcdefghijกขคงจ0123", min_size=1, max_size=8), min_size=4, max_size=12)


@pytest.mark.parametrize(
    "written",
    [
        "he said THE CANARY SINGS at midnight only, then it sleeps",
        json.dumps({"text": SECRET}),
        json.dumps(json.dumps({"text": SECRET, "thai": THAI})),
        repr(SECRET),
        html.escape(SECRET.replace("“", "&").replace("”", "&")),
        f"before{THAI}after",
        json.dumps(THAI),
        "the canary sings at midnight only",
    ],
)
def test_a_text_is_found_whatever_escapes_case_and_punctuation(written: str) -> None:
    assert Traces([SECRET, THAI]).within(written)


def test_words_that_only_begin_alike_are_another_text() -> None:
    assert not Traces([SECRET]).within("xthe canary sings at midnight onlyy then it sleeps")


def test_what_somebody_else_still_says_is_not_looked_for() -> None:
    traces = Traces([SECRET, THAI], [f"well: {THAI}ครับ"])
    assert not traces.within(THAI)
    assert traces.within(SECRET)


def test_short_words_say_nothing_of_anybody() -> None:
    assert len(Traces(["ok then", "ใช่ครับ", ""])) == 0


def test_an_excerpt_is_found_only_where_runs_are_looked_for() -> None:
    long = "one two three four five six seven eight nine ten eleven"
    excerpt = "… two three four five six seven eight nin"
    assert Traces([long], runs=True).within(excerpt)
    assert not Traces([long]).within(excerpt)


def test_an_identity_is_found_with_and_without_its_dashes_escaped() -> None:
    one = "8e012742-4b1d-13f0-cc24-c72bc5a431bb"
    assert Traces([], ids=[one]).within(json.dumps({"pair_id": one}))


@pytest.mark.parametrize("packed", [zlib.compress, gzip.compress, bytes])
def test_compressed_bytes_are_read(packed: object) -> None:
    assert SECRET in inflated(packed(SECRET.encode()))  # type: ignore[operator]


@given(WORDS, st.text(max_size=30), st.text(max_size=30))
def test_whatever_stands_around_it_a_telling_text_is_found(
    words: list[str], before: str, after: str
) -> None:
    text = " ".join(words)
    if telling(spoken(text)):
        traces = Traces([text])
        assert traces.within(f"{before}\n{text}\n{after}")
        assert traces.within(json.dumps([before, text, after]))


@given(st.text(max_size=80))
def test_unescaping_undoes_json(text: str) -> None:
    plain = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\\" not in plain and "&" not in plain and not set(plain) & set("\n\r\t\b\f"):
        assert unescaped(json.dumps(plain)[1:-1]) == plain


def test_json_is_marked_value_by_value_also_json_within_json() -> None:
    flat = SECRET.replace("\n", " ")
    paper = {"a": f"kept\n{flat}", "b": ["fine", json.dumps({"c": [flat], "d": 1})], "e": 2}
    made = json.loads(marked(json.dumps(paper), Traces([flat])))
    assert made == {"a": f"kept\n{ERASED}", "b": ["fine", made["b"][1]], "e": 2}
    assert json.loads(made["b"][1]) == {"c": [ERASED], "d": 1}


def test_a_text_over_several_lines_takes_the_paper_with_it_where_no_line_says_it() -> None:
    broken = "the canary\nsings at\nmidnight only"
    assert marked(broken, Traces([SECRET])) == ERASED


def test_a_log_keeps_its_other_lines() -> None:
    flat = SECRET.replace("\n", " ")
    assert marked(f"one\n{flat}\nthree", Traces([flat])) == f"one\n{ERASED}\nthree"


def test_a_large_file_is_read_in_parts_and_nothing_is_cut_in_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers, "LARGE", 4_000)
    monkeypatch.setattr(papers, "OVERLAP", 200)
    flat = SECRET.replace("\n", " ")
    for before in (0, 990, 4_100):
        file = tmp_path / "vectors.raw"
        file.write_bytes(b"\0" * before + b" " + flat.encode() + b" " + b"\0" * 9_000)
        assert papers.hits(file, Traces([SECRET])) == 1
        file.write_bytes(b"\0" * 9_000)
        assert papers.hits(file, Traces([SECRET])) == 0


def test_weights_pictures_keys_and_the_servers_files_are_not_read(tmp_path: Path) -> None:
    for name in (
        "a/x.safetensors",
        "a/y.png",
        "twin.toml",
        "postgres/c/data/1",
        "postgres/c/x.log",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(papers.papers(tmp_path)) == [tmp_path / "postgres/c/x.log"]
