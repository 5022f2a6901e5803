"""Whether an exported file behaves as the trained model does, measured and not assumed.

The reference is the adapter merged into its base in float32, as `generation.local` serves it. For
every probe three things are compared: the token ids of the rendered conversation, the text written
greedily, and the log-probability of each token of two replies (the one the reference writes, and a
given one). Beside the difference stands how much training changed those log-probabilities: a file
that is further from the trained model than the untrained base is has lost what was learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from twin_pipelines.generation.local import generate_replies
from twin_pipelines.generation.prompt import render, reply_tokens, stop_tokens
from twin_pipelines.training.export.config import ADAPTER_GGUF, F16, Q4, Q4_K_M, Q8, SAFETENSORS
from twin_pipelines.training.export.conversations import Probe
from twin_pipelines.training.export.merge import endings

if TYPE_CHECKING:
    import numpy as np

GREEDY_TOKENS = 24
PROMPT_TOKENS = 1024
PASSED, FAILED, NOT_VERIFIED = "passed", "failed", "not verified"


class Tolerance(NamedTuple):
    """How far a file may be from the trained model where it does not write the same text."""

    difference: float  # mean |Δ log p| of a token, in nats
    agreement: float  # least share of tokens at which both find the same one likeliest


TOLERANCES = {
    (SAFETENSORS, "float32"): Tolerance(0.001, 0.99),
    (SAFETENSORS, "float16"): Tolerance(0.02, 0.97),
    (SAFETENSORS, "bfloat16"): Tolerance(0.06, 0.93),
    (ADAPTER_GGUF, "float16"): Tolerance(0.03, 0.96),
    (F16, "float16"): Tolerance(0.03, 0.96),
    (Q8, "q8_0"): Tolerance(0.10, 0.88),
    (Q4_K_M, "q4_k_m"): Tolerance(0.40, 0.75),
    (Q4, "q4_0"): Tolerance(0.60, 0.70),
}


class Likelihood(NamedTuple):
    """Of each token of a reply: its natural log-probability, and the likeliest token's id there."""

    log_prob: np.ndarray
    best: np.ndarray


@dataclass(frozen=True)
class Reference:
    """What the trained model does with the probes."""

    probes: Sequence[Probe]
    prompts: list[list[int]]
    written: list[str]  # greedily, one a probe
    replies: list[tuple[list[int], list[int]]]  # token ids: the written one, the given one
    likelihoods: list[tuple[Likelihood, Likelihood]]
    stops: list[int]
    training_changed: float = 0.0  # mean |Δ log p| of a token against the base; 0: not measured


@dataclass(frozen=True)
class Findings:
    """How a file compares with the reference."""

    conversations: int
    same_ids: int  # conversations rendered to the same token ids
    same_text: int  # conversations answered greedily with the same text
    difference: float  # mean |Δ log p| of a token, in nats
    agreement: float  # share of tokens at which both find the same one likeliest
    tokens: int
    ends: bool  # it stops where the trained model stops
    training_changed: float = 0.0  # as in the reference
    differing: str = ""  # conversations rendered otherwise


def refer(model: Any, tokenizer: Any, probes: Sequence[Probe]) -> Reference:
    """What the trained model does: rendered ids, greedy text, log-probabilities."""
    conversations = [probe.messages for probe in probes]
    written = _greedy(model, tokenizer, conversations)
    prompts = [render(tokenizer, messages, PROMPT_TOKENS) for messages in conversations]
    replies = [
        (reply_tokens(tokenizer, text), reply_tokens(tokenizer, probe.reply))
        for text, probe in zip(written, probes, strict=True)
    ]
    likelihoods = _likelihoods(model, prompts, replies)
    return Reference(probes, prompts, written, replies, likelihoods, stop_tokens(tokenizer))


def measure_change(base: Any, reference: Reference) -> Reference:
    """The reference with how much training changed the base's log-probabilities."""
    untrained = _likelihoods(base, reference.prompts, reference.replies)
    return replace(reference, training_changed=_difference(untrained, reference.likelihoods)[0])


def compare_transformers(model: Any, tokenizer: Any, reference: Reference) -> Findings:
    """A transformers model with its own tokenizer beside the reference."""
    conversations = [probe.messages for probe in reference.probes]
    return findings(
        reference,
        prompts=[render(tokenizer, messages, PROMPT_TOKENS) for messages in conversations],
        written=_greedy(model, tokenizer, conversations),
        likelihoods=_likelihoods(model, reference.prompts, reference.replies),
        ends=endings(model) >= set(reference.stops),
    )


