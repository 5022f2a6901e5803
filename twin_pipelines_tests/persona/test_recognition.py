"""Writers are told apart by habits, on chats nobody learnt from."""

from __future__ import annotations

import polars as pl
import pytest
from made_turns import turns_of

from twin_pipelines.persona.style.measure import count_turns
from twin_pipelines.persona.style.recognition import Recogniser, unseen_chats, windows

VOICES = {
    "ann": "Well, I think so. It was nice, really!",
    "bob": "ya idk lol its ok i guess",
    "เมย์": "ก็ดีนะคะ แต่ว่ายังไม่ได้ไปเลยค่ะ",
}


def chats(voices: dict[str, str], number: int, turns: int = 6) -> pl.DataFrame:
    """Each voice in as many chats of its own, every turn a little different."""
    sessions = [
        [(who, f"{text} {chat} {place}") for place in range(turns)]
        for who, text in voices.items()
        for chat in range(number)
    ]
    made = turns_of(sessions)
    return made.with_columns(conversation_id="session_id")


def test_windows_hold_enough_words_and_leave_the_rest() -> None:
    counts = count_turns(chats(VOICES, 4))
    sizes = windows(counts, 50).group_by("speaker", "window").agg(pl.col("spoken_words").sum())
    assert sizes["spoken_words"].min() >= 50
    assert sizes["spoken_words"].max() < 70
    assert set(sizes["speaker"]) == set(VOICES)
    assert windows(counts, 10_000).is_empty()


def test_shuffles_are_more_windows_of_the_same_turns() -> None:
    counts = count_turns(chats(VOICES, 4))
    once, more = windows(counts, 50), windows(counts, 50, shuffles=2)
    assert more.height > 2 * once.height
    assert set(more["turn"]) == set(counts["turn"])


def test_late_chats_are_unseen_and_shared_ones_on_one_side() -> None:
    counts = count_turns(chats(VOICES, 10)).with_columns(
        conversation_id=pl.when(pl.col("session_id") == pl.col("session_id").last())
        .then(pl.col("session_id").first())
        .otherwise("session_id")
    )
    sides = unseen_chats(counts, 0.3)
    assert sides["conversation_id"].is_unique().all()
    assert counts["session_id"][0] not in sides["conversation_id"]  # first of ann, last of เมย์
    ann = counts.filter(pl.col("speaker") == "ann").join(sides, on="conversation_id")
    order = ann.unique("conversation_id", maintain_order=True)["unseen"].to_list()
    assert order == sorted(order)
    assert 0 < sum(order) < len(order)


def test_writers_are_known_on_chats_never_seen() -> None:
    counts = count_turns(chats(VOICES, 12))
    sides = counts.join(unseen_chats(counts, 0.4), on="conversation_id", maintain_order="left")
    early, late = (sides.filter(pl.col("unseen") == side) for side in (False, True))
    told = Recogniser(windows(early, 60, shuffles=2))(windows(late, 60))
    assert (told["told"] == told["speaker"]).all()
    assert set(told["speaker"]) == set(VOICES)


def test_what_somebody_wrote_about_does_not_matter() -> None:
    """The same habit on another topic is still theirs."""
    counts = count_turns(chats(VOICES, 12))
    other = {"ann": "Oh, I see. We had rain, sadly!", "bob": "ya idk lol its rain i guess"}
    told = Recogniser(windows(counts, 60, shuffles=2))(windows(count_turns(chats(other, 8)), 60))
    assert (told["told"] == told["speaker"]).mean() == pytest.approx(1.0)
