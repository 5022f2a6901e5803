"""Questions come from the person's train words alone, and who knows the person answers them.

The systems are stand-ins that give each sentence a likelihood by what they believe; no model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.personality.asking import Speaker
from twin_pipelines.evaluation.personality.facts import answer_value, questions, with_distractors
from twin_pipelines.evaluation.personality.others import Said
from twin_pipelines.evaluation.personality.persona import PersonaTest, fact_questions
from twin_pipelines.evaluation.personality.preferences import (
    preference_of,
    preferences,
    with_rivals,
)
from twin_pipelines.evaluation.personality.sayings import Saying, sayings
from twin_pipelines.generation.forward import Score
from twin_pipelines.generation.prompt import Message
from twin_pipelines.settings import TwinError

LIKED = ("country swing", "hiking", "owls", "sushi", "piano music", "photography", "กาแฟ")
DISLIKED = ("traffic", "geese", "waiting", "scary movies", "weight lifting", "ฝนตก")
TOLD = {
    "I live in Provo": "Where do you live?",
    "Im from South Carolina": "Where are you from?",
    "I served in Norway": "Where did you serve?",
    "I am studying industrial design": "What do you study?",
    "I work for a construction company": "Who do you work for?",
    "I have an older sister": "Do you have any brothers or sisters?",
    "My favorite color is teal": "What is your favorite color?",
    "I play tennis": "What do you play?",
    "I have a dog named Rex": "Do you have any pets?",
    "ฉันอยู่ที่เชียงใหม่": "อยู่ที่ไหน",
}
OTHERS = (
    "I live in Boston", "I live in Ogden", "Im from Idaho", "I am from Texas", "I served in Peru",
    "I moved to Nevada", "I am studying nursing", "I am studying physics", "Im majoring in dance",
    "I work for a bank", "I work at the library", "I work for walmart", "I have two brothers",
    "I have 3 younger brothers", "I have 5 brothers", "My favorite color is orange",
    "My favorite book is Dune", "My favorite food is pizza", "I play guitar", "I play violin",
    "I play soccer", "I have a cat", "I have 2 horses", "I have a fish", "ฉันอยู่ที่กรุงเทพ",
    "ผมอยู่ที่ภูเก็ต", "ฉันมาจากขอนแก่น", "I love pizza", "I love cars", "I love snow", "I hate snakes",
    "I hate mondays", "I hate onions", "ฉันชอบชา", "ฉันชอบแมว", "ฉันชอบหนัง", "ผมไม่ชอบรถติด",
    "ผมไม่ชอบแดดร้อน", "ผมไม่ชอบเสียงดัง",
)  # fmt: skip


def exchange(reply: str, session: str, said: str = "so tell me") -> Exchange:
    prompt = ({"role": "system", "content": "You are Ann."}, {"role": "user", "content": said})
    return Exchange(f"{session}/{reply[:20]}", session, prompt, reply)


def history() -> list[Exchange]:
    """Train exchanges that tell all of the above, each in a session of its own."""
    told = [f"I love {topic}" if topic.isascii() else f"ฉันชอบ{topic}มาก" for topic in LIKED]
    told += [f"I hate {topic}" if topic.isascii() else f"ฉันไม่ชอบ{topic}เลย" for topic in DISLIKED]
    told += [*TOLD, "yeah that is fine with me", "I would love to know, do you live here?"]
    return [exchange(reply, f"train-{n}") for n, reply in enumerate(told)]


LATER = [exchange(f"I really like {topic}", f"test-{n}") for n, topic in enumerate(LIKED[:6])]
PEOPLE = {
    str(n): [Said("so", reply) for reply in OTHERS[n::3]] for n in range(3)
}  # three people, too few for traits and manner
FROZEN = FrozenSet("f", "d", tuple(LATER), 6)


@pytest.fixture
def test() -> PersonaTest:
    return PersonaTest.prepare(history(), LATER, FROZEN, PEOPLE)


class Believer:
    """Finds a sentence the likelier the more of its beliefs it holds; says what it is told to."""

    def __init__(
        self, name: str, believes: Callable[[str, str], float], says: Callable[[str], str]
    ) -> None:
        self.name = name
        self._believes = believes
        self._says = says

    def scores(
        self,
        conversations: Sequence[Sequence[Message]],
        candidates: Sequence[Sequence[str]],
        what: str,
    ) -> list[list[Score]]:
        return [
            [Score(self._believes(_context(asked), text), len(text.split())) for text in group]
            for asked, group in zip(conversations, candidates, strict=True)
        ]

    def greedy(self, conversations: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        return [self._says(_context(asked)) for asked in conversations]


def _context(conversation: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in conversation)


def noise(text: str) -> float:
    """How likely a sentence is by its sound alone."""
    return crc32(text.encode()) % 97 / 50


def ignorant() -> Speaker:
    """Prefers by the sound of it; copies what stands in its context."""

    def believes(context: str, text: str) -> float:
        return noise(text) + 30 * (text.lower() in context.lower())

    def says(context: str) -> str:
        return context if "said before" in context else "I am not sure"

    return Believer("base", believes, says)


def plain(text: str) -> str:
    """A sentence in one wording."""
    text = text.lower().removeprefix("ฉัน").removesuffix("มาก").removesuffix("เลย")
    text = text.replace("im ", "i am ").replace(" like ", " love ").replace("dont love", "hate")
    return text.replace("รัก", "ชอบ").replace("เกลียด", "ไม่ชอบ")


def knowing() -> Speaker:
    """Knows what the person said, and says it when asked."""
    own = {plain(one.reply) for one in history()} | {"i love teal"}

    def believes(context: str, text: str) -> float:
        asked = context.rsplit("\n", maxsplit=1)[-1]
        return noise(text) + 5.0 * (plain(text) in own and bool(asked))

    def says(context: str) -> str:
        asked = context.rsplit("\n", maxsplit=1)[-1]
        return next((told for told, question in TOLD.items() if question == asked), "no")

    return Believer("twin", believes, says)


def impostor() -> Speaker:
    """Knows nothing of the person, and makes it up."""
    return Believer("twin", lambda _, text: noise(text), lambda _: "I live on the moon")


def figures(test: PersonaTest, twin: Speaker) -> dict:
    base = test.ask(ignorant(), ["ok"] * 6, base=True)
    asked = {"base": base, "twin": test.ask(twin, ["ok"] * 6)}
    return test.figures(asked, times=100, seed=1)


def test_who_knows_the_person_reaches_the_ceiling(test: PersonaTest) -> None:
    found = figures(test, knowing())["personality"]
    assert found["parts"]["preferences"]["value"] > 0.95
    assert found["parts"]["facts"]["value"] > 0.95
    assert found["parts"]["traits"]["value"] is None, "six replies are too few"
    assert "traits" in found["note"] and "manner" in found["note"]
    assert found["questions"] == {"preferences": 14, "facts": len(TOLD)}


def test_an_impostor_and_the_base_itself_reach_nothing(test: PersonaTest) -> None:
    for nobody in (impostor(), ignorant()):
        parts = figures(test, nobody)["personality"]["parts"]
        assert parts["preferences"]["value"] == 0.0 and parts["facts"]["value"] == 0.0
        assert parts["facts"]["ceiling"] > parts["facts"]["control"]


def test_what_is_recalled_grounds_the_answers(test: PersonaTest) -> None:
    recalled = {one.question_id: [one.statement] for one in test.facts}
    base = test.ask(ignorant(), ["ok"] * 6, base=True)
    twin = test.ask(ignorant(), ["ok"] * 6, recalled)
    grounded = test.figures({"base": base, "twin": twin}, times=100, seed=1)["grounded_answers"]
    assert grounded["value"] == grounded["ceiling"] > grounded["control"]
    assert grounded["without_retrieval"] == grounded["control"]
    assert grounded["n"] == len(test.facts)


def test_a_champion_is_compared_in_pairs(test: PersonaTest) -> None:
    asked = {"base": test.ask(ignorant(), ["ok"] * 6, base=True)}
    asked |= {"twin": test.ask(knowing(), ["ok"] * 6), "champion": test.ask(ignorant(), ["ok"] * 6)}
    found = test.figures(asked, times=100, seed=1)
    for figure in ("personality", "grounded_answers"):
        delta = found["champion"][figure]["delta"]
        assert delta["value"] > 0.5 and delta["ci95"][0] > 0
    assert found["ablation"]["base"]["personality"] == 0.0


def test_nothing_but_train_is_asked_about(test: PersonaTest) -> None:
    train = {one.session_id for one in history()}
    for one in (*test.preferences, *test.facts):
        assert set(one.sessions) <= train


@pytest.mark.parametrize("later", [LATER, FROZEN])
def test_a_session_on_both_sides_is_refused(later: list[Exchange] | FrozenSet) -> None:
    leaked = [*history(), exchange("I love golf", "test-0")]
    with pytest.raises(TwinError, match="test-0"):
        if isinstance(later, FrozenSet):
            PersonaTest.prepare(leaked, [], later, PEOPLE)
        else:
            fact_questions(leaked, later)


def test_too_few_questions_are_no_figure() -> None:
    few = PersonaTest.prepare(history()[:3], LATER, FROZEN, PEOPLE)
    found = figures(few, knowing())
    assert found["personality"]["value"] is None
    assert found["grounded_answers"]["value"] is None
    assert "needed" in found["personality"]["parts"]["preferences"]["note"]


def test_who_dislikes_nothing_is_asked_what_they_like_better() -> None:
    kinds = ("cups", "hats", "pots", "maps")
    topics = [f"{look} {kind}" for look in ("red", "heavy", "round") for kind in kinds]
    train = [exchange(f"I love {topic}", f"train-{n}") for n, topic in enumerate(topics)]
    happy = PersonaTest.prepare(train, LATER, FROZEN, PEOPLE)
    own = {f"i love {topic}" for topic in topics}

    def believes(context: str, text: str) -> float:
        return noise(text) + 5.0 * (text.lower() in own and context.endswith("?"))

    for twin, value in ((Believer("twin", believes, lambda _: ""), 1.0), (impostor(), 0.0)):
        part = figures(happy, twin)["personality"]["parts"]["preferences"]
        assert part["value"] == value
        assert "only the choice among rivals counts" in part["note"]


def test_later_words_set_the_ceiling_of_preferences() -> None:
    changed = [exchange(f"I hate {topic}", f"test-{n}") for n, topic in enumerate(LIKED[:2])]
    same = [exchange(f"I enjoy {topic}", f"test-{n + 2}") for n, topic in enumerate(LIKED[2:6])]
    later = [
        *changed,
        *same,
    ]
    moved = PersonaTest.prepare(history(), later, FrozenSet("f", "d", tuple(later), 6), PEOPLE)
    assert sorted(moved.later) == [False, False, True, True, True, True]
    part = figures(moved, knowing())["personality"]["parts"]["preferences"]
    assert part["ceiling"] == pytest.approx(4 / 6)
    assert "6 topics" in part["note"]


def said(text: str) -> list[Saying]:
    return sayings([exchange(text, "s")])


@pytest.mark.parametrize(
    ("text", "topic", "liked"),
    [
        ("Yeah I love hiking, photography and frisbee", "hiking", True),
        ("Im not a fan of biking though", "biking", False),
        ("I dont really like scary movies because they scare me", "scary movies", False),
        ("I am a big fan of marvel", "marvel", True),
        ("ผมไม่ค่อยชอบฝนตกค่ะ", "ฝนตก", False),
        ("หนูก็ชอบ coding มาก", "coding", True),
    ],
)
def test_likings_are_heard(text: str, topic: str, liked: bool) -> None:
    found = [one for one in map(preference_of, said(text)) if one]
    assert [(one.topic, one.liked) for one in found] == [(topic, liked)]


@pytest.mark.parametrize(
    "text",
    [
        "I love it",
        "I love that idea",
        "Do you love hiking?",
        "I would love to go",
        "I like the ending",
        "If I like it I stay",
        "I like how you said that",
        "haha lol I love dying",
        "ชอบมั้ยคะ",
    ],
)
def test_what_is_no_lasting_liking_is_not(text: str) -> None:
    assert not [one for one in map(preference_of, said(text)) if one]


def test_who_says_both_prefers_neither() -> None:
    both = [*said("I love rain"), *sayings([exchange("I hate rain", "other")])]
    assert preferences(both) == []


def test_rivals_are_never_what_the_person_spoke_of() -> None:
    own = [*said("I love hiking"), *sayings([exchange("I hate snow", "s2")])]
    others = [said(f"I love {topic}") for topic in ("snow", "hiking trips", "jazz", "tea", "bread")]
    [loved, hated] = with_rivals(preferences(own), own, others)
    assert sorted(loved.rivals) == ["bread", "jazz", "tea"]
    assert hated.rivals == (), "nobody hates anything"


def test_distractors_share_no_word_with_an_answer() -> None:
    own = [*said("I live in Salt Lake City"), *sayings([exchange("I live in Provo", "s2")])]
    others = [
        said(f"I live in {place}") for place in ("Lake Tahoe", "Provo", "Ogden", "Reno", "Orem")
    ]
    [asked] = with_distractors(questions(own), own, others)
    assert set(asked.golds) == {"salt lake city", "provo"}
    assert set(asked.distractors) == {"ogden", "reno", "orem"}
    assert asked.choices[0] in ("I live in salt lake city", "I live in provo")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("I'm from Provo, Utah!", True),
        ("somewhere in PROVO", True),
        ("I live here", False),
        ("", False),
    ],
)
def test_an_answer_holds_the_gold_or_not(answer: str, right: bool) -> None:
    [asked] = questions(said("I live in Provo"))
    assert asked.answered_by(answer) is right


SENTENCES = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.builds(
            "{} {} {}".format,
            st.sampled_from(["I love", "I hate", "I live in", "im from", "my sister is", "ฉันชอบ"]),
            st.text(alphabet="abcdefg hij,.?!กขคง", max_size=20),
            st.sampled_from(["", "because", "in general", "though", "มาก"]),
        ),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(SENTENCES)
def test_miners_take_any_text(texts: list[str]) -> None:
    found = sayings([exchange(text, f"s{n}") for n, text in enumerate(texts)])
    for one in preferences(found):
        assert one.topic and set(one.sessions) <= {f"s{n}" for n in range(len(texts))}
        assert len(one.topic.split()) <= 5
    for asked in questions(found):
        assert asked.golds[0] and "{" not in asked.answer.replace("{v}", "")
        assert asked.answered_by(asked.choices[0])


@given(st.text(max_size=60))
def test_an_answer_is_the_same_when_cut_again(words: str) -> None:
    value = answer_value(words)
    assert value is None or (answer_value(value) == value and value.strip() == value)


def test_the_same_history_asks_the_same(test: PersonaTest) -> None:
    again = PersonaTest.prepare(history(), LATER, FROZEN, PEOPLE)
    assert again.facts == test.facts and again.preferences == test.preferences
    marks = [figures(one, knowing()) for one in (test, again)]
    assert np.isclose(marks[0]["personality"]["value"], marks[1]["personality"]["value"])
