"""Evaluation: how close is the twin to the person, on sessions nobody has trained on.

Comes in: an adapter, its base, the frozen test split of a dataset version, other people's texts,
another person's adapter (full depth) and the present champion's. Goes out: figures with intervals,
ceiling and controls, plots and sample replies in a folder of the state folder, and one row in
`evaluations`. Reads train replies only to measure what was copied and to teach the verifiers the
subject's hand; what was learnt from is refused as a question (`unseen`). The heavy part runs in a
process of its own (`run`). May touch the evaluations folder and its table.
"""
