"""The personality test of one evaluation: prepared without a model, asked, turned into figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.personality.agreement import (
    Part,
    interval,
    mean_of,
    paired_difference,
)
from twin_pipelines.evaluation.personality.answered import (
    ALONE,
    ORACLE,
    RECALLED,
    FactFigures,
    preference_parts,
)
from twin_pipelines.evaluation.personality.asking import (
    Asked,
    Opening,
    Speaker,
    ask_facts,
    ask_nothing,
    ask_preferences,
)
from twin_pipelines.evaluation.personality.facts import FactQuestion, questions, with_distractors
from twin_pipelines.evaluation.personality.manner import manner_parts
from twin_pipelines.evaluation.personality.others import Said
from twin_pipelines.evaluation.personality.preferences import (
    Preference,
    preference_of,
    preferences,
    with_rivals,
)
from twin_pipelines.evaluation.personality.sayings import Saying, ensure_disjoint, sayings
from twin_pipelines.evaluation.personality.traits import trait_parts
from twin_pipelines.generation.prompt import Message
from twin_pipelines.persona.traits import markers

PARTS = ("traits", "preferences", "facts", "manner")
TWIN, CHAMPION = "twin", "champion"
ABLATION = ("base", "prompt", "retrieval", "adapter", "all")  # rows, asked under these names


@dataclass(frozen=True)
class Scored:
    """The personality of one system, and how much of its history it can tell."""

    parts: Mapping[str, Part]
    personality: Part
    grounded: Part
    grounded_share: dict[str, Any]
    without_retrieval: float | None


def fact_questions(train: Sequence[Exchange], unseen: Sequence[Exchange]) -> list[FactQuestion]:
    """The questions about the person that train answers, without distractors.

    Raises TwinError when a session of `unseen` also stands in `train`.
    """
    ensure_disjoint(train, unseen)
    return questions(sayings(train))


@dataclass(frozen=True)
class PersonaTest:
    """What is asked, and what the answers are compared with."""

    frozen: FrozenSet
    system: str  # the system message of the frozen contexts
    preferences: Sequence[Preference]
    later: Sequence[bool]  # topics of later sessions: was the same said again?
    facts: Sequence[FactQuestion]
    earlier: Sequence[Said]
    people: Mapping[str, Sequence[Said]]

    @classmethod
    def prepare(
        cls,
        train: Sequence[Exchange],
        later: Sequence[Exchange],
        frozen: FrozenSet,
        people: Mapping[str, Sequence[Said]],
    ) -> PersonaTest:
        """Make the questions of the train sessions; `later` (validation and test) only confirm.

        `people` are exchanges of others. Raises TwinError when a session of `later` or of the
        frozen set stands in train.
        """
        ensure_disjoint(train, [*later, *frozen.exchanges])
        said = sayings(train)
        liked, told = preferences(said), questions(said)
        others = [_sayings_of(spoken) for spoken in people.values()] if liked or told else []
        asked = with_rivals(liked, said, others)
        first = frozen.exchanges[0].prompt[0]
        return cls(
            frozen=frozen,
            system=first["content"] if first["role"] == "system" else "",
            preferences=asked,
            later=said_again(asked, sayings(later)),
            facts=with_distractors(told, said, others),
            earlier=[Said(one.input, one.reply) for one in train],
            people=people,
        )

    def ask(
        self,
        system: Speaker,
        replies: Sequence[str],
        recalled: Mapping[str, Sequence[str]] | None = None,
        *,
        base: bool = False,
        shown: Sequence[Message] = (),
    ) -> Asked:
        """Ask one system. `replies` are its replies to `frozen.to_generate`.

        `recalled` gives what was found for a question (by `question_id`). The base is asked what
        the figures need of it: without context, and with the very statement in its context. The
        examples `shown` stand before every question.
        """
        contexts: dict[str, Sequence[Sequence[str]] | None] = {ALONE: None}
        if base:
            contexts[ORACLE] = [[one.statement] for one in self.facts]
        if recalled is not None:
            contexts[RECALLED] = [recalled.get(one.question_id, ()) for one in self.facts]
        opening = Opening(self.system, tuple(shown))
        return Asked(
            name=system.name,
            replies=tuple(replies),
            preferences=ask_preferences(system, self.preferences, opening),
            facts={
                name: ask_facts(system, self.facts, opening, memories)
                for name, memories in contexts.items()
            },
            unasked=ask_nothing(system, self.preferences, self.facts, opening) if base else None,
        )

    def scores(self, asked: Mapping[str, Asked], *, times: int, seed: int) -> dict[str, Scored]:
        """The personality of every system asked, resampled together; "base" must be among them."""
        replies = {name: one.replies for name, one in asked.items()}
        real = [Said(one.input, one.reply) for one in self.frozen.exchanges]
        by_part = {
            "traits": trait_parts(
                [one.reply for one in real],
                replies,
                [one.reply for one in self.earlier],
                {who: [one.reply for one in said] for who, said in self.people.items()},
                times=times,
                seed=seed,
            ),
            "preferences": preference_parts(
                self.preferences, asked, self.later, times=times, seed=seed
            ),
            "manner": manner_parts(
                real, replies, self.earlier, self.people, times=times, seed=seed
            ),
        }
        facts = FactFigures(self.facts, asked, times, seed)
        by_part["facts"] = {name: facts.part(name) for name in asked}
        return {
            name: _scored({part: by_part[part][name] for part in PARTS}, facts, name)
            for name in asked
        }

    def figures(self, asked: Mapping[str, Asked], *, times: int, seed: int) -> dict[str, Any]:
        """`personality` and `grounded_answers` of the twin as in metrics.json, of `champion` (None
        without one) the paired differences twin - champion, of `ablation` two figures a row.

        `asked` has "base" and "twin", "champion" where there is one, and rows of ABLATION.
        """
        scored = self.scores(asked, times=times, seed=seed)
        twin, champion = scored[TWIN], scored.get(CHAMPION)
        personality = {
            **twin.personality.as_dict(),
            "parts": {name: part.as_dict() for name, part in twin.parts.items()},
            "rater": markers.fingerprint(),
            "questions": {"preferences": len(self.preferences), "facts": len(self.facts)},
        }
        for key in ("x", "control", "ceiling"):
            personality.pop(key)
        return {
            "personality": personality,
            "grounded_answers": {
                **twin.grounded_share,
                "control": twin.grounded.control,
                "ceiling": twin.grounded.ceiling,
                "without_retrieval": twin.without_retrieval,
                **({"note": twin.grounded.note} if twin.grounded.note else {}),
            },
            "champion": champion
            and {
                "personality": paired_difference(twin.personality, champion.personality),
                "grounded_answers": paired_difference(twin.grounded, champion.grounded),
            },
            "ablation": {
                row: {
                    "personality": _value(scored[row].personality),
                    "grounded": scored[row].grounded_share["value"],
                }
                for row in ABLATION
                if row in scored
            },
        }


def said_again(asked: Sequence[Preference], later: Sequence[Saying]) -> list[bool]:
    """For each topic that the person spoke of again, in their later words: was it the same?"""
    known = {one.key: one.liked for one in asked}
    again: dict[frozenset[str], list[bool]] = {}
    for saying in later:
        one = preference_of(saying)
        if one and one.key in known:
            again.setdefault(one.key, []).append(one.liked == known[one.key])
    return [all(same) for same in again.values()]


def _value(part: Part) -> float | None:
    return part.relative.value if part.relative else None


def _scored(parts: dict[str, Part], facts: FactFigures, name: str) -> Scored:
    alone = facts.marks.get((name, ALONE))
    return Scored(
        parts=parts,
        personality=mean_of(parts),
        grounded=parts["facts"],
        grounded_share=interval(facts.grounded(name), facts.n),
        without_retrieval=alone.value if alone else None,
    )


def _sayings_of(spoken: Sequence[Said]) -> list[Saying]:
    return sayings(
        [
            Exchange("", str(number), ({"role": "user", "content": one.input},), one.reply)
            for number, one in enumerate(spoken)
        ]
    )
