"""Made-up turns for the room's tests."""

from made_turns import sessions, source_ids

__all__ = ["sessions", "source_ids"]
