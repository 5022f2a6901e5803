"""Promotion: which release serves.

Comes in: an evaluated adapter and candidate core memories. Goes out: a registered model version, a
verdict in words on each condition of the gate, and, when it passes or somebody signs for it, a
champion: adapter, persona, retrieval settings and core memories in one transaction, so that they
can be rolled back as one. The database is the truth; MLflow's alias follows it. May touch
`releases`, `core_memories`, `promotion_notes`, the model registry and the signing key.
"""
