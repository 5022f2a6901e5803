"""The search index: every turn and every active memory, ready to be found by words and by meaning.

Comes in: what triggers have queued since it was last indexed (sessions of turns that came, changed
or went, and memories). Goes out: `search_entries`, with their HNSW index. `entries` makes entries
of turns and memories and knows no database; `refresh` drains the queue; `index_store` is the only
SQL that writes entries. How often each term occurs, and the version that caches compare, are kept
by triggers, so that they are exact whoever deletes what.
"""
