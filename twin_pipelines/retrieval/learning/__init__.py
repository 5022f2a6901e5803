"""A retriever that learns the person: what a question is looked up by, learned from the replies.

Comes in: vectors of questions and of past exchanges, and how much likelier each exchange made the
real reply. Goes out: an adapter of question vectors (`fit`, `retriever`); entries are never
embedded anew. Writes `retrievers` and which of them is in force in `search_state` alone.
"""
