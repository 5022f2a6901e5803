"""A larger language model behind an OpenAI-compatible endpoint, where the settings name one.

Nothing depends on it: without `llm.url` there is none, and whoever asks goes without. The key comes
from the environment only and is never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twin_pipelines.settings import Llm, TwinError

if TYPE_CHECKING:
    from pydantic import BaseModel

Form = TypeVar("Form", bound="BaseModel")

KEY = "TWIN_LLM_API_KEY"
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_AGAIN = "Answer again, with one JSON object of the agreed form only. What was wrong:"
NO_KEY = "none"  # a local server asks for none, and the client insists on one


class Endpoint:
    """Asks one model; safe to use from several threads."""

    def __init__(self, settings: Llm) -> None:
        from openai import OpenAI

        self.model = settings.model
        self.url = settings.url
        self.parallel = settings.parallel
        self._client = OpenAI(
            base_url=settings.url,
            api_key=os.environ.get(KEY) or NO_KEY,
            timeout=settings.timeout_seconds,
            max_retries=settings.retries,
        )

    def complete(
        self,
        messages: Sequence[dict[str, str]],
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
    ) -> str:
        """The model's answer, stripped.

        Timeouts, refused connections, 429 and 5xx are tried again (`llm.retries`), each time after
        a longer wait. Raises TwinError when there is still no answer, or an empty one.
        """
        import openai

        asked: Any = list(messages)
        try:
            answer = self._client.chat.completions.create(
                model=self.model, messages=asked, max_tokens=max_tokens, temperature=temperature
            )
        except openai.APITimeoutError as error:
            raise TwinError(
                f"The model {self.model} at {self.url} did not answer in time; raise "
                "llm.timeout_seconds, or use a faster one."
            ) from error
        except openai.APIConnectionError as error:
            raise TwinError(
                f"No model answers at {self.url}; start it, or correct or unset llm.url."
            ) from error
        except openai.APIStatusError as error:
            raise TwinError(self._refusal(error.status_code, _reason(error))) from error
        except (openai.APIError, ValueError) as error:
            raise TwinError(self._no_answer()) from error
        text = _text(answer)
        if not text:
            raise TwinError(self._no_answer())
        return text

    def _refusal(self, status: int, reason: str) -> str:
        place = f"The endpoint {self.url}"
        if status in (401, 403):  # its reason may quote the key
            return f"{place} refused the key ({status}); set {KEY} in the environment."
        if status == 404:
            return f"{place} knows no model {self.model} (404); correct llm.model or llm.url."
        if status == 429:
            return f"{place} has had enough questions (429); wait, or lower llm.parallel."
        return f"{place} failed with status {status}{reason}; look at its log, or unset llm.url."

    def _no_answer(self) -> str:
        return (
            f"What {self.url} sent is not the answer of a chat model; let llm.url name an "
            "OpenAI-compatible endpoint, which often ends in /v1."
        )


def complete_json(
    endpoint: Endpoint,
    messages: Sequence[dict[str, str]],
    form: type[Form],
    *,
    tries: int = 2,
    max_tokens: int = 1_024,
) -> Form | None:
    """The model's answer as a `form` (pydantic), whatever it wrote around it; None: none was right.

    A wrong answer is asked for once more, with what was wrong about it, up to `tries` times in all.
    Raises TwinError as `Endpoint.complete` does.
    """
    from pydantic import ValidationError

    asked = list(messages)
    for _ in range(tries):
        answer = endpoint.complete(asked, max_tokens=max_tokens)
        found = _OBJECT.search(answer)
        try:
            return form.model_validate_json(found.group() if found else "")
        except ValidationError as error:
            wrong = "; ".join(str(one["msg"]) for one in error.errors()[:3])
            asked = [
                *messages,
                {"role": "assistant", "content": answer},
                {"role": "user", "content": f"{_AGAIN} {wrong}"},
            ]
    return None


def open_endpoint(settings: Llm) -> Endpoint | None:
    """The configured endpoint; None when none is."""
    return Endpoint(settings) if settings.url else None


def _text(answer: Any) -> str:
    choices = getattr(answer, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    return (getattr(message, "content", None) or "").strip()


def _reason(error: Any) -> str:
    """What the endpoint says about a refusal, in brackets; empty when it says nothing."""
    body = error.body if isinstance(error.body, dict) else {}
    words = " ".join(str(body.get("message") or "").split()).rstrip(".")
    return f" ({words[:200]})" if words else ""
