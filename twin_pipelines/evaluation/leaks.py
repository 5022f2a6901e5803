"""Is the frozen set really unseen? Looked at anew, with nothing of the code that made the split.

Three signs of a leak between the frozen exchanges and what may have been learnt from: a session, a
message or a whole exchange (message and reply, word for word) that stands on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.evaluation.unseen import SeenError, long_texts


@dataclass(frozen=True)
class Overlap:
    """How much stands on both sides; `unknown` pairs have no messages in the database any more."""

    sessions: int
    messages: int
    exchanges: int
    unknown: int

    @property
    def clean(self) -> bool:
        """Whether nothing does."""
        return not (self.sessions or self.messages or self.exchanges)

    @property
    def words(self) -> str:
        """The finding in words."""
        if self.clean:
            return "no session, message or exchange of the test set was trained on"
        return (
            f"{self.sessions} sessions, {self.messages} messages and {self.exchanges} whole "
            "exchanges of the test set also stand in train or validation"
        )

    def as_dict(self) -> dict[str, Any]:
        """The form in which it stands in metrics.json."""
        return {**asdict(self), "words": self.words}


def refuse_leaks(found: Mapping[str, Any]) -> None:
    """Raise SeenError when an `Overlap.as_dict` is not clean."""
    if found["sessions"] or found["messages"] or found["exchanges"]:
        raise SeenError(
            f"{found['words']}, so no figure can be computed on them; rebuild the dataset and "
            "train again."
        )


def overlap(
    frozen: Sequence[Exchange],
    learnt: Sequence[Exchange],
    messages: Mapping[str, Sequence[str]],
) -> Overlap:
    """Compare the frozen exchanges with those of train and validation.

    `messages` gives the identities of the messages behind a pair.
    """
    pairs = [*frozen, *learnt]
    return Overlap(
        sessions=len({one.session_id for one in frozen} & {one.session_id for one in learnt}),
        messages=len(_messages(frozen, messages) & _messages(learnt, messages)),
        exchanges=len(_texts(frozen) & _texts(learnt)),
        unknown=sum(one.pair_id not in messages for one in pairs),
    )


def _messages(exchanges: Sequence[Exchange], messages: Mapping[str, Sequence[str]]) -> set[str]:
    return {message for one in exchanges for message in messages.get(one.pair_id, ())}


def _texts(exchanges: Sequence[Exchange]) -> set[str]:
    return set(long_texts(one.said for one in exchanges))
