"""Fixtures of this room's tests."""

from followed import feed, following, reader, source, source_url

__all__ = ["feed", "following", "reader", "source", "source_url"]
