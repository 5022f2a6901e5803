"""What another person answered to something alike: the nearest exchange of strangers.

Nearness is the cosine of TF-IDF words, message against message and, with half the weight, reply
against reply, less a penalty for unequal length: a rejected reply is one that could have been given
and differs in who speaks. An exchange serves a few times only, so that no stranger's reply is
learnt by heart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twin_pipelines.sources.chitchat import Exchange

MOST_USES = 3  # of one exchange
_CANDIDATES = 40
_REPLY_WEIGHT = 0.5
_LENGTH_PENALTY = 0.1  # for each factor e between the lengths of the replies
_BLOCK = 512


def nearest_replies(
    asked: Sequence[str], said: Sequence[str], exchanges: Sequence[Exchange]
) -> list[str | None]:
    """A stranger's reply for each (message, reply); None when all that are near are used up."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not exchanges:
        return [None] * len(asked)
    theirs = [context[-1]["content"] for context, _ in exchanges]
    replies = [reply for _, reply in exchanges]
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    vectorizer.fit([*asked, *said, *theirs, *replies])
    known = [vectorizer.transform(texts).T.tocsr() for texts in (theirs, replies)]
    given = [vectorizer.transform(texts).tocsr() for texts in (asked, said)]
    lengths = [np.log([max(1, len(text)) for text in texts]) for texts in (said, replies)]
    uses: Counter[int] = Counter()
    chosen: list[str | None] = []
    for start in range(0, len(asked), _BLOCK):
        rows = slice(start, start + _BLOCK)
        near = (given[0][rows] @ known[0]) + _REPLY_WEIGHT * (given[1][rows] @ known[1])
        unequal = np.abs(lengths[0][rows, None] - lengths[1][None, :])
        score = near.toarray() - _LENGTH_PENALTY * unequal
        best = np.argsort(-score, axis=1, kind="stable")[:, :_CANDIDATES]
        for row in best.tolist():
            free = next((place for place in row if uses[place] < MOST_USES), None)
            uses.update([] if free is None else [free])
            chosen.append(None if free is None else replies[free])
    return chosen
