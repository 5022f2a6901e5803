"""Whether a model was taught a sentence: does it know it better than sentences it never saw?

What counts is what training added: the log-probability a token under the model less that under its
untuned base. The sentence competes in that with others of about its length that no training has
seen; as with planted secrets (Carlini et al. 2019, "The Secret Sharer"), exposure is how far it
stands before them, in bits. A model that never saw it ranks it anywhere. Besides, model and base go
on from its first words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from twin_pipelines.automation.erasure.sayings import spoken
from twin_pipelines.evaluation.frozen import read_split
from twin_pipelines.evaluation.memorisation import exposure
from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.generation.prompt import Message
from twin_pipelines.settings import TwinSettings

OTHERS = 99  # sentences beside it, at most
FEWEST = 19  # with fewer nothing can be told
CHANCE = 0.05  # share of unseen sentences that stand so far in front
_BEGUN = 0.5  # share of the words it is asked to go on from


@dataclass(frozen=True)
class GivenBack:
    """`exposure` in bits of `limit`; `ahead` is the sentence's rank among all, as a share."""

    exposure: float
    limit: float
    ahead: float
    continued: bool
    base_continued: bool

    @property
    def beyond_base(self) -> bool:
        """Whether the model knows the sentence as it knows nothing unseen."""
        return self.ahead <= CHANCE or (self.continued and not self.base_continued)

    @property
    def words(self) -> str:
        """Both, in words."""
        wrote = "wrote the rest out" if self.continued else "did not write the rest out"
        return f"exposure {self.exposure:.1f} of {self.limit:.1f} bits, and it {wrote}"


def champion_gives_back(
    connection: psycopg.Connection, settings: TwinSettings, sentence: str
) -> GivenBack | None:
    """How the serving release's adapter fares, beside replies of its dataset's test split.

    None while nothing serves, where files are gone, or where there are too few such replies.
    """
    from twin_pipelines.promotion.store import champion
    from twin_pipelines.training.store import adapter

    serving = champion(connection)
    known = adapter(connection, serving.adapter_id) if serving else None
    connection.rollback()
    if known is None:
        return None
    folder = settings.home / known.path / "adapter"
    unseen = settings.datasets_dir / known.dataset_version
    if not folder.is_dir() or not (unseen / "test.jsonl").exists():
        return None
    replies = {str(row["completion"][0]["content"]) for row in read_split(unseen, "test")}
    others = alike(sentence, sorted(replies))
    if len(others) < FEWEST:
        return None
    base = resolve_model(known.base_model, settings, purpose="causal")
    return gives_back(base, folder, sentence, others)


def alike(sentence: str, others: Sequence[str]) -> list[str]:
    """The OTHERS nearest in length to the sentence, without any that says it."""
    said = spoken(sentence)
    different = [other for other in others if other.strip() and said not in spoken(other)]
    return sorted(different, key=lambda other: (abs(len(other) - len(sentence)), other))[:OTHERS]


def gives_back(
    base: ResolvedModel,
    adapter: Path,
    sentence: str,
    others: Sequence[str],
    *,
    prompt: Sequence[Message] = (),
    dtype: str = "auto",
) -> GivenBack:
    """How the adapter knows a sentence beside `others`, said after a prompt (default: a bare one).

    Raises TwinError when the folders hold no model.
    """
    asked = list(prompt) or [{"role": "user", "content": "…"}]
    choices = [sentence, *others]
    plain, written_plain = _asked(base, None, asked, choices, dtype)
    tuned, written = _asked(base, adapter, asked, choices, dtype)
    gains = [after - before for after, before in zip(tuned, plain, strict=True)]
    rest = spoken(sentence.removeprefix(_beginning(sentence)))
    bits = exposure(gains[0], gains[1:])
    none_ahead = exposure(1.0, [0.0] * len(others))
    return GivenBack(
        exposure=bits,
        limit=none_ahead,
        ahead=2.0 ** (none_ahead - bits) / len(choices),
        continued=rest in spoken(written),
        base_continued=rest in spoken(written_plain),
    )


def _asked(
    base: ResolvedModel, adapter: Path | None, asked: list[Message], choices: list[str], dtype: str
) -> tuple[list[float], str]:
    """Log-probability a token of each choice, and how the first is gone on with."""
    from twin_pipelines.generation.local import generate_replies, load_model, score_choices

    model, tokenizer = load_model(base, adapter, dtype)
    [scores] = score_choices(model, tokenizer, [asked], [choices])
    begun = {"role": "user", "content": _beginning(choices[0])}
    most = 4 * max(8, len(choices[0].split()))
    [written] = generate_replies(
        model, tokenizer, [[*asked[:-1], begun]], max_new_tokens=most, temperature=0.0
    )
    return [score.log_prob / max(1, score.tokens) for score in scores], written


def _beginning(sentence: str) -> str:
    words = sentence.split()
    return " ".join(words[: max(1, int(len(words) * _BEGUN))])
