"""What the subject says of themselves, ordered by how much it predicts what they will write.

Statements that say nearly the same are one fact. The gain of a fact is what a reader who knows it
gains on the subject's other words: for each word w that carries its content, p(w) · log₂ p(w)/q(w),
with p its share of the subject's words outside the turns that state the fact and q its share of
what their partners write, both smoothed; summed over the words, none counted below 0, in bits per
1,000 words. It is the share of these words in the Kullback-Leibler divergence between the two. As
room is dear, a fact said once may be a joke, and what an earlier line told is told, the order is by
gain a token of the words not told yet, times 1 - 2^-sessions; who somebody is, where they live and
what they do (`ASKED_KINDS`) gain `ASKED` more, because partners ask for them in other words. What
points at something outside the sentence, or speaks of a passing day, is no fact.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import polars as pl

from twin_pipelines.foundation.budget import BYTES_A_TOKEN
from twin_pipelines.foundation.words import words_of, words_of_all
from twin_pipelines.persona.statements.find import find_statements, patterns

_TIME = pl.Datetime("us", "UTC")
FACTS: dict[str, Any] = {
    "key": pl.String,
    "kind": pl.String,
    "text": pl.String,
    "words": pl.List(pl.String),
    "sessions": pl.Int32,
    "first_at": _TIME,
    "last_at": _TIME,
    "gain": pl.Float64,
    "message_ids": pl.List(pl.String),
}
STEM = 5  # characters of a word that are compared
MOST_OF = 0.75
MOST = 150  # facts that are put into order
LEAST_NEW = 1 / 3  # of a fact's gain
PRIOR = 0.5  # occurrences of every word beyond those seen
STANDING = 1 / 3  # of the sessions of the best attested answer, for a newer one to replace it
PASSING_KINDS = ("Feelings",)
ASKED_KINDS = ("Who I am", "Home", "Family and relations", "Work and study", "Values and beliefs")
ASKED = 0.5  # bits per 1,000 words
UNSURE_KINDS = ("Plans and promises",)  # they need two sessions and two words
GENERIC = (
    "general try trying tried tries hope hoping need needed use used using help find found figure "
    "guess mean means sure yet every everyone everybody anyone happen happens happened whole "
    "enough several different specific certain almost mostly pretty honestly literally basically "
    "super favorite favourite interested wish plan planning planned decided decide eventually "
    "recently half part place places point reason couple few little big small long short old high "
    "together without through around between against until while since able okay alright sorry "
    "thanks thank please hahaha hahahaha haha lol lmao hmm oh ah wow yeah yep nope nah hey hi "
    "hello bye next last will"
)
_LAUGHTER = re.compile(r"5{3,}|(?:ha|he|hi){2,}h?")
_ENGLISH_EMPTY = frozenset(f"{patterns.EMPTY_WORDS} {GENERIC}".split())
_POINTING = re.compile(
    r"\b(?:it|them|they|he|she|him|her|that|this|those|these|you|your|there|one|ones|things?|stuff|"
    r"everything|anything|something)\b|มัน|นั้น|นี้|แบบนี้|แบบนั้น|ที่นั่น|ตรงนั้น"
)
_DENIED = re.compile(
    r"\b(?:not|no|never|none|cannot|(?:ai|are|ca|could|did|do|does|had|has|have|is|must|should|"
    r"was|were|wo|would)n['’]?t)\b|ไม่",
    re.IGNORECASE,
)
# What one has but one of at a time: the newest answer holds.
_SLOTS = {
    "home": re.compile(
        r"\bi (?:\w+ )?(?:live|reside|stay|moved)\b|\b(?:im|i am) living\b|(?:อาศัย)?อยู่ที่|ย้ายมา|ย้ายไป"
    ),
    "age": re.compile(r"\b(?:im|i am) (?:\w+ )?\d{1,2}(?: years?| yo)?\b|อายุ\s*\d"),
    "name": re.compile(r"\bmy name is\b|\bcall me\b|ชื่อ"),
}


class Vocabularies:
    """How often the subject and their partners use each word."""

    def __init__(self) -> None:
        self._own, self._others = Counter[str](), Counter[str]()

    def hear(self, turns: pl.DataFrame, subject: str) -> None:
        """Count the words of more turns (`speaker`, `text`)."""
        mine = pl.col("speaker") == subject
        for counter, who in ((self._own, mine), (self._others, ~mine)):
            for words in words_of_all(turns.filter(who)["text"].to_list()):
                counter.update(words)

    def gains(self, words: Iterable[str], without: Counter[str]) -> dict[str, float]:
        """Bits per 1,000 words that knowing of each word is worth, not counting `without`."""
        kinds = PRIOR * len(self._own | self._others)
        total = max(1.0, self._own.total() - without.total() + kinds)
        usual_total = max(1.0, self._others.total() + kinds)
        found = {}
        for word in words:
            elsewhere = self._own[word] - without[word]
            share = (elsewhere + PRIOR) / total
            usual = (self._others[word] + PRIOR) / usual_total
            bits = 1_000 * share * math.log2(share / usual) if elsewhere > 0 else 0.0
            found[word] = max(0.0, bits)
        return found


def facts_of(turns: pl.DataFrame, subject: str, names: Sequence[str] = ()) -> pl.DataFrame:
    """Facts (FACTS) the subject stated in the turns (columns of `cleaned_messages`), best first."""
    statements = find_statements(turns, subject, names)
    known = Vocabularies()
    known.hear(turns, subject)
    return weighed_facts(statements, known)


def weighed_facts(statements: pl.DataFrame, known: Vocabularies) -> pl.DataFrame:
    """Statements (`statements.STATEMENTS`) of one person as facts (FACTS), best first."""
    if statements.is_empty():
        return pl.DataFrame(schema=FACTS)
    told = statements.sort("said_at", "bare").filter(
        ~pl.col("bare").str.contains(patterns.PASSING.pattern),
        ~pl.col("bare").str.contains(_POINTING.pattern),
        ~pl.col("kind").is_in(PASSING_KINDS),
    )
    words = [fact_words(text) for text in told["text"]]
    told = told.with_columns(
        pl.Series("words", words, pl.List(pl.String)), pl.Series("group", _groups(told, words))
    ).filter(pl.col("words").list.len() > 0)
    grouped = told.group_by("group", maintain_order=True).agg(
        pl.col("kind").first(),
        pl.col("text", "bare"),
        pl.col("words"),
        pl.col("session_id").n_unique().alias("sessions"),
        pl.col("said_at").min().alias("first_at"),
        pl.col("said_at").max().alias("last_at"),
        pl.col("message_ids")
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique(maintain_order=True),
    )
    rows, gains = [], {}
    for row in grouped.iter_rows(named=True):
        at, key = _typical(row["text"], row["words"]), f"fact/{row['kind']}/{row['bare'][0]}"
        stated = Counter(word for said in row["text"] for word in words_of(said))
        gains[key] = known.gains(row["words"][at], stated)
        rows.append(
            {
                **row,
                "key": key,
                "bare": row["bare"][at],
                "text": _without_fillers(row["text"][at], row["bare"][at]),
                "words": row["words"][at],
                "gain": sum(gains[key].values()),
            }
        )
    facts = pl.DataFrame(rows, schema={**FACTS, "bare": pl.String}).unique("key", keep="first")
    return _told_in_order(_in_force(facts).select(list(FACTS)), gains)


def _told_in_order(facts: pl.DataFrame, gains: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    """The facts with the one first that tells most that no earlier one told; `MOST` of them.

    One of which earlier ones told all but `LEAST_NEW` of its gain is left out.
    """
    sure = 1 - pl.lit(2.0).pow(-pl.col("sessions").cast(pl.Float64))
    weight = sure / (pl.col("text").str.len_bytes() / BYTES_A_TOKEN)
    asked = pl.col("kind").is_in(ASKED_KINDS) * ASKED
    ranked = (
        facts.with_columns(weight.alias("weight"), asked.alias("asked"))
        .sort(
            pl.col("weight") * (pl.col("gain") + pl.col("asked")), "key", descending=[True, False]
        )
        .head(MOST)
    )
    left = dict(enumerate(ranked.select("key", "weight", "asked").rows()))
    told, order = set[str](), list[int]()

    def worth(at: int) -> float:
        key, a_bit, own = left[at]
        untold = [bits for word, bits in gains[key].items() if word not in told]
        return a_bit * (sum(untold) + own * bool(untold))

    while left:
        best = max(left, key=worth)
        bits = gains[left.pop(best)[0]]
        new = sum(gain for word, gain in bits.items() if word not in told)
        if new >= LEAST_NEW * sum(bits.values()):
            order.append(best)
            told |= bits.keys()
    return ranked[order].select(list(FACTS))


def fact_words(text: str) -> list[str]:
    """Words of a text that carry its content, each once: neither function words nor numbers."""
    found = dict.fromkeys(words_of(text))
    return [word for word in found if not _is_empty(word)]


def _is_empty(word: str) -> bool:
    plain = word.replace("'", "")
    if "\u0e00" <= plain[:1] <= "\u0e7f":
        return plain in _thai_empty()
    return plain in _ENGLISH_EMPTY or len(plain) < 2 or _LAUGHTER.fullmatch(plain) is not None


@lru_cache(maxsize=1)
def _thai_empty() -> frozenset[str]:
    from pythainlp.corpus import thai_stopwords

    polite = "ค่ะ คะ ครับ คับ ฮะ จ้า จ้ะ นะคะ นะครับ นะ ผม ฉัน ดิฉัน หนู เรา เค้า ชอบ รัก มาก"
    return frozenset(thai_stopwords()) | frozenset(polite.split())


def _groups(told: pl.DataFrame, words: Sequence[Sequence[str]]) -> list[int]:
    """A number shared by statements that say nearly the same: of one kind, both denied or neither,
    with word beginnings that are equal, or two or more shared that are most of either's."""
    leaders: list[frozenset[str]] = []
    by_stem: dict[tuple[str, bool, str], list[int]] = {}
    groups = []
    for kind, text, own in zip(told["kind"], told["text"], words, strict=True):
        stems = frozenset(word[:STEM] for word in own)
        denied = _DENIED.search(text) is not None
        near = sorted({at for stem in stems for at in by_stem.get((kind, denied, stem), ())})
        found = next((at for at in near if _same(stems, leaders[at])), None)
        if found is None:
            found = len(leaders)
            leaders.append(stems)
            for stem in stems:
                by_stem.setdefault((kind, denied, stem), []).append(found)
        groups.append(found)
    return groups


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return one == other or (shared >= 2 and shared >= MOST_OF * min(len(one), len(other)))


