"""Serving: the release in force, answering on this machine.

Comes in: the release in force (`promotion.in_force`), chat messages over HTTP, and the replies of
the last evaluation. Goes out: answers in the OpenAI format, each by exactly one release and
naming it, and what the owner picked on the blind page. A promotion or a rollback is followed while
requests run. Memories are searched and vectors made for whoever asks. Listens on the loopback
address only and asks for a bearer token; may touch the serving folder and `blind_choices`, index
memories that are new (`memory.recall`) and count recalls.
"""
