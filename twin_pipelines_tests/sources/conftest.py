"""Fixtures of this room's tests."""

from followed import feed, following, reader, source, source_url
from synced import pair, sync

__all__ = ["feed", "following", "pair", "reader", "source", "source_url", "sync"]
