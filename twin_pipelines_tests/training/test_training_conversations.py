"""Which tokens are learnt, and that every reply is, exactly once."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from dataset_rows import SYSTEM, made_session
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import build_tiny_tokenizer

from twin_pipelines.generation.prompt import render, reply_tokens
from twin_pipelines.settings import TwinError
from twin_pipelines.training.conversations import (
    IGNORED,
    batches,
    make_examples,
    read_rows,
)

TOKENIZER = build_tiny_tokenizer()
END = TOKENIZER.convert_tokens_to_ids("<|im_end|>")


def labelled(labels: list[int]) -> list[list[int]]:
    """The runs of labelled tokens."""
    runs: list[list[int]] = []
    for place, label in enumerate(labels):
        if label != IGNORED:
            if place == 0 or labels[place - 1] == IGNORED:
                runs.append([])
            runs[-1].append(label)
    return runs


def test_no_prompt_token_is_a_label_and_the_end_of_the_turn_is() -> None:
    row = made_session("one", ["haha lovely day"])[0]
    (example,) = make_examples([row], TOKENIZER, 512).rows
    prompt = render(TOKENIZER, row["prompt"], 512)
    reply = reply_tokens(TOKENIZER, "haha lovely day")
    assert example.input_ids == prompt + reply
    assert example.labels == [IGNORED] * len(prompt) + reply
    assert example.labels[-1] == END
    assert TOKENIZER.decode(reply) == "haha lovely day<|im_end|>"


def test_pairs_of_a_session_share_a_sequence_that_reads_like_the_chat() -> None:
    replies = ["haha good", "tired", "lovely week"]
    rows = made_session("one", replies, context=10)
    (example,) = make_examples(rows, TOKENIZER, 512).rows
    assert example.pairs == 3
    last = rows[-1]
    whole = render(TOKENIZER, last["prompt"], 512) + reply_tokens(TOKENIZER, replies[-1])
    assert example.input_ids == whole
    assert [TOKENIZER.decode(run) for run in labelled(example.labels)] == [
        f"{reply}<|im_end|>" for reply in replies
    ]


def test_a_reply_keeps_at_least_the_context_of_its_row() -> None:
    rows = made_session("one", [f"good {word}" for word in "abcdefgh"], context=3)
    for example in make_examples(rows, TOKENIZER, 150).rows:
        text = TOKENIZER.decode(example.input_ids)
        for row in rows:
            answer = row["completion"][0]["content"]
            if answer in [TOKENIZER.decode(run[:-1]) for run in labelled(example.labels)]:
                asked = row["prompt"][-1]["content"]
                assert text.index(asked) < text.index(f"assistant\n{answer}<")


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=5),
    st.integers(min_value=0, max_value=7),
    st.integers(min_value=80, max_value=300),
)
def test_every_reply_is_learnt_exactly_once(
    sessions: list[int], context: int, max_tokens: int
) -> None:
    rows, expected = [], []
    for number, length in enumerate(sessions):
        replies = [f"good {number} {place}" for place in range(length)]
        rows += made_session(str(number), replies, context=context)
        expected += [f"{reply}<|im_end|>" for reply in replies]
    random.Random(0).shuffle(rows)
    made = make_examples(rows, TOKENIZER, max_tokens)
    learnt = [TOKENIZER.decode(run) for row in made.rows for run in labelled(row.labels)]
    assert sorted(learnt) == sorted(expected)
    assert made.pairs == len(rows) and made.too_long == 0
    assert all(len(row.input_ids) <= max_tokens for row in made.rows)
    for row in made.rows:
        said = {text.split()[1] for text in map(TOKENIZER.decode, labelled(row.labels))}
        assert len(said) == 1  # no sequence mixes sessions


def test_joining_teaches_more_replies_with_fewer_tokens() -> None:
    rows = made_session("one", ["haha good day"] * 12)
    joined = make_examples(rows, TOKENIZER, 512)
    apart = [make_examples([row], TOKENIZER, 512).rows[0] for row in rows]
    assert joined.pairs == len(apart)
    assert sum(len(row.input_ids) for row in joined.rows) < 0.5 * sum(
        len(row.input_ids) for row in apart
    )


def test_a_pair_whose_context_does_not_follow_on_begins_anew() -> None:
    first, second = made_session("one", ["good", "bad"])
    second["prompt"][1]["content"] = "something else"
    assert [row.pairs for row in make_examples([first, second], TOKENIZER, 512).rows] == [1, 1]
    first, second = made_session("one", ["good", "bad"])
    second["prompt"][0]["content"] = "another system prompt"
    assert [row.pairs for row in make_examples([first, second], TOKENIZER, 512).rows] == [1, 1]


def test_a_template_that_rewrites_earlier_turns_is_never_joined() -> None:
    tokenizer = build_tiny_tokenizer()
    tokenizer.chat_template = "{{ messages | length }} " + tokenizer.chat_template
    made = make_examples(made_session("one", ["good", "bad"]), tokenizer, 512)
    assert [row.pairs for row in made.rows] == [1, 1]


def test_pairs_too_long_to_learn_are_counted_not_cut() -> None:
    rows = made_session("one", ["good", "rained " * 200, "bad"])
    made = make_examples(rows, TOKENIZER, 128)
    assert made.too_long == 1
    assert [TOKENIZER.decode(run) for row in made.rows for run in labelled(row.labels)] == [
        "good<|im_end|>",
        "bad<|im_end|>",
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(min_value=1, max_value=500), min_size=1, max_size=200),
    st.integers(min_value=1, max_value=9),
    st.integers(min_value=1, max_value=60),
)
def test_batches_deal_every_row_before_any_comes_again(
    lengths: list[int], size: int, count: int
) -> None:
    size = min(size, len(lengths))
    dealt = list(batches(lengths, size, count, seed=3))
    assert len(dealt) == count
    assert all(len(batch) == size for batch in dealt)
    order = [row for batch in dealt for row in batch]
    times = [order.count(row) for row in range(len(lengths))]
    assert max(times) - min(times) <= 2
    assert dealt == list(batches(lengths, size, count, seed=3))


def test_batches_hold_rows_of_similar_length_and_depend_on_the_seed() -> None:
    lengths = [random.Random(1).randint(10, 500) for _ in range(1)] + list(range(10, 500))
    dealt = list(batches(lengths, 4, 100, seed=3))
    padding = sum(
        max(lengths[row] for row in batch) - lengths[row] for batch in dealt for row in batch
    )
    assert padding / sum(lengths[row] for batch in dealt for row in batch) < 0.05
    assert dealt != list(batches(lengths, 4, 100, seed=4))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("", "holds no pairs"),
        ("{broken\n", "is damaged"),
        ('{"prompt": []}\n', "is damaged"),
        (json.dumps({"prompt": [{"role": "assistant"}], "completion": [{}]}), "is damaged"),
    ],
)
def test_an_unusable_dataset_is_one_sentence(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "train.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TwinError, match=words) as caught:
        read_rows(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    row: dict[str, Any] = made_session("one", ["good"])[0]
    assert row["prompt"][0] == {"role": "system", "content": SYSTEM}
    (tmp_path / "train.jsonl").write_text(f"\n{json.dumps(row)}\n\n")
    assert read_rows(tmp_path / "train.jsonl") == [row]
