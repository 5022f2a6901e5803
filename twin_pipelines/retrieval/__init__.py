"""Retrieval: what of all that was said and remembered belongs to a question?

Comes in: turns and active memories, and questions in their chat. Goes out: the search index
(`index`), for each question the turns and memories that answer it best with the reasons (`find`),
and how well and how fast that goes (`figures`). Reads `cleaned_messages` and `memories`, writes
`search_*` and `retrieval_figures` alone; every result names its messages.
"""
