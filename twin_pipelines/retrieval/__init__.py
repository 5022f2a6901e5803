"""Retrieval: what of all that the subject said belongs to a question?

Comes in: questions and the turns of the history with their vectors. Goes out: for each question the
subject's own turns that answer it best, searched by meaning and by words at once. Reads
`cleaned_messages` and `message_embeddings`, writes nothing; every result names its turn.
"""
