"""What somebody asks to be forgotten, checked before anything is looked up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from twin_pipelines.settings import TwinError


@dataclass(frozen=True)
class Request:
    """What is to be erased: the messages that fit all that is named.

    `message` is a raw_messages.id; `conversation`, `person` and `source` are as raw_messages has
    them; the days are of the history's time zone, both included. `reason` is kept for good and may
    name nothing of it. Raises TwinError when it names nothing, or not what it says.
    """

    asked_by: str
    message: str | None = None
    conversation: str | None = None
    person: str | None = None
    source: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    reason: str = ""
    keep_serving: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not any(self.named.values()):
            raise TwinError(
                "Nothing was named; give --message, --conversation, --person, --source, --since or "
                "--until."
            )
        for option, value in self.named.items():
            if value is not None and not value.strip():
                raise TwinError(f"--{option} is empty; name what shall be forgotten.")
        if self.message:
            try:
                UUID(self.message)
            except ValueError:
                raise TwinError(
                    f"{self.message!r} is no message's id; `twin recall --json` shows them."
                ) from None
        if self.first_day and self.last_day and self.first_day > self.last_day:
            raise TwinError(f"{self.first_day} is after {self.last_day}; exchange both days.")
        told = [value for value in self._names() if value.casefold() in self.reason.casefold()]
        if told:
            raise TwinError(
                "The reason is kept for good and may not name what shall be forgotten; say it in "
                "other words."
            )
        if self.keep_serving and not self.reason.strip():
            raise TwinError("--keep-serving is signed: say why with --reason.")

    @property
    def named(self) -> dict[str, str | None]:
        """What was named, by option."""
        return {
            "message": self.message,
            "conversation": self.conversation,
            "person": self.person,
            "source": self.source,
            "since": self.first_day.isoformat() if self.first_day else None,
            "until": self.last_day.isoformat() if self.last_day else None,
        }

    @property
    def kind(self) -> str:
        """The narrowest that was named: message, conversation, person, source or range."""
        given = ("message", "conversation", "person", "source")
        return next((name for name in given if self.named[name]), "range")

    @property
    def dated(self) -> bool:
        """Whether only some days are meant."""
        return self.first_day is not None or self.last_day is not None

    @property
    def whole_person(self) -> bool:
        """Whether all that a person ever said, anywhere, is meant."""
        return self.kind == "person" and not self.source and not self.dated

    @property
    def whole_source(self) -> bool:
        """Whether all that a source ever held is meant."""
        return self.kind == "source" and not self.dated

    def canonical(self) -> str:
        """All that was named, as JSON: what the request's hash is made of."""
        return json.dumps(self.named, sort_keys=True, ensure_ascii=False)

    def _names(self) -> list[str]:
        return [name for name in (self.conversation, self.person, self.source) if name]
