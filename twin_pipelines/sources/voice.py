"""Tells voices apart, and whether the subject is one voice (docs/figures.md).

The verifier is character 2–4-gram TF-IDF with logistic regression over windows of words. It knows
its own classes only: a stranger's window falls to the nearest of them, so the more strangers it was
shown, the fewer windows of unknown people fall to the subject by chance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from twin_pipelines.sources.habits import Habits

WINDOW_WORDS = 150
OWN_LEAST = 0.90  # share of the subject's unseen windows that must be known as the subject's
OTHERS_MOST = 0.10  # share of unseen people's windows that may be taken for the subject's
SWITCHING_MOST = 0.20
CAPITALS_SD_MOST = 0.25
FEWEST_WINDOWS = 10  # to learn from, and to judge by
WINDOWS_A_PERSON = 60  # of each class, evenly spaced in time
UNSEEN_A_PERSON = 20
UNSEEN_OWN = 200
TRAIN_SHARE = 0.8
ME = "subject"

# One word: a run without spaces; where a script writes none, as many letters as a word has there.
_WORD = re.compile(
    r"(?:[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{1,4}|[\u3040-\u30ff\u3400-\u9fff]{1,2}"
    r"|[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+)\s*"
)


def windows(texts: Sequence[str], words: int = WINDOW_WORDS) -> list[str]:
    """Consecutive texts cut into stretches of exactly `words` words; the rest is dropped.

    A line break stands between texts and stays where one stands in them: how people cut their
    messages is theirs. Other white space becomes one blank. Thai, Lao, Khmer and Burmese count four
    letters a word, Chinese and Japanese two.
    """
    lines = (" ".join(line.split()) for text in texts for line in text.splitlines())
    found = _WORD.findall("\n".join(line for line in lines if line))
    return [
        "".join(found[start : start + words]).strip()
        for start in range(0, len(found) - words + 1, words)
    ]


def evenly(items: Sequence[str], most: int) -> list[str]:
    """At most `most` of the items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, most).round()]


