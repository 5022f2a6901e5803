"""Whether what was learnt still stands: what became of a dataset's pairs since it was frozen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Changes:
    """Pairs of a frozen dataset that are no longer as they were, each counted once.

    `tested` are those of the test split; the others are of train and validation.
    """

    version: str
    erased: int  # the reply itself is gone, or an erasure took the pair
    dropped: int  # the reply is there, but makes no pair that may be learnt any more
    edited: int  # context, message or reply say something else
    tested: int
    untold: int = 0  # frozen without a record of what they said

    @property
    def learnt(self) -> int:
        """Changed pairs that an adapter of this dataset learnt."""
        return self.erased + self.dropped + self.edited

    @property
    def stale(self) -> bool:
        """Whether the history gives another dataset now."""
        return bool(self.learnt or self.tested)

    @property
    def words(self) -> str:
        """What changed, in half a sentence; empty where nothing did."""
        told = [
            f"{number} {what}"
            for number, what in (
                (self.erased, "erased"),
                (self.dropped, "no longer usable"),
                (self.edited, "edited"),
            )
            if number
        ]
        learnt = f"of the pairs it taught {_listed(told)} since" if told else ""
        tested = f"{self.tested} of its test changed" if self.tested else ""
        return "; ".join(part for part in (learnt, tested) if part)


def stale_adapter(changes: Changes) -> str:
    """Why an adapter trained on the dataset is stale, in a sentence; empty where it is not.

    What only tested it makes no adapter stale.
    """
    if not changes.learnt:
        return ""
    return f"Dataset {changes.version} is no longer what it was: {changes.words}."


def _listed(told: list[str]) -> str:
    if len(told) == 1:
        return told[0]
    return f"{', '.join(told[:-1])} and {told[-1]}"
