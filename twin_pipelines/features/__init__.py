"""Raw messages become turns.

In come `raw_messages` (through `sources.store`); out go `cleaned_messages`, one row a turn with its
session and language, and `dropped_messages`, one row for everything left out and why. Only `store`
touches these two tables, and nothing else is written. The rest is plain: `text` cleans, `order`
sorts, `sessions` and `turns` group, `duplicates` finds what was sent twice, `language` names the
script, `cleaning` puts them together, and `refresh` runs it slice by slice over a range of days.
"""
