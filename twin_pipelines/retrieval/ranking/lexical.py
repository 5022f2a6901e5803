"""BM25 over the terms of texts: stems of English, Thai with the words within compounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from twin_pipelines.foundation.words import words_of
from twin_pipelines.retrieval.ranking.compounds import is_thai, parts_of
from twin_pipelines.retrieval.ranking.stems import stem

Floats = npt.NDArray[np.float32]

SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25
_COMMON = (
    "a an the and or but if of to in on at by for with from as into about than then so that this "
    "these those there here it its is am are was were be been being do does did doing done have "
    "has had having i me my mine you your yours he him his she her hers we us our ours they them "
    "their theirs what which who whom whose when where why how will would can could shall should "
    "may might must not no nor i'm it's i've i'd i'll you're that's don't didn't "
    "ที่ และ หรือ ของ ใน เป็น ก็ ได้ ให้ ว่า นี้ นั้น มี กับ จะ ไป มา คือ อะไร ใคร ไหน เมื่อไหร่ อย่างไร ไหม "
    "ค่ะ คะ ครับ นะ"
)
STOP_WORDS = frozenset(_COMMON.split())


def terms_of(text: str) -> list[str]:
    """Stems of the words of a text in order, without the words that every text has.

    A Thai compound is followed by the words it is made of (`compounds.parts_of`).
    """
    found = []
    for word in words_of(text):
        if word not in STOP_WORDS:
            found.append(stem(word))
        if is_thai(word):
            found += [part for part in parts_of(word) if part not in STOP_WORDS]
    return found


@dataclass(frozen=True)
class Lexicon:
    """An index of texts: `weights` (texts, terms) holds what a term adds to a text's BM25."""

    places: dict[str, int]
    idf: Floats
    weights: sparse.csc_array
    present: sparse.csc_array

    @property
    def texts(self) -> int:
        """How many texts are indexed."""
        return int(self.weights.shape[0])

    def scores(self, query: str) -> Floats:
        """BM25 of every text, shape (texts,), float32; each term of the query counts once."""
        return self._sum(self.weights, self._known(query))

    def coverage(self, query: str) -> Floats:
        """Share of the query's terms, weighted by rarity, that each text holds: 0 to 1, (texts,).

        A term that no text holds is as rare as can be and lowers every share.
        """
        total = self.rarity(query)
        if not total:
            return np.zeros(self.texts, dtype=np.float32)
        return self._sum(self.present, self._known(query)) / np.float32(total)

    def rarity(self, query: str) -> float:
        """Sum of the idf of the query's terms; a term that no text holds is as rare as can be."""
        known = self._known(query)
        missing = len(set(terms_of(query))) - len(known)
        return float(self.idf[known].sum()) + self.rarest * missing

    @property
    def rarest(self) -> float:
        """The idf of a term that no text holds."""
        return float(np.log(1 + (self.texts + 0.5) / 0.5))

    def _known(self, query: str) -> list[int]:
        return sorted({self.places[term] for term in terms_of(query) if term in self.places})

    def _sum(self, matrix: sparse.csc_array, columns: list[int]) -> Floats:
        found = np.zeros(self.texts, dtype=np.float32)
        for column in columns:
            span = slice(matrix.indptr[column], matrix.indptr[column + 1])
            found[matrix.indices[span]] += matrix.data[span]
        return found


def index(texts: Sequence[str]) -> Lexicon:
    """Index texts for BM25 (k1 1.2, b 0.75, idf ln(1 + (n − df + ½)/(df + ½)), never negative).

    S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework", 2009. Texts without a
    term score 0.
    """
    counted = [Counter(terms_of(text)) for text in texts]
    places: dict[str, int] = {}
    rows, columns, times = [], [], []
    for row, terms in enumerate(counted):
        for term, count in terms.items():
            rows.append(row)
            columns.append(places.setdefault(term, len(places)))
            times.append(count)
    shape = (len(texts), len(places))
    frequency = np.bincount(np.array(columns, dtype=np.int32), minlength=len(places))
    idf = np.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
    lengths = np.array([terms.total() for terms in counted], dtype=np.float64)
    relative = lengths / max(lengths.mean() if len(texts) else 1.0, 1e-9)
    coordinates = (np.array(rows, dtype=np.int32), np.array(columns, dtype=np.int32))
    often = np.array(times, dtype=np.float64)
    norm = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * relative[coordinates[0]])
    saturated = often * (SATURATION + 1) / (often + norm)
    rarity = idf[coordinates[1]]
    weights = sparse.coo_array((np.float32(saturated * rarity), coordinates), shape=shape)
    present = sparse.coo_array((np.float32(rarity), coordinates), shape=shape)
    return Lexicon(places, idf, weights.tocsc(), present.tocsc())
