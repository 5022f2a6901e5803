"""Training examples made of what the subject really answered.

In come the turns of cleaned sessions. Out go pairs (context, the partner's message, the subject's
real reply) with a quality score, and frozen, versioned datasets split by time and whole session.
Other people's words are context, never targets; their names are pseudonyms. The room writes
`instruct_pairs`, `datasets`, `dataset_pairs` and the folders under `datasets/`, nothing else.
"""