def findings(
    reference: Reference,
    *,
    prompts: Sequence[Sequence[int]],
    written: Sequence[str],
    likelihoods: Sequence[tuple[Likelihood, Likelihood]],
    ends: bool,
) -> Findings:
    """Compare what a file did with what the trained model does."""
    same = [list(ours) == theirs for ours, theirs in zip(prompts, reference.prompts, strict=True)]
    difference, agreement, tokens = _difference(likelihoods, reference.likelihoods)
    texts = zip(written, reference.written, strict=True)
    return Findings(
        conversations=len(same),
        same_ids=sum(same),
        same_text=sum(a == b for a, b in texts),
        difference=difference,
        agreement=agreement,
        tokens=tokens,
        ends=ends,
        training_changed=reference.training_changed,
        differing=", ".join(
            probe.name for probe, equal in zip(reference.probes, same, strict=True) if not equal
        ),
    )


def _difference(
    ours: Sequence[tuple[Likelihood, Likelihood]], theirs: Sequence[tuple[Likelihood, Likelihood]]
) -> tuple[float, float, int]:
    """Mean |Δ log p| of a token, share of tokens with the same likeliest one, tokens."""
    import numpy as np

    a, b = ([one for pair in pairs for one in pair] for pairs in (ours, theirs))
    gaps = np.concatenate([abs(x.log_prob - y.log_prob) for x, y in zip(a, b, strict=True)])
    agreed = np.concatenate([x.best == y.best for x, y in zip(a, b, strict=True)])
    return float(gaps.mean()), float(agreed.mean()), len(gaps)


def judge(found: Findings, tolerance: Tolerance) -> dict[str, Any]:
    """The verdict in words and figures: same ids, same ending, and same text or close enough.

    Whatever its tolerance, a file must be nearer to the trained model than the base is. Figures
    that are not numbers never pass.
    """
    close = found.difference <= tolerance.difference and found.agreement >= tolerance.agreement
    reasons = []
    if found.same_ids < found.conversations:
        reasons.append(f"the token ids of {found.differing} differ")
    if not found.ends:
        reasons.append("it does not stop where the trained model stops")
    if not close and (found.same_text < found.conversations or isnan(found.difference)):
        reasons.append(
            f"log-probabilities differ by {found.difference:.3f} nats a token (at most "
            f"{tolerance.difference:g}) and the likeliest token agrees at {found.agreement:.1%} "
            f"(at least {tolerance.agreement:.0%})"
        )
    if 0 < found.training_changed <= found.difference:
        reasons.append(
            "it is no nearer to the trained model than the untrained base, which differs by "
            f"{found.training_changed:.3f} nats a token"
        )
    return {
        "verdict": FAILED if reasons else PASSED,
        "why": "; ".join(reasons),
        **asdict(found),
        "tolerance": tolerance._asdict(),
    }


def not_verified(why: str) -> dict[str, Any]:
    """The verdict on a file that nothing here can run; it must not be served."""
    return {"verdict": NOT_VERIFIED, "why": why}


def _greedy(model: Any, tokenizer: Any, conversations: Sequence[Any]) -> list[str]:
    return generate_replies(
        model,
        tokenizer,
        conversations,
        max_new_tokens=GREEDY_TOKENS,
        temperature=0,
        max_tokens=PROMPT_TOKENS,
    )


def _likelihoods(
    model: Any, prompts: Sequence[list[int]], replies: Sequence[tuple[list[int], list[int]]]
) -> list[tuple[Likelihood, Likelihood]]:
    import torch

    with torch.inference_mode():
        return [
            (_likelihood(model, prompt, written), _likelihood(model, prompt, given))
            for prompt, (written, given) in zip(prompts, replies, strict=True)
        ]


def _likelihood(model: Any, prompt: list[int], reply: list[int]) -> Likelihood:
    import torch

    ids = torch.tensor([prompt + reply], device=model.device)
    logits = model(input_ids=ids, logits_to_keep=len(reply) + 1).logits[0, :-1].float()
    chances = logits.log_softmax(dim=-1)
    own = chances.gather(1, ids[0, len(prompt) :, None])[:, 0]
    return Likelihood(own.cpu().numpy(), logits.argmax(dim=-1).cpu().numpy())
