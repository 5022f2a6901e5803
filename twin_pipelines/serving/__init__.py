"""Serving: the release in force, answering on this machine.

Comes in: the release in force (`promotion.in_force`), chat messages over HTTP, and the replies of
the last evaluation. Who answers when the release cannot is told by `backends`; who takes part in an
answer by `hooks`, and `composing` puts it together. Goes out: answers in the OpenAI format, each
naming the release and the backend that gave it, chats that go on where they stopped (where the
request names one), and what the owner picked, corrected, pinned or wants forgotten. A promotion or
a rollback is followed while requests run. Listens on the loopback address only and asks for a
bearer token; may touch the serving folder, `chats`, `chat_turns` and `blind_choices`, index what
came in (`retrieval.index`), count recalls, and, with consent, land chats as messages.
"""
