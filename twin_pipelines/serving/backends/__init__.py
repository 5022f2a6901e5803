"""Backends: what can answer, and the chain that asks them one after the other.

Comes in: a conversation, how to draw, and what was recalled for it (`protocol.Asked`). Goes out:
words as they come, signed by whoever says them, and at last the whole reply. `chain` keeps the
order, the deadlines and the circuit breakers; `links` makes the chain of `serving.backends`. In
process are the champion, the previous release and the base (`in_process`, `spares`), and the answer
made of memories alone (`from_memories`); over HTTP any server of OpenAI's format (`openai_api`),
llama.cpp's (`llama_cpp`) and Ollama (`ollama`). May read adapters, exports and the base, and write
nothing.
"""
