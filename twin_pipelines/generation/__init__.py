"""Generation: from a conversation to a reply, or to how likely a given reply is.

Comes in: chat messages (a system prompt, earlier turns, the partner's message), what was recalled,
and a local model folder with or without an adapter. Goes out: replies and log-probabilities.
`prompt` is the one template that training, evaluation and serving share; `context` chooses what an
answer is asked with and names the source of every line; `session` sums up what of a chat no longer
fits, with a larger model where one is configured. May read model folders; touches no database
and keeps no state.
"""
