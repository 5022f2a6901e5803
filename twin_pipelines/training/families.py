"""What differs between families of base models: how a turn ends, what pads, where an adapter goes.

The chat template itself is the tokenizer's and is rendered by `generation.prompt`; here stands what
a tokenizer does not say or says wrongly (several families ship no padding token, or their end of
turn for one), and a check that the rendered form keeps the family's rules. Rules as published with
the models: SmolLM2, Qwen3, Llama 3.x, Gemma 3, Mistral. A model of another family is taken at its
tokenizer's word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin_pipelines.foundation.fingerprints import read_json
from twin_pipelines.generation.prompt import Message, end_of_turn, template_text, tokenize
from twin_pipelines.settings import TwinError

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EVERY_LINEAR = "all-linear"


@dataclass(frozen=True)
class Family:
    """Rules of a family. Empty strings and tuples: as the tokenizer says."""

    name: str
    model_types: tuple[str, ...] = ()  # of config.json
    marks: tuple[str, ...] = ()  # its tokenizer or template knows all of these
    end_of_turn: str = ""
    begins_once: bool = False  # a rendered prompt begins with one begin-of-text token
    pads: tuple[str, ...] = ()  # best first
    projections: tuple[str, ...] = PROJECTIONS


FAMILIES = (
    Family(
        "SmolLM2",
        model_types=("llama",),
        marks=("<|im_start|>", "<|im_end|>"),
        end_of_turn="<|im_end|>",
        pads=("<|endoftext|>",),  # the published tokenizer pads with its end of turn
    ),
    Family(
        "Qwen3",
        model_types=("qwen3", "qwen3_moe"),
        marks=("<|im_start|>", "<|im_end|>"),
        end_of_turn="<|im_end|>",
        pads=("<|endoftext|>",),
    ),
    Family(
        "Llama 3",
        model_types=("llama",),
        marks=("<|start_header_id|>", "<|eot_id|>"),
        end_of_turn="<|eot_id|>",
        begins_once=True,
        pads=("<|finetune_right_pad_id|>", "<|reserved_special_token_0|>"),
    ),
    Family(
        "Gemma 3",
        model_types=("gemma3", "gemma3_text"),
        marks=("<start_of_turn>", "<end_of_turn>"),
        end_of_turn="<end_of_turn>",
        begins_once=True,
        pads=("<pad>",),
    ),
    Family(
        "Mistral",
        model_types=("mistral", "mistral3", "ministral"),
        marks=("[INST]", "[/INST]"),
        end_of_turn="</s>",
        begins_once=True,
        pads=("<pad>", "<unk>"),
    ),
)
OTHER = Family("other", projections=())


def family_of(folder: Path) -> Family:
    """The family of the model in a folder, from config.json and the tokenizer's files; else OTHER.

    An architecture alone does not decide: SmolLM2 and Llama 3 share one, and many models of the
    Mistral architecture speak ChatML.
    """
    model_type = str(read_json(folder / "config.json").get("model_type", ""))
    known = _tokenizer_words(folder)
    for family in FAMILIES:
        if model_type in family.model_types and all(mark in known for mark in family.marks):
            return family
    return OTHER


def prepare_tokenizer(tokenizer: Any, family: Family) -> None:
    """Give the tokenizer the family's padding token, and check that it keeps the family's rules.

    Raises TwinError naming the first rule that is broken.
    """
    tokenizer.pad_token = pad_token(tokenizer, family)
    broken = faults(tokenizer, family)
    if broken:
        raise TwinError(
            f"The tokenizer of {tokenizer.name_or_path or 'the base model'} does not keep the "
            f"rules of {family.name} models ({'; '.join(broken)}); set training.base_model to the "
            "published instruct model."
        )


def pad_token(tokenizer: Any, family: Family) -> str:
    """A token to pad with which is never the end of a turn.

    Whoever masks what equals the padding would otherwise never teach a twin to stop.
    """
    known = tokenizer.get_vocab()
    ends = end_of_turn(tokenizer)
    wanted = (tokenizer.pad_token, *family.pads, tokenizer.unk_token, tokenizer.bos_token)
    for token in (*wanted, tokenizer.eos_token):
        if token and token in known and token != ends:
            return str(token)
    raise TwinError(
        f"The tokenizer of {tokenizer.name_or_path or 'the base model'} has no token to pad with "
        f"besides its end of turn {ends}; add a padding token to it."
    )


def target_modules(config: Mapping[str, Any], family: Family) -> list[str] | str:
    """Where LoRA goes, for `LoraConfig`: the projections of the language model's layers.

    Neither the output layer, nor the router of a mixture of experts, nor the eyes of a model that
    can see: their projections bear the same names, hence the pattern.
    """
    if not family.projections:
        return EVERY_LINEAR
    if "vision_config" in config or "audio_config" in config:
        return rf".*language_model.*\.({'|'.join(family.projections)})"
    return list(family.projections)


def faults(tokenizer: Any, family: Family) -> list[str]:
    """Rules that the rendered form breaks, in words; none is the rule."""
    ends = end_of_turn(tokenizer)
    prompt = template_text(tokenizer, _TALK)
    found = []
    if family.end_of_turn and ends != family.end_of_turn:
        found.append(f"a turn ends with {ends}, not {family.end_of_turn}")
    if len(tokenize(tokenizer, ends)) != 1:
        found.append(f"the end of turn {ends} is not one token")
    if tokenizer.pad_token == ends:
        found.append(f"it pads with its end of turn {ends}")
    begins = prompt.count(tokenizer.bos_token) if tokenizer.bos_token else 0
    ids = tokenize(tokenizer, prompt)
    if family.begins_once and (begins != 1 or ids[:1] != [tokenizer.bos_token_id]):
        found.append(f"a prompt has {begins} begin-of-text tokens instead of one at its head")
    for message in _TALK:
        if prompt.count(message["content"]) != 1:
            found.append(f"the {message['role']}'s words stand there not once")
    if prompt.count("<think>") != prompt.count("</think>"):
        found.append("a thought stays open")
    template_text(tokenizer, _TALK[2:])  # what is left when the oldest turns were cut
    return found


_TALK: list[Message] = [
    {"role": "system", "content": "reply as the first person"},
    {"role": "user", "content": "a first question"},
    {"role": "assistant", "content": "a first reply"},
    {"role": "user", "content": "a second question"},
]


def _tokenizer_words(folder: Path) -> str:
    """The special tokens and the chat template of a model's folder, as one text to search."""
    described = read_json(folder / "tokenizer_config.json")
    added = read_json(folder / "tokenizer.json").get("added_tokens", [])
    template = folder / "chat_template.jinja"
    texts = [token["content"] for token in added]
    texts += [
        json.dumps(described.get(name, ""), ensure_ascii=False)
        for name in ("added_tokens_decoder", "additional_special_tokens", "chat_template")
    ]
    if template.exists():
        texts.append(template.read_text("utf-8"))
    return "\n".join(texts)
