"""What one erasure removes, as long as it is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Gone:
    """Identities and words to look for; never kept once the erasure is done.

    `message_ids` are raw_messages.id, `pair_ids` instruct_pairs.id, `session_ids`
    cleaned_messages.session_id as they were; `texts` are the words as they were written and as
    they were cleaned.
    """

    erasure_id: str
    message_ids: frozenset[UUID]
    pair_ids: frozenset[UUID]
    session_ids: frozenset[UUID]
    texts: tuple[str, ...]
