"""Learns an adapter of question vectors from which past exchange made a reply likelier.

For each context there are candidates with a gain in nats each. A softmax over the gains says how
often each should be looked up; the adapter is moved until a softmax over the cosine similarities
says the same (Kullback-Leibler divergence, as a retriever is taught by a language model in REPLUG,
arXiv 2301.12652), while a penalty keeps it near to the encoder as it is. How strong the penalty is,
and when to stop, later contexts decide that it does not learn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin_pipelines.retrieval.learning.retriever import STOCK, Floats, Retriever

if TYPE_CHECKING:
    import torch

RANK = 16
HELD_BACK = 0.2  # share of the contexts, the latest, that decide when to stop
STEPS, LOOK_EVERY, PATIENCE = 300, 5, 8  # looks without a better one before it ends
RATE = 5e-3
PENALTIES = (0.3, 1.0, 3.0, 10.0)  # of the mean squared move of the questions
GAIN_SCALE = 2.0  # nats of a reply by which one candidate is e times as good as another
NEARNESS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)  # cosine similarities that are e times as good
SEED = 20


@dataclass(frozen=True)
class Labels:
    """What is learned from, a row a context, the earliest first.

    `questions` (contexts, dimensions) and `candidates` (contexts, most, dimensions) are vectors,
    `gains` (contexts, most) nats by which a candidate made the reply likelier, NaN where a context
    has fewer.
    """

    questions: Floats
    candidates: Floats
    gains: Floats

    def rows(self, start: int, end: int) -> Labels:
        """The contexts from `start` to before `end`."""
        return Labels(self.questions[start:end], self.candidates[start:end], self.gains[start:end])


@dataclass(frozen=True)
class Fitted:
    """A learned adapter, and the divergence on contexts held back, without and with it (nats).

    `nearness` is the one of NEARNESS under which the encoder as it is diverges least. `penalty` and
    `steps` were chosen by the contexts held back; with 0 steps nothing was worth learning and the
    adapter does nothing.
    """

    looks: Floats
    moves: Floats
    before: float
    after: float
    nearness: float
    penalty: float
    steps: int


def fit(labels: Labels, rank: int = RANK) -> Fitted:
    """Learn from labels; the same ones give the same adapter.

    Raises ValueError for fewer than ten contexts.
    """
    contexts = len(labels.questions)
    if contexts < 10:
        raise ValueError(f"{contexts} contexts are too few to learn from")
    cut = contexts - max(2, int(contexts * HELD_BACK))
    learnt, held = labels.rows(0, cut), labels.rows(cut, contexts)
    nearness = min(NEARNESS, key=lambda scale: divergence(learnt, STOCK, scale))
    found = [_descend(learnt, held, rank, nearness, penalty) for penalty in PENALTIES]
    return min(found, key=lambda one: one.after)


def divergence(labels: Labels, retriever: Retriever, nearness: float) -> float:
    """Mean divergence (nats) of what is near from what is useful, over the contexts.

    `nearness` is the cosine similarity by which one candidate is e times as good as another.
    """
    moved = retriever.of(labels.questions, retriever.model)
    wanted, near = _wanted(labels.gains), np.einsum("cd,ckd->ck", moved, labels.candidates)
    near = np.where(np.isnan(labels.gains), -np.inf, near / nearness)
    near = near - near.max(axis=1, keepdims=True)
    logged = near - np.log(np.exp(near).sum(axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(wanted > 0, wanted * (np.log(wanted) - logged), 0.0)
    return float(terms.sum(axis=1).mean())


def _wanted(gains: Floats) -> Floats:
    """How often each candidate should be looked up, a row of shares a context."""
    scaled = np.where(np.isnan(gains), -np.inf, gains / GAIN_SCALE)
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def _descend(learnt: Labels, held: Labels, rank: int, nearness: float, penalty: float) -> Fitted:
    """Adam over all contexts at once; the step at which the contexts held back diverge least."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    dimensions = learnt.questions.shape[1]
    looks = torch.randn(rank, dimensions, generator=generator) / dimensions**0.5
    moves = torch.zeros(rank, dimensions)
    for matrix in (looks, moves):
        matrix.requires_grad_()
    questions, candidates = torch.tensor(learnt.questions), torch.tensor(learnt.candidates)
    missing = torch.tensor(np.isnan(learnt.gains))
    wanted = torch.tensor(_wanted(learnt.gains))
    optimiser = torch.optim.Adam([looks, moves], lr=RATE)
    before = divergence(held, Retriever("fit", "", *_as_numpy(looks, moves)), nearness)
    best = Fitted(*_as_numpy(looks, moves), before, before, nearness, penalty, 0)
    for step in range(1, STEPS + 1):
        shift = (questions @ looks.T) @ moves
        moved = torch.nn.functional.normalize(questions + shift, dim=1)
        near = torch.einsum("cd,ckd->ck", moved, candidates) / nearness
        logged = near.masked_fill(missing, -1e9).log_softmax(dim=1)
        loss = -(wanted * logged).sum(dim=1).mean() + penalty * shift.square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % LOOK_EVERY == 0:
            now = _as_numpy(looks, moves)
            after = divergence(held, Retriever("fit", "", *now), nearness)
            if after < best.after:
                best = Fitted(*now, before, after, nearness, penalty, step)
            elif step - best.steps >= PATIENCE * LOOK_EVERY:
                break
    return best


def _as_numpy(looks: torch.Tensor, moves: torch.Tensor) -> tuple[Floats, Floats]:
    return looks.detach().numpy().copy(), moves.detach().numpy().copy()
