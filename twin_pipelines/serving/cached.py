"""Answers to requests that were asked before, word for word, for whoever wishes for them.

An answer is used again only when it would be asked with the same words of the same release, drawn
the same way, while nothing that can be recalled has changed; a draw without a seed is not
repeatable. It stands in the place of what answers, so that whatever sees to answers sees to it too.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict

from twin_pipelines.generation.prompt import Message
from twin_pipelines.generation.remembered import Remembered
from twin_pipelines.serving.engine import Reply, Sampling
from twin_pipelines.settings import Serving

ENTRIES = 256


class AnswerCache:
    """Keeps the answers used last. Any thread may ask.

    Only what the first of `serving.backends` answered is kept: the others stand in for it while it
    cannot answer.
    """

    def __init__(self, settings: Serving, entries: int = ENTRIES) -> None:
        self._first = settings.backends[0].kind if settings.backends else ""
        self._entries = entries
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, Reply] = OrderedDict()

    def key(
        self,
        messages: Sequence[Message],
        recalled: Sequence[Remembered],
        sampling: Sampling,
        release: str,
        version: int | None,
    ) -> str | None:
        """What must be equal; None for a request whose answer may not be used again.

        `version` is that of all that can be recalled; None: it is not known.
        """
        repeatable = sampling.temperature == 0 or sampling.seed is not None
        if not repeatable or version is None:
            return None
        drawn = asdict(sampling)
        if sampling.temperature == 0:
            drawn |= {"top_p": None, "seed": None}
        told = [
            [one.kind, one.text, one.speaker, str(one.since), str(one.until)] for one in recalled
        ]
        words = json.dumps([release, version, drawn, list(messages), told], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()

    def get(self, key: str) -> Reply | None:
        """The reply given before, which stays among those used last."""
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, reply: Reply, backend: str) -> None:
        """Keep a whole reply of a backend (its kind, or kind:model)."""
        if backend.partition(":")[0] != self._first:
            return
        with self._guard:
            self._kept[key] = reply
            self._kept.move_to_end(key)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)
