"""Asks a system what the person prefers and who they are: forced choices and answers.

Liking or its opposite is chosen by log-odds, in two wordings and in both orders of the question,
less their mean over topics of other people: what a system would say of anything. Subtracting each
sentence's own likelihood instead (PMI) would take away the very preference that is looked for.

A topic or its rivals, and a fact or its distractors, are chosen by PMI sum, log p(answer given the
question) - log p(answer), where the second is the base's own for every system: an answer that is
likely anywhere gains nothing by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from twin_pipelines.evaluation.bootstrap import Floats
from twin_pipelines.evaluation.personality.facts import FactQuestion
from twin_pipelines.evaluation.personality.preferences import Preference
from twin_pipelines.generation.forward import Score
from twin_pipelines.generation.prompt import Message, chat_messages, with_memories
from twin_pipelines.persona.statements.topics import Language

ANSWER_TOKENS = 24
MOST_RECALLED = 4
MOST_USUAL = 8  # of each kind
RECALLED_CHARS = 200  # of each recalled message

_QUESTIONS: dict[Language, tuple[str, ...]] = {
    "en": ("Do you love or hate {t}?", "Do you hate or love {t}?"),
    "th": ("ชอบหรือไม่ชอบ{t}", "ไม่ชอบหรือชอบ{t}"),
}
_CHOICES: dict[Language, tuple[tuple[str, str], ...]] = {  # liking, its opposite
    "en": (("I love {t}", "I hate {t}"), ("I like {t}", "I dont like {t}")),
    "th": (("ชอบ{t}", "ไม่ชอบ{t}"), ("รัก{t}", "เกลียด{t}")),
}
_WHICH: dict[Language, dict[bool, tuple[str, str]]] = {  # by liking: question, answer
    "en": {True: ("What do you love?", "I love {t}"), False: ("What do you hate?", "I hate {t}")},
    "th": {True: ("ชอบอะไร", "ชอบ{t}"), False: ("ไม่ชอบอะไร", "ไม่ชอบ{t}")},
}
_ANYTHING: dict[Language, tuple[str, ...]] = {
    "en": ("it", "that", "this", "them"),
    "th": ("อันนี้", "แบบนี้", "สิ่งนี้"),
}


Scores = tuple[tuple[float, ...], ...]


class Speaker(Protocol):
    """What of `evaluation.systems.System` is needed here."""

    name: str

    def scores(
        self,
        conversations: Sequence[Sequence[Message]],
        candidates: Sequence[Sequence[str]],
        what: str,
    ) -> list[list[Score]]:
        """How likely each candidate is after its conversation."""

    def greedy(self, conversations: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """The likeliest continuation of each conversation."""


@dataclass(frozen=True)
class Opening:
    """What stands before every question: the system message, and examples."""

    system: str
    shown: tuple[Message, ...] = ()

    def before(self, question: str) -> list[Message]:
        """The conversation that ends with the question."""
        return chat_messages(self.system, self.shown, question)


@dataclass(frozen=True)
class FactAnswers:
    """Of each question: log-probabilities of its choices, and the answer given."""

    scores: Scores
    answers: tuple[str, ...]


@dataclass(frozen=True)
class PreferenceAnswers:
    """Of each topic: log-odds of liking it in nats above those of liking anything, and the
    log-probabilities of the topic and its rivals."""

    odds: Floats
    rivals: Scores


@dataclass(frozen=True)
class Unasked:
    """Log-probabilities of rivals and of facts' choices after an empty message."""

    rivals: Scores
    facts: Scores


@dataclass(frozen=True)
class Asked:
    """What one system said: replies to the frozen contexts, and its answers."""

    name: str
    replies: tuple[str, ...]
    preferences: PreferenceAnswers
    facts: Mapping[str, FactAnswers] = field(default_factory=dict)  # by what stood in the context
    unasked: Unasked | None = None


