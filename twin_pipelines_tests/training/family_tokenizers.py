"""Small tokenizers that keep the public rules of the model families, built on the spot.

Control tokens, what is special and what is not, and the semantics of the chat templates are as
published with the models; vocabularies are a few hundred pieces, the templates are written anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_model import WORDS

_ALTERNATE = (
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
)

SMOLLM2 = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m['role'] == 'user' and not "
    "(m['content'].startswith('<tool_response>') and m['content'].endswith('</tool_response>')) %}"
    "{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{% set said = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in said %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and loop.last and loop.index0 > ns.last %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ said + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
QWEN3_ALWAYS_THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{% endif %}"
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}"
    "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}"
    "{% endif %}<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ date_string }}\n\n"
    "{{ system }}<|eot_id|>{% for m in turns %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>"
    "\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set head = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}{% else %}"
    "{% set head = '' %}{% set turns = messages %}{% endif %}{% for m in turns %}"
    + _ALTERNATE
    + "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ head if loop.first else '' }}{{ m['content'] | trim }}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    + _ALTERNATE
    + "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL_V1 = (
    "{{ bos_token }}{% for m in messages %}"
    + _ALTERNATE
    + "{% if m['role'] == 'user' %}{{ ' [INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_V3 = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}"
    "{% endif %}{{ bos_token }}{% for m in turns %}" + _ALTERNATE + "{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + (system if loop.last else '') + m['content'] + '[/INST]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_V7 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ '[SYSTEM_PROMPT]' + messages[0]['content'] + '[/SYSTEM_PROMPT]' }}"
    "{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}"
    "{% for m in turns %}{% if m['role'] == 'user' %}{{ '[INST]' + m['content'] + '[/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)

# special tokens, added tokens that are not special, roles, template, pieces are bytes (else SPM)
RULES: dict[str, dict[str, Any]] = {
    "SmolLM2": {
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "roles": {"bos": "<|im_start|>", "eos": "<|im_end|>", "pad": "<|im_end|>"},
        "template": SMOLLM2,
        "model_type": "llama",
    },
    "Qwen3": {
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "plain": ["<think>", "</think>", "<tool_response>", "</tool_response>"],
        "roles": {"eos": "<|im_end|>", "pad": "<|endoftext|>"},
        "template": QWEN3,
        "model_type": "qwen3",
    },
    "Llama 3": {
        "special": [
            *("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>"),
            *("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
        ],
        "roles": {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>"},
        "template": LLAMA3,
        "model_type": "llama",
    },
    "Gemma 3": {
        "special": ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
        "plain": ["\n\n"],
        "roles": {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>", "unk": "<unk>"},
        "template": GEMMA3,
        "model_type": "gemma3_text",
        "bytes": False,
    },
    "Mistral": {
        "special": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
        "roles": {"bos": "<s>", "eos": "</s>", "unk": "<unk>"},
        "template": MISTRAL_V3,
        "model_type": "mistral",
        "bytes": False,
        "dummy_space": True,
    },
}


def family_tokenizer(name: str, template: str = "", marks_are_tokens: bool = True) -> Any:
    """A tokenizer of the family; `template` replaces the family's own."""
    from transformers import PreTrainedTokenizerFast

    rules = RULES[name]
    special = [token for token in rules["special"] if marks_are_tokens or not token.startswith("[")]
    backend = _byte_pieces(special) if rules.get("bytes", True) else _word_pieces(rules, special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{f"{role}_token": token for role, token in rules["roles"].items()},
        additional_special_tokens=special,
        chat_template=template or rules["template"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens(rules.get("plain", []))
    return tokenizer


def _byte_pieces(special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([WORDS], trainer)
    return backend


def _word_pieces(rules: dict[str, Any], special: list[str]) -> Any:
    """As SentencePiece does it: `▁` for a space, bytes for what is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    if rules.get("dummy_space"):
        steps.insert(0, normalizers.Prepend("▁"))
    backend.normalizer = normalizers.Sequence(steps)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=[*special, *bytes_], show_progress=False
    )
    backend.train_from_iterator([WORDS, "\n", WORDS.upper()], trainer)
    return backend


def save_family(name: str, folder: Path, model_type: str = "") -> Path:
    """The tokenizer and the part of config.json by which a family is known."""
    family_tokenizer(name).save_pretrained(folder)
    kind = model_type or RULES[name]["model_type"]
    (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    return folder
