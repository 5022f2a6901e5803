"""The tiny model of the benchmarks, by the name that tests know it by."""

from twin_pipelines.commands.tiny_model import (
    CHAT_TEMPLATE,
    SPECIAL_TOKENS,
    WORDS,
    build_tiny_model,
    build_tiny_tokenizer,
)

__all__ = ["CHAT_TEMPLATE", "SPECIAL_TOKENS", "WORDS", "build_tiny_model", "build_tiny_tokenizer"]
