"""The gate of a learned retriever: it must surely help with replies, and surely not hurt recall."""

from __future__ import annotations

from twin_pipelines.evaluation.retriever.trial import Trial
from twin_pipelines.retrieval.learning.fit import Fitted

FEWEST_CONTEXTS = 50  # unseen ones
KNOWN_MARGIN = 0.03  # of recall at 10 that may be lost, at worst


def judged(fitted: Fitted, trial: Trial | None) -> tuple[bool, str]:
    """Whether a retriever may come into force, and why, in a sentence.

    "Surely" means that the 95 % interval lies on one side. Without a trial nothing was learned.
    """
    if trial is None or not fitted.steps:
        return False, (
            "It learned nothing that holds for contexts it was not taught: without it the "
            f"divergence there is {fitted.before:.4f} nats, and no step made it smaller."
        )
    if trial.gain is None or trial.contexts < FEWEST_CONTEXTS:
        return False, (
            f"There are {trial.contexts} unseen contexts and {FEWEST_CONTEXTS} are needed to judge "
            "it; a longer history has more."
        )
    gain, known = trial.gain, trial.known
    told = (
        f"On {trial.contexts} unseen contexts, {trial.changed:.0%} of which recall something else, "
        f"real replies change by {gain.value:+.4f} nats per token [{gain.low:+.4f}, "
        f"{gain.high:+.4f}]"
    )
    if gain.low <= 0:
        return False, f"{told}, which may be nothing or harm."
    if known is None:
        return False, f"{told}, but no known item could be asked about."
    told += (
        f", and recall at 10 of {trial.questions} known items by {known.value:+.3f} "
        f"[{known.low:+.3f}, {known.high:+.3f}]"
    )
    if known.low < -KNOWN_MARGIN:
        return False, f"{told}, which may be a loss of more than {KNOWN_MARGIN}."
    return True, f"{told}."
