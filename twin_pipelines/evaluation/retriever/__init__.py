"""A retriever that learns the person: taught by the replies of the past, judged on later ones.

Comes in: the train split, the search index, the base model. Goes out: how much likelier each past
message makes a real reply (`labels`), an adapter of question vectors learned from that
(`retrieval.learning`), what it is worth on unseen contexts (`trial`) and the gate's word
(`verdict`). The test split is not looked at. Writes `retrievers` alone.
"""
