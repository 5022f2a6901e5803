"""The signs by which a turn of a history is judged for a question.

Scores of words and of meaning are standardised among the candidates of their question, which keeps
how clearly each speaks and makes histories of any size alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from twin_pipelines.embeddings.encoder import Encoder, Vectors
from twin_pipelines.retrieval.ranking.cues import Span, speakers_named, time_spans
from twin_pipelines.retrieval.ranking.lexical import Floats, Lexicon, index
from twin_pipelines.retrieval.ranking.views import with_views

Rows = npt.NDArray[np.int64]

CANDIDATES = 150  # as `settings.Retrieval.candidates` by default
DATE_DECAY = 7.0  # days outside a time span after which the sign of it is at 1/e
LATER_DAYS = 14  # a thing is often told some days after it was: how long a span stays open
ASKS = r"\?|ไหม|มั้ย|อะไร"  # what asks something
NAMES = (
    *("bm25_meta", "bm25_ctx", "dense_meta", "dense_ctx"),
    *("session_words", "session_meaning", "coverage_meta", "coverage_ctx"),
    *("speaker", "other_speaker", "date"),
    *("words_before", "words_after", "meaning_before", "meaning_after"),
    *("length", "asks", "answers"),
)


@dataclass(frozen=True)
class History:
    """Turns that can be searched: their views indexed by words and by meaning, row by row."""

    turns: pl.DataFrame  # views.TURNS, `meta`, `ctx`
    lexicon_meta: Lexicon
    lexicon_ctx: Lexicon
    vectors_meta: Vectors
    vectors_ctx: Vectors
    sessions: npt.NDArray[np.int64]  # number of the session of each turn
    before: Rows  # row of the turn before in the session; of itself without one
    after: Rows
    days: npt.NDArray[np.int64]  # day of each turn, ordinal
    speakers: Sequence[str]
    spoken_by: npt.NDArray[np.int64]  # place of each turn's speaker in `speakers`
    shape: Floats  # (turns, 3): log of words, asks, comes after a question


@dataclass(frozen=True)
class Candidates:
    """The turns that may answer a question: `rows` of the history, and (rows, NAMES) of signs."""

    rows: Rows
    signs: Floats


def build_history(turns: pl.DataFrame, encoder: Encoder) -> History:
    """Index turns (views.TURNS, at least one) by words and by meaning; embeds two texts a turn."""
    viewed = with_views(turns)
    meta, ctx = viewed["meta"].to_list(), viewed["ctx"].to_list()
    numbers = np.unique(viewed["session"].to_numpy(), return_inverse=True)[1]
    rows = np.arange(len(numbers))
    opens = np.append(True, numbers[1:] != numbers[:-1])
    closes = np.append(opens[1:], True)
    before = np.where(opens, rows, rows - 1)
    speakers = viewed["speaker"].unique(maintain_order=True).to_list()
    asks = viewed["text"].str.contains(ASKS).to_numpy()
    words = viewed["text"].str.count_matches(r"\s+").to_numpy() + 1
    answers = asks[before] & ~opens
    return History(
        turns=viewed,
        lexicon_meta=index(meta),
        lexicon_ctx=index(ctx),
        vectors_meta=encoder.encode(meta),
        vectors_ctx=encoder.encode(ctx),
        sessions=numbers,
        before=before,
        after=np.where(closes, rows, rows + 1),
        days=np.array([moment.toordinal() for moment in viewed["sent_at"]], dtype=np.int64),
        speakers=speakers,
        spoken_by=np.array([speakers.index(name) for name in viewed["speaker"]], dtype=np.int64),
        shape=np.stack([np.log1p(words), asks, answers], axis=1).astype(np.float32),
    )


def candidates(
    history: History, query: str, vector: npt.NDArray[np.float32], asked_on: date | None = None
) -> Candidates:
    """The CANDIDATES most likely turns for a question, in the order of the history.

    Chosen by `first_stage`. What is the best of a session is the best of it among candidates and
    the turns beside them. `vector` is the question's, unit length; `asked_on` the day relative
    times count from, by default the last day of the history.
    """
    lexicons = (history.lexicon_meta, history.lexicon_ctx)
    scores = np.column_stack(
        [
            *(lexicon.scores(query) for lexicon in lexicons),
            history.vectors_meta @ vector,
            history.vectors_ctx @ vector,
        ]
    )
    most = [max(lexicon.rarity(query), lexicon.rarest) for lexicon in lexicons]
    first = first_stage(scores, *most)
    rows = np.sort(np.argsort(-first, kind="stable")[:CANDIDATES])
    before, after = history.before[rows], history.after[rows]
    days = (int(history.days.min()), int(history.days.max()))
    bounds = (date.fromordinal(days[0]), date.fromordinal(days[1]))
    coverage = [lexicon.coverage(query) for lexicon in lexicons]
    read = np.unique(np.concatenate([rows, before, after]))
    signs = assembled(
        scores=scores[rows],
        by_session=_by_session(history.sessions, scores[:, 1:3], read)[rows],
        coverage=np.stack(coverage, axis=1)[rows],
        speaker=speaker_signs(query, history.speakers, history.spoken_by[rows]),
        nearness=date_sign(query, history.days[rows], bounds, asked_on),
        beside=np.column_stack(
            [scores[before, 0], scores[after, 0], scores[before, 2], scores[after, 2]]
        ),
        shape=history.shape[rows],
    )
    return Candidates(rows, signs)


def first_stage(scores: Floats, rarity_meta: float, rarity_ctx: float) -> Floats:
    """How likely each turn answers, before the others are known: what candidates are chosen by.

    `scores` are the four raw ones, (turns, 4). BM25 counts as a share of the question's rarity (the
    sum of its terms' idf, at least that of a term no text holds, so that one common word says
    little) beside the cosine similarities, each view alike.
    """
    shares = scores[:, 0] / rarity_meta + scores[:, 1] / rarity_ctx
    return shares + scores[:, 2] + scores[:, 3]


def assembled(
    *,
    scores: Floats,
    by_session: Floats,
    coverage: Floats,
    speaker: Floats,
    nearness: Floats,
    beside: Floats,
    shape: Floats,
) -> Floats:
    """Signs (candidates, NAMES) of one question from their parts, a row a candidate.

    `scores` are the four raw ones, `by_session` the best BM25 in surroundings and the best meaning
    of each one's session, `beside` BM25 before and after and meaning before and after; these are
    standardised here. The others come as they are.
    """
    graded = standardised(np.column_stack([scores, by_session]))
    parts = [graded, coverage, speaker, nearness, standardised(beside), shape]
    return np.column_stack(parts).astype(np.float32)


def standardised(scores: Floats) -> Floats:
    """Each column less its mean, over its deviation; a column that is all alike becomes 0."""
    spread = scores.std(axis=0)
    centred = scores - scores.mean(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)


def _by_session(sessions: npt.NDArray[np.int64], scores: Floats, read: Rows) -> Floats:
    """The best score of each turn's session, column by column, among the rows that were read."""
    best = np.full((int(sessions.max()) + 1, scores.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(best, sessions[read], scores[read])
    return best[sessions]


def speaker_signs(query: str, speakers: Sequence[str], spoken_by: Rows) -> Floats:
    """1 for turns of the one the question names, and 1 in the second column for all others.

    `spoken_by` is the place of each turn's speaker in `speakers`. Zeros when the question names
    nobody, or everyone. Shape (turns, 2).
    """
    named = np.array(speakers_named(query, speakers))
    if not named.any() or named.all():
        return np.zeros((len(spoken_by), 2), dtype=np.float32)
    theirs = named[spoken_by]
    return np.stack([theirs, ~theirs], axis=1).astype(np.float32)


def date_sign(query: str, days: Rows, history: Span, asked_on: date | None = None) -> Floats:
    """1 for turns of the days the question speaks of, less the further away; 0 without a cue.

    `days` are ordinals, `history` the first and the last day that can be meant. Shape (turns,).
    """
    nearness = np.zeros(len(days), dtype=np.float32)
    for first, last in time_spans(query, asked_on or history[1], history):
        early = np.maximum(first.toordinal() - days, 0)
        late = np.maximum(days - last.toordinal() - LATER_DAYS, 0)
        nearness = np.maximum(nearness, np.exp(-(early + late) / DATE_DECAY))
    return nearness.astype(np.float32)