def _without_fillers(text: str, bare: str) -> str:
    """The wording from where the subject begins to say something, if that is known."""
    said = text.split()
    fillers = len(said) - len(bare.split())
    told = " ".join(said[fillers:])
    same = _plain(told) == _plain(bare)
    return told if fillers > 0 and same else " ".join(said)


def _plain(text: str) -> str:
    return re.sub(r"[^\w]", "", text.lower())


def _typical(texts: Sequence[str], words: Sequence[Sequence[str]]) -> int:
    """Place of the wording that shares most of its words with the others; the shortest."""
    shared = Counter(word for own in words for word in own)

    def typicality(at: int) -> tuple[float, int]:
        return sum(shared[word] for word in words[at]) / (len(words[at]) + 1), -len(texts[at])

    return max(range(len(texts)), key=typicality)


def _in_force(facts: pl.DataFrame) -> pl.DataFrame:
    """The facts that hold: without unsure ones, and without older answers to what can have but one
    (home, age, name)."""
    alone = (pl.col("sessions") < 2) | (pl.col("words").list.len() < 2)
    unsure = pl.col("kind").is_in(UNSURE_KINDS) & alone
    facts = facts.filter(~unsure)
    outdated: set[str] = set()
    for pattern in _SLOTS.values():
        rivals = facts.filter(pl.col("bare").str.contains(pattern.pattern))
        if rivals.height < 2:
            continue
        standing = rivals.filter(pl.col("sessions") >= STANDING * rivals["sessions"].max())  # type: ignore[operator]
        newest = standing.sort("last_at", "sessions")["key"][-1]
        outdated |= set(rivals["key"]) - {newest}
    return facts.filter(~pl.col("key").is_in(list(outdated)))
