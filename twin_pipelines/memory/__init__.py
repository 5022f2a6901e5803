"""What is remembered: what happened, was said, felt, known, learnt and dreamt, weighed.

In come the turns and an existing companion's tables; out go `memories` of every type, each with the
messages or memories it came from and an importance made of named parts, their index, and
`core_candidates`. Deliberate changes are runs of the `ledger`, one transaction each, and can be
undone; what fades is archived, never deleted, and what the owner wants forgotten stays so. Nothing
is promoted here: that waits behind the evaluation, in the promotion room. The room writes the
tables of sql/0006_memories.sql, `forgotten` and `core_candidates`, and takes turns that are
forgotten out of `search_entries`.
"""
