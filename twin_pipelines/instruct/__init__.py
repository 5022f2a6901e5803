"""Training examples made of what the subject really answered.

In come the turns of cleaned sessions and the owner's corrections. Out go pairs (context, the
partner's message, the subject's real reply) with a quality score, frozen, versioned datasets split
by time and whole session, and preference pairs beside them. Other people's words are context or
turned down, never targets (rehearsed general chat is marked and not counted); their names are
pseudonyms. The room writes `instruct_pairs`, `datasets`, `dataset_pairs`, `corrections`,
`preference_pairs` and the folders under `datasets/`, nothing else.
"""
