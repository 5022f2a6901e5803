"""Rewrites one paper without what was erased: JSON value by value, any other text line by line."""

from __future__ import annotations

import json
from typing import Any

from twin_pipelines.automation.erasure.removal_store import ERASED
from twin_pipelines.automation.erasure.traces import Traces, parsed


def marked(text: str, traces: Traces) -> str:
    """The text with `ERASED` in place of each value of its JSON, or line, that holds a phrase.

    JSON stays JSON of the same form. A text no line of which holds the phrase that it holds as a
    whole becomes `ERASED` altogether.
    """
    content = parsed(text)
    if content is not None:
        return json.dumps(_value(content, traces), ensure_ascii=False)
    lines = text.split("\n")
    hits = traces.found(lines)
    made = "\n".join(ERASED if hit else line for line, hit in zip(lines, hits, strict=True))
    return ERASED if traces.within(made) else made


def _value(value: Any, traces: Traces) -> Any:
    if isinstance(value, dict):
        return {
            ERASED if traces.within(key) else key: _value(inner, traces)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_value(inner, traces) for inner in value]
    if isinstance(value, str) and traces.within(value):
        return marked(value, traces)
    return value
