"""Turns become vectors.

In come `cleaned_messages`; out goes `message_embeddings`, one unit-length vector a turn and model,
with an HNSW index for each model. Only `store` touches that table. `encoder` hides which model
makes the vectors: the packaged multilingual one or any sentence-transformers model. `refresh`
embeds what is new or changed for the model, a text that occurs often once.
"""
