"""GGUF files run by llama.cpp itself, through its Python binding: how they are measured and shrunk.

The binding is optional. What belongs here is all that needs it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twin_pipelines.generation.local import first_line
from twin_pipelines.generation.prompt import template_text
from twin_pipelines.training.export.config import QUANTISED
from twin_pipelines.training.export.llama_tools import (
    INSTALL,
    UnavailableError,
    chat_template,
    runtime_version,
)
from twin_pipelines.training.export.parity import (
    GREEDY_TOKENS,
    Findings,
    Likelihood,
    Reference,
    findings,
)


def compare_gguf(
    gguf: Path, tokenizer: Any, reference: Reference, adapter: Path | None = None
) -> Findings:
    """A GGUF file with its own vocabulary and chat template beside the reference.

    `adapter` is a GGUF adapter added to it. `tokenizer` only says which control tokens messages
    must be freed of. Raises UnavailableError when llama.cpp does not load it, or it holds no chat
    template.
    """
    written_as = copy.copy(tokenizer)
    written_as.chat_template = chat_template(gguf)
    if not written_as.chat_template:
        raise UnavailableError(f"{gguf.name} holds no chat template.")
    longest = max(
        len(prompt) + max(GREEDY_TOKENS, *map(len, replies))
        for prompt, replies in zip(reference.prompts, reference.replies, strict=True)
    )
    prompts, written, likelihoods = [], [], []
    with _loaded(gguf, adapter, longest + 8) as model:
        for probe, prompt, (own, given) in zip(
            reference.probes, reference.prompts, reference.replies, strict=True
        ):
            text = template_text(written_as, probe.messages).encode()
            prompts.append(model.tokenize(text, add_bos=False, special=True))
            model.reset()
            model.eval(prompt)
            likelihoods.append((_likelihood(model, prompt, own), _likelihood(model, prompt, given)))
            written.append(_greedy(model, len(prompt)))
        ends = all(_ends(model, token) for token in reference.stops)
    return findings(reference, prompts=prompts, written=written, likelihoods=likelihoods, ends=ends)


def quantise(source: Path, target: Path, kind: str) -> None:
    """A GGUF file in fewer bits (`kind` of QUANTISED). Raises UnavailableError without llama.cpp.

    Where a row of weights is no multiple of the level's block, llama.cpp takes the next finer one.
    """
    if runtime_version() is None:
        raise UnavailableError(f"llama.cpp quantises, and it is not installed; run: {INSTALL}")
    import ctypes

    import llama_cpp

    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_{QUANTISED[kind]}")
    options.nthread = _threads()
    with _silent():
        failed = llama_cpp.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(options)
        )
    if failed or not target.is_file():
        target.unlink(missing_ok=True)
        raise UnavailableError(f"llama.cpp refused to quantise {source.name} to {kind}.")


@contextmanager
def _loaded(gguf: Path, adapter: Path | None, tokens: int) -> Iterator[Any]:
    from llama_cpp import Llama

    try:
        with _silent():
            model = Llama(
                str(gguf),
                lora_path=str(adapter) if adapter else None,
                n_ctx=tokens,
                n_batch=tokens,
                n_threads=_threads(),
                logits_all=True,
                verbose=False,
            )
    except (ValueError, RuntimeError) as error:
        raise UnavailableError(
            f"llama.cpp does not load {(adapter or gguf).name} ({first_line(error)})."
        ) from error
    try:
        yield model
    finally:
        model.close()


def _likelihood(model: Any, prompt: list[int], reply: list[int]) -> Likelihood:
    """Of a reply to the prompt that the model has read; the model may have read on since."""
    import numpy as np

    model.n_tokens = len(prompt)
    model.eval(reply)
    logits = model.scores[len(prompt) - 1 : len(prompt) + len(reply) - 1].astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    chances = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return Likelihood(chances[np.arange(len(reply)), reply], logits.argmax(axis=1))


def _greedy(model: Any, read: int) -> str:
    """What the model writes after the first `read` tokens it was given."""
    model.n_tokens = read
    written: list[int] = []
    while len(written) < GREEDY_TOKENS:
        chosen = int(model.scores[model.n_tokens - 1].argmax())
        if _ends(model, chosen):
            break
        written.append(chosen)
        model.eval([chosen])
    return model.detokenize(written).decode("utf-8", errors="replace").strip()


def _ends(model: Any, token: int) -> bool:
    import llama_cpp

    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    return bool(llama_cpp.llama_vocab_is_eog(vocabulary, token))


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


@contextmanager
def _silent() -> Iterator[None]:
    """llama.cpp's native half writes its own log to standard error; not here."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
