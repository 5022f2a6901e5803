"""Ends the following of a source: its slot and its publication go, what landed stays."""

from __future__ import annotations

import psycopg

from twin_pipelines.settings import Source, TwinError, TwinSettings
from twin_pipelines.sources.capture import capture_store, source_store
from twin_pipelines.sources.capture.drain import reading
from twin_pipelines.sources.capture.feeds import Feed, feed_of, feeds, named_databases


def retire(own: psycopg.Connection, feed: Feed) -> str:
    """Remove the feed's slot and publication, write that down, and say so.

    Raises Busy while another process reads the feed, and TwinError when the source cannot be
    reached or refuses.
    """
    with capture_store.only_reader(own, feed), reading(feed, own) as reader:
        slot = source_store.drop_slot(reader, feed.name)
        source_store.drop_publication(reader, feed.name)
        reader.commit()
        capture_store.stop(own, feed)
        own.commit()
    found = "its slot and publication are removed there" if slot else "it had no slot there"
    return f"{feed.location} is followed no longer: {found}; what landed stays."


def asked_for(own: psycopg.Connection, settings: TwinSettings, name: str, url: str) -> Feed:
    """The feed that is to be stopped, by its own name or that of a source on its database.

    `url` says where it is when twin.toml no longer does. Raises TwinError when twin.toml follows
    it still, when no feed is meant, and when `url` is another database.
    """
    sources = [one for one in settings.sources if one.name == name and one.kind == "table"]
    known = {feed.name: feed for feed in _of(settings, sources)} or named_databases(settings)
    if sources:
        name = next(iter(known))
    if name in {feed.name for feed in feeds(settings)}:
        raise TwinError(
            f"twin.toml follows {known[name].location} still; write capture = false under its "
            "tables first, or the next look takes them over again."
        )
    open_feeds = capture_store.still_open(own, [])
    own.rollback()
    if name not in open_feeds:
        listed = ", ".join(open_feeds) or "none"
        raise TwinError(f"No feed {name} is open here (open: {listed}); see `twin status --json`.")
    if url:
        known = {feed.name: feed for feed in [feed_of(settings, url)]}
    if name not in known:
        raise TwinError(
            f"The feed {name} is at no database that twin.toml names"
            f"{' or at the url that was given' if url else ''}; give --url with its address."
        )
    return known[name]


def _of(settings: TwinSettings, sources: list[Source]) -> list[Feed]:
    return [feed_of(settings, source.url) for source in sources]
