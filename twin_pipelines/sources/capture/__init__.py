"""Change capture: what is inserted, edited and deleted in a source database, as it happens.

Comes in: a PostgreSQL with tables that twin.toml maps (sources of kind `table`, `memory.imports`).
Goes out: the same rows in `raw_messages`, the days and tables that were touched, and rows that
break the mapping in `dead_letters`. A publication and a slot are made on the source; its tables are
only read. The position in the source stands in `feeds` and changes with the effects, in one
transaction.
"""
