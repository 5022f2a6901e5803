"""Where a reply ends: also at the ends that only the model's own settings name."""

from __future__ import annotations

import copy
from typing import Any

from twin_pipelines.generation.local import generate_replies

TALK = [[{"role": "user", "content": "hello how are you"}]]


def _written(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the greedy reply, without what ended it."""
    ids: list[int] = []
    generate_replies(
        *(model, tokenizer, TALK),
        temperature=0,
        max_new_tokens=12,
        on_token=lambda _, id: ids.append(id),
    )
    return ids


def test_a_token_the_model_says_it_ends_with_ends_the_reply(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    whole = _written(model, tokenizer)
    stop = next(id for id in whole[1:] if id != whole[0])
    before = copy.deepcopy(model.generation_config)
    try:
        model.generation_config.eos_token_id = [tokenizer.eos_token_id, stop]
        assert _written(model, tokenizer) == whole[: whole.index(stop)]
        model.generation_config.eos_token_id = None
        assert _written(model, tokenizer) == whole
    finally:
        model.generation_config = before
