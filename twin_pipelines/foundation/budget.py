"""How many tokens a text costs, told without a model.

One token for every three bytes of UTF-8: English chat takes four letters a token, so a budget is
never overdrawn there; Thai, Chinese and emoji count one and more for a character, which is more
than tokenizers made for these languages take. A tokenizer that knows no Thai at all may take twice
as many: the trainer cuts with the real one in the end.
"""

from __future__ import annotations

BYTES_A_TOKEN = 3


def estimated_tokens(text: str) -> float:
    """Tokens of a text, not rounded, so that parts add up to the whole."""
    return len(text.encode()) / BYTES_A_TOKEN