def ask_preferences(
    speaker: Speaker, asked: Sequence[Preference], opening: Opening
) -> PreferenceAnswers:
    """Which of liking and its opposite, and which of a topic and its rivals, a system prefers."""
    if not asked:
        return PreferenceAnswers(np.zeros(0), ())
    topics = [(one.topic, one.language) for one in asked]
    topics += anything(asked)
    conversations, candidates = [], []
    for topic, language in topics:
        for question in _QUESTIONS[language]:
            conversations.append(opening.before(question.replace("{t}", topic)))
            candidates.append(
                [side.replace("{t}", topic) for pair in _CHOICES[language] for side in pair]
            )
    scored = speaker.scores(conversations, candidates, "preferences")
    odds = np.array([_log_odds(group) for group in scored]).reshape(len(topics), -1).mean(axis=1)
    spoken = np.array([language for _, language in topics])
    others = np.arange(len(topics)) >= len(asked)
    usual = {one: odds[others & (spoken == one)].mean() for one in set(spoken.tolist())}
    above = odds[: len(asked)] - np.array([usual[one.language] for one in asked])
    which = [opening.before(_WHICH[one.language][one.liked][0]) for one in asked]
    rivals = speaker.scores(which, [_topic_choices(one) for one in asked], "topics and rivals")
    return PreferenceAnswers(above, _numbers(rivals))


def anything(asked: Sequence[Preference]) -> list[tuple[str, Language]]:
    """Topics by which a language's usual log-odds are known: rivals, as many of what others like as
    of what they dislike; without rivals, words that point at nothing."""
    found: list[tuple[str, Language]] = []
    for language in sorted({one.language for one in asked}):
        of_kind = [
            dict.fromkeys(
                one.rivals[0]
                for one in asked
                if one.rivals and one.language == language and one.liked == liked
            )
            for liked in (True, False)
        ]
        fewer = min(MOST_USUAL, *map(len, of_kind))
        rivals = [topic for topics in of_kind for topic in list(topics)[:fewer]]
        found += [(topic, language) for topic in rivals or _ANYTHING[language]]
    return found


def _topic_choices(asked: Preference) -> list[str]:
    answer = _WHICH[asked.language][asked.liked][1]
    return [answer.replace("{t}", topic) for topic in (asked.topic, *asked.rivals)]


def _log_odds(scored: Sequence[Score]) -> float:
    """The mean over wordings of liking's log-probability less its opposite's."""
    pairs = zip(scored[::2], scored[1::2], strict=True)
    return float(np.mean([liking.log_prob - opposite.log_prob for liking, opposite in pairs]))


def ask_facts(
    speaker: Speaker,
    asked: Sequence[FactQuestion],
    opening: Opening,
    memories: Sequence[Sequence[str]] | None = None,
) -> FactAnswers:
    """Scores of the choices and greedy answers, with `memories` of each question in the prompt."""
    if not asked:
        return FactAnswers((), ())
    conversations = [opening.before(one.question) for one in asked]
    if memories is not None:
        conversations = [
            with_memories(one, [text[:RECALLED_CHARS] for text in said[:MOST_RECALLED]])
            for one, said in zip(conversations, memories, strict=True)
        ]
    choices = [list(one.choices) for one in asked]
    scored = speaker.scores(conversations, choices, "facts")
    answers = speaker.greedy(conversations, ANSWER_TOKENS)
    return FactAnswers(_numbers(scored), tuple(answers))


def ask_nothing(
    speaker: Speaker,
    topics: Sequence[Preference],
    facts: Sequence[FactQuestion],
    opening: Opening,
) -> Unasked:
    """How likely topics, rivals and facts' choices are by themselves, after an empty message."""
    choices = [*map(_topic_choices, topics), *(list(one.choices) for one in facts)]
    if not choices:
        return Unasked((), ())
    nothing = opening.before("")
    scored = _numbers(speaker.scores([nothing] * len(choices), choices, "choices unasked"))
    return Unasked(scored[: len(topics)], scored[len(topics) :])


def _numbers(scored: Sequence[Sequence[Score]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(one.log_prob for one in group) for group in scored)