class VoiceVerifier:
    """Attributes windows of text to the people (and the AI) whose windows it has seen.

    Deterministic: the same windows give the same attributions.
    """

    def __init__(self, features: int = 10_000, strength: float = 10.0) -> None:
        self.features = features
        self.strength = strength
        self.fingerprint = ""  # of what it learnt from
        self._vectorizer: Any = None
        self._model: Any = None

    def fit(self, samples: Mapping[str, Sequence[str]]) -> Self:
        """Learn from windows by label. Raises ValueError with fewer than two labels."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        labels = sorted(label for label, texts in samples.items() if texts)
        if len(labels) < 2:
            raise ValueError("a verifier needs windows of two people or more")
        texts = [text for label in labels for text in samples[label]]
        classes = [label for label in labels for _ in samples[label]]
        self._vectorizer = TfidfVectorizer(
            analyzer="char",
            ngram_range=(2, 4),
            lowercase=False,
            sublinear_tf=True,
            min_df=2,
            max_features=self.features,
            dtype=np.float32,
        )
        matrix = self._vectorizer.fit_transform(texts)
        self._model = LogisticRegression(C=self.strength, max_iter=300, tol=1e-3)
        with threadpool_limits(1):  # on so small a problem threads only wait for each other
            self._model.fit(matrix, classes)
        self.fingerprint = _hash([f"{self.features} {self.strength}", *labels, *classes, *texts])
        return self

    def attribute(self, texts: Sequence[str]) -> np.ndarray:
        """The label each window is nearest to, as an array of str."""
        if not len(texts):
            return np.empty(0, dtype=object)
        return self._model.predict(self._vectorizer.transform(texts))

    def share(self, texts: Sequence[str], label: str) -> float:
        """Share of the windows attributed to a label."""
        return float(np.mean(self.attribute(texts) == label))


@dataclass(frozen=True)
class OneVoice:
    """Whether a name is one person. `passed` is None where there was too little text to tell."""

    own_share: float | None  # own unseen windows attributed to the speaker
    other_share: float | None  # unseen people's windows attributed to the speaker, mean over people
    own_windows: int  # own unseen windows
    passed: bool | None
    note: str  # the verdict in words


def one_voice(
    own_train: Sequence[str],
    own_unseen: Sequence[str],
    others_train: Mapping[str, Sequence[str]],
    others_unseen: Mapping[str, Sequence[str]],
    *,
    words: int = WINDOW_WORDS,
    habits: Habits | None = None,
) -> OneVoice:
    """Is the speaker one person (docs/figures.md)? Texts are in time order, by person.

    The verifier learns the speaker and `others_train`, each from the same number of windows, and is
    asked about windows it has not seen: the speaker's later ones and those of `others_unseen`,
    people it does not know. Passed: own share ≥ 0.90, others' ≤ 0.10, and, where `habits` are
    given, switching ≤ 0.20 and spread of capitals ≤ 0.25.
    """
    learnt = evenly(windows(own_train, words), WINDOWS_A_PERSON)
    judged = evenly(windows(own_unseen, words), UNSEEN_OWN)
    most = len(learnt)
    known = {name: evenly(windows(texts, words), most) for name, texts in others_train.items()}
    unseen = {
        name: evenly(windows(texts, words), UNSEEN_A_PERSON)
        for name, texts in others_unseen.items()
    }
    unseen = {name: texts for name, texts in unseen.items() if texts}
    few = min(len(learnt), len(judged)) < FEWEST_WINDOWS
    if few or not any(known.values()) or not unseen:
        return OneVoice(None, None, len(judged), None, _too_little(len(learnt), len(judged), words))
    verifier = VoiceVerifier().fit({ME: learnt, **known})
    own_share = verifier.share(judged, ME)
    other_share = float(np.mean([verifier.share(texts, ME) for texts in unseen.values()]))
    signs = [*_shares(own_share, other_share), *habit_signs(habits)]
    failed = [words for words, good in signs if not good]
    verdict = (
        "seems to be several people under one name" if failed else "is one voice by every sign"
    )
    note = f"The speaker {verdict}: " + "; ".join(
        words + ("" if good else " (not passed)") for words, good in signs
    )
    known_people = sum(bool(texts) for texts in known.values())
    note += (
        f". Judged by {len(judged)} unseen windows of {words} words against {known_people} known "
        f"and {len(unseen)} unknown people."
    )
    return OneVoice(own_share, other_share, len(judged), not failed, note)


def split_by_time(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The first 80 % of texts in time order, and the rest."""
    cut = int(len(texts) * TRAIN_SHARE)
    return list(texts[:cut]), list(texts[cut:])


def _shares(own: float, others: float) -> list[tuple[str, bool]]:
    return [
        (f"own unseen text recognised {own:.0%} (at least {OWN_LEAST:.0%})", own >= OWN_LEAST),
        (
            f"unknown people taken for the speaker {others:.1%} (at most {OTHERS_MOST:.0%})",
            others <= OTHERS_MOST,
        ),
    ]


def habit_signs(habits: Habits | None) -> list[tuple[str, bool]]:
    """Each habit that could be measured, in words, and whether it speaks for one person.

    The limits lie between chitchat's senders of one style (switching up to 0.12, capitals up to
    0.18) and its shared accounts (0.23 and 0.34; 0.31 and 0.40).
    """
    signs = []
    if habits and habits.switching is not None:
        words = (
            f"{habits.switching:.0%} of messages at most 5 s apart stand in different "
            f"conversations (at most {SWITCHING_MOST:.0%})"
        )
        signs.append((words, habits.switching <= SWITCHING_MOST))
    if habits and habits.capitals_sd is not None:
        words = (
            f"capitals differ between conversations with SD {habits.capitals_sd:.2f} "
            f"(at most {CAPITALS_SD_MOST:.2f})"
        )
        signs.append((words, habits.capitals_sd <= CAPITALS_SD_MOST))
    return signs


def _too_little(learnt: int, judged: int, words: int) -> str:
    return (
        f"Too little text to tell whether this is one voice: {learnt} windows of {words} words to "
        f"learn from and {judged} to judge by, and {FEWEST_WINDOWS} of each are needed, with other "
        "people to compare with."
    )


def _hash(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:16]
