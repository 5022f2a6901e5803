"""How likely a language model finds the real replies, with and without what is recalled."""

from __future__ import annotations

from collections.abc import Sequence

from twin_pipelines.evaluation.frozen import Exchange
from twin_pipelines.evaluation.personality.asking import RECALLED_CHARS
from twin_pipelines.evaluation.systems import System
from twin_pipelines.generation.local import Score
from twin_pipelines.generation.prompt import with_memories

CONTEXT_TOKENS, MEMORY_TOKENS = 384, 256  # of a prompt, without and for what is recalled
REPLY_TOKENS = 48  # of a reply that are scored

Told = tuple[Exchange, tuple[str, ...]]  # an exchange, and the texts its prompt is told


def scored(system: System, told: Sequence[Told], what: str) -> list[Score]:
    """The likelihood of each exchange's reply under a prompt that tells these texts.

    In the form in which evaluations recall. The same question is put once; `what` names them in
    the log.
    """
    distinct = list(dict.fromkeys((one.pair_id, texts) for one, texts in told))
    exchanges = {one.pair_id: one for one, _ in told}
    asked = [exchanges[pair_id] for pair_id, _ in distinct]
    replies = [ids[:REPLY_TOKENS] for ids in system.tokens([one.reply for one in asked])]
    prompts = [
        with_memories(system.cut(one.prompt), [text[:RECALLED_CHARS] for text in texts])
        for one, (_, texts) in zip(asked, distinct, strict=True)
    ]
    found = system.scores(
        prompts, [[reply] for reply in replies], what, CONTEXT_TOKENS + MEMORY_TOKENS
    )
    scores = dict(zip(distinct, (group[0] for group in found), strict=True))
    return [scores[one.pair_id, texts] for one, texts in told]
