"""A real but tiny language model, for tests and for benchmarks of everything but a model.

A two-layer Llama of random weights whose BPE tokenizer is trained on the spot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WORDS = (
    "hello how are you doing today i went to the sea with my sister and it rained all day so we "
    "stayed inside playing cards what about your week haha that sounds lovely tell me more please "
    "assistant user system reply as would in this chat mali david coffee work music film weekend "
    "tomorrow yesterday morning evening good bad happy tired hungry"
)


def build_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write model and tokenizer (ChatML) into `folder`, as `save_pretrained` does."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer of about 500 tokens with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    filler, opening, closing = SPECIAL_TOKENS
    words = WORDS.split()
    lines = [" ".join(words[start : start + 7]) for start in range(len(words))]
    tokenizer.train_from_iterator([*lines, *(line.capitalize() for line in lines)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=[opening],
        **{"eos_token": closing, "pad_token": filler},
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
