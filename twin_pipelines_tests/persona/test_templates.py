"""What recurs becomes a template with slots, in the situation that calls for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.persona.replies.exchanges import REPLIES, replies_of
from twin_pipelines.persona.replies.recurring import gaps, recurring, tokens_of
from twin_pipelines.persona.replies.templates import LEAST_SESSIONS, TEMPLATES, templates_of

Sessions = Callable[..., pl.DataFrame]
FILLER = [
    "the lake was frozen when the train came",
    "our neighbours painted a boat",
    "nobody found the yellow umbrella",
]


def answered(sessions: Sessions, asked: str, replies: Sequence[str]) -> pl.DataFrame:
    """Each reply in a session of its own, after the same question, and small talk besides."""
    return replies_of(
        sessions(
            [
                [("bob", asked), ("sue", reply), ("bob", f"okay {n}"), ("sue", FILLER[n % 3])]
                for n, reply in enumerate(replies)
            ]
        ),
        "sue",
    )


def templates(replies: pl.DataFrame) -> dict[tuple[str, str], dict[str, object]]:
    return {(row["situation"], row["template"]): row for row in templates_of(replies).to_dicts()}


def test_a_reply_answers_all_that_was_said_since_and_ends_with_the_next_answer(
    sessions: Sessions,
) -> None:
    turns = sessions(
        [
            [
                ("sue", "I begin"),
                ("bob", "hi"),
                ("eve", "how are you?"),
                ("sue", "fine"),
                ("sue", "and you?"),
                ("bob", "good"),
            ],
            [("bob", "bye")],
        ]
    )
    replies = replies_of(turns, "sue")
    assert replies.select("partner", "reply").rows() == [("hi\nhow are you?", "fine\nand you?")]
    assert replies["message_ids"].to_list() == [
        [*turns["raw_ids"][3].to_list(), *turns["raw_ids"][4].to_list()]
    ]
    assert dict(replies.schema) == REPLIES
    assert replies_of(sessions([]), "sue").is_empty()


def test_what_varies_becomes_a_slot_and_every_message_is_named(sessions: Sessions) -> None:
    drinks = ["green tea", "cold milk", "lemon soda", "hot cocoa"]
    replies = answered(sessions, "what do you drink?", [f"I always drink {one}!" for one in drinks])
    found = templates(replies)
    row = found[("question", "I always drink {slot}!")]
    assert (row["uses"], row["sessions"], row["share"]) == (4, 4, 1.0)
    assert sorted(row["message_ids"]) == sorted(
        one for held in replies.filter(situation="question")["message_ids"] for one in held
    )
    examples = json.loads(row["examples"])
    assert len(examples) == 3
    assert {one["partner"] for one in examples} == {"what do you drink?"}


def test_slots_are_named_by_what_fills_them(sessions: Sessions) -> None:
    ages = answered(sessions, "how old?", [f"I am about {n} years old" for n in (21, 22, 24, 29)])
    assert ("question", "I am about {number} years old") in templates(ages)
    echoes = replies_of(
        sessions(
            [
                [("bob", f"I work as a {job}"), ("sue", f"Oh so being a {job} is nice")]
                for job in ("farmer", "tailor", "miner", "baker")
            ]
        ),
        "sue",
    )
    assert ("other", "Oh so being a {echo} is nice") in templates(echoes)


def test_thai_and_mixed_replies_have_templates_too(sessions: Sessions) -> None:
    foods = ["ส้มตำ", "ผัดไทย", "ข้าวมันไก่", "แกงเขียวหวาน"]
    thai = answered(sessions, "กินอะไรมาคะ", [f"วันนี้น้องกิน{food}ค่ะ" for food in foods])
    row = templates(thai)[("question", "วันนี้น้องกิน{slot}ค่ะ")]
    assert row["language"] == "th"
    tools = ["python", "docker", "redis", "linux"]
    mixed = answered(sessions, "ทำอะไรอยู่", [f"น้องกำลังเรียน {one} อยู่นะคะ" for one in tools])
    assert any("{slot}" in template for _, template in templates(mixed))


def test_drawn_out_letters_laughter_and_case_do_not_make_another_template(
    sessions: Sessions,
) -> None:
    shapes = ["Hahaha so true", "hahahahaha sooo true", "HAHAHA so true!", "haha so true"]
    found = templates(answered(sessions, "lol", shapes))
    assert [key for key, row in found.items() if row["uses"] == 4] == [("joke", "haha so true")]
    assert [one.word for one in tokens_of("5555 มากกกก")] == ["haha", "มาก"]


def test_the_telling_pattern_takes_its_sentences_from_the_general_one() -> None:
    own = ["how are you"] * 4 + [f"how are you liking {one}" for one in ("it", "rome", "school")]
    found = recurring([one.split() for one in own], [str(n) for n in range(7)])
    assert [(one.words, len(one.sentences)) for one in found] == [
        (("how", "are", "you", "liking", ""), 3),
        (("how", "are", "you"), 4),
    ]


def test_what_is_said_in_few_sessions_is_no_template(sessions: Sessions) -> None:
    twice = answered(sessions, "what?", ["I always say this"] * (LEAST_SESSIONS - 1))
    assert templates(twice) == {}
    once = replies_of(sessions([[("bob", "what?"), ("sue", "I say this")] * 9]), "sue")
    assert templates(once) == {}


def test_a_template_stands_where_it_is_said_more_than_elsewhere(sessions: Sessions) -> None:
    talk = [("bob", "thank you"), ("sue", "no problem at all"), ("bob", "where is it?")]
    replies = replies_of(
        sessions([[*talk, ("sue", f"{FILLER[n % 3]} {n}")] for n in range(4)]), "sue"
    )
    assert ("thanks", "no problem at all") in templates(replies)
    assert not [key for key in templates(replies) if key == ("question", "no problem at all")]


def test_no_replies_have_no_templates() -> None:
    assert dict(templates_of(pl.DataFrame(schema=REPLIES)).schema) == TEMPLATES


def test_a_gap_is_as_short_as_it_can_be() -> None:
    assert gaps(("a", "", "b"), ["a", "x", "y", "b"]) == [(1, 3)]
    assert gaps(("a", "", "b", "", "c"), ["a", "x", "b", "b", "c"]) == [(1, 2), (3, 4)]
    assert gaps(("a", ""), ["a"]) is None
    assert gaps(("a",), ["a"]) == []


@given(st.lists(st.text(alphabet="ab กข5!.😀", max_size=20), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_sentences_have_sound_patterns(texts: list[str]) -> None:
    sentences = [[token.word for token in tokens_of(text)] for text in texts]
    taken: set[int] = set()
    for pattern in recurring(sentences, [str(n % 5) for n in range(len(texts))]):
        assert not taken & set(pattern.sentences), "a sentence has one pattern"
        taken |= set(pattern.sentences)
        for number in pattern.sentences:
            assert gaps(pattern.words, sentences[number]) is not None


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_tokens_stand_where_they_say(text: str) -> None:
    at = 0
    for token in tokens_of(text):
        assert at <= token.start < token.end <= len(text)
        at = token.end
