"""What other servers stream, event by event: words, and how an answer ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from twin_pipelines.serving.backends.protocol import BackendError

DATA = "data:"


@dataclass(frozen=True)
class Heard:
    """One event: more text, and at the end how it ended and the tokens it took."""

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    reply_tokens: int = 0


def of_llama_cpp(line: str) -> Heard:
    """A line of llama.cpp's `/completion`: `data: {"content": …, "stop": …}`.

    Comments and fields other than data are silence. Raises BackendError for an error it tells, and
    for what is no event.
    """
    if line.startswith("error:"):
        _refuse(_object(line.removeprefix("error:")))
    if not line.startswith(DATA):
        return Heard()
    told = _object(line.removeprefix(DATA))
    _refuse(told)
    text = _text(told.get("content", ""))
    if not told.get("stop"):
        return Heard(text)
    cut = told.get("stop_type") == "limit" or bool(told.get("stopped_limit"))
    return Heard(
        text,
        "length" if cut else "stop",
        _count(told.get("tokens_evaluated")),
        _count(told.get("tokens_predicted")),
    )


def of_ollama(line: str) -> Heard:
    """A line of Ollama's `/api/chat`: `{"message": {"content": …}, "done": …}`.

    Raises BackendError for an error it tells, and for what is no event.
    """
    told = _object(line)
    _refuse(told)
    message = told.get("message")
    text = _text(message.get("content", "")) if isinstance(message, dict) else ""
    if not told.get("done"):
        return Heard(text)
    return Heard(
        text,
        "length" if told.get("done_reason") == "length" else "stop",
        _count(told.get("prompt_eval_count")),
        _count(told.get("eval_count")),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise BackendError("it sent what is no event of its format; correct its kind or its url")
    return told


def _refuse(told: dict[str, Any]) -> None:
    error = told.get("error")
    if error is None and {"code", "message"} <= told.keys():
        error = told
    if error:
        words = error.get("message") if isinstance(error, dict) else error
        raise BackendError(f"it failed ({' '.join(str(words).split())[:200].rstrip('.')})")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
