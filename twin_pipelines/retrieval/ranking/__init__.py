"""Ranking: which turns of a history answer a question, in what order?

Comes in: turns as a frame, their vectors, questions. Goes out: turns in order with the scores they
were ordered by. Plain functions over frames and arrays: nothing here knows a database, and the
shipped weights stand in `fusion` with the script that made them (`fit`).
"""
