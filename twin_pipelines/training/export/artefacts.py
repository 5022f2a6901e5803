"""The files of an export: each made from the merged model, and compared with it at once."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twin_pipelines.training.export.config import (
    ADAPTER_GGUF,
    F16,
    KINDS,
    PATHS,
    Q8,
    QUANTISED,
    SAFETENSORS,
    ExportConfig,
)
from twin_pipelines.training.export.conversations import probes
from twin_pipelines.training.export.llama_runtime import compare_gguf, quantise
from twin_pipelines.training.export.llama_tools import (
    INSTALL,
    UnavailableError,
    convert_adapter,
    convert_model,
    converters,
    runtime_version,
    vocabulary_adds_begin,
)
from twin_pipelines.training.export.manifest import describe
from twin_pipelines.training.export.merge import (
    load_merged,
    load_trained,
    load_untrained,
    save_merged,
)
from twin_pipelines.training.export.ollama import agreed_layout, modelfile
from twin_pipelines.training.export.parity import (
    FAILED,
    TOLERANCES,
    Reference,
    compare_transformers,
    judge,
    measure_change,
    not_verified,
    refer,
)

Say = Callable[[str], None]
LEVELS = {kind: kind.removeprefix("gguf_") for kind in KINDS} | {
    ADAPTER_GGUF: "float16",
    F16: "float16",
}
_FULL = "merged-float32"
_UNRUN = f"llama.cpp is not installed, so nothing compared it with the trained model; {INSTALL}"


@dataclass
class Making:
    """An export while it is made: what is known, and what came out so far."""

    config: ExportConfig
    whole: Path
    work: Path
    say: Say
    reference: Reference
    tokenizer: Any
    made: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def keep(
        self,
        kind: str,
        level: str,
        parity: dict[str, Any],
        modelfile: dict[str, str] | None = None,
    ) -> None:
        """Enter a made file."""
        self.made[kind] = describe(self.whole, kind, level, parity, modelfile)
        told = f" ({parity['why']})" if parity["why"] else ""
        self.say(f"{kind}: {self.made[kind]['bytes'] / 1e6:,.1f} MB, {parity['verdict']}{told}")

    def leave_out(self, kind: str, why: str) -> None:
        """Enter a file that cannot be made here."""
        self.missing[kind] = why
        self.say(f"{kind} was not made: {why}")


def make_artefacts(
    config: ExportConfig, wanted: list[str], whole: Path, work: Path, say: Say
) -> tuple[dict[str, Any], dict[str, str]]:
    """Make what is wanted in `whole`: the artefacts, and why others are missing, by kind."""
    say(f"merging {config.adapter_id} into {config.base_reference}")
    model, tokenizer = load_trained(config)
    reference = refer(model, tokenizer, probes(config.system))
    if set(wanted) - {SAFETENSORS, ADAPTER_GGUF}:
        save_merged(model, tokenizer, work / _FULL, "float32")
    if SAFETENSORS in wanted:
        save_merged(model, tokenizer, whole / PATHS[SAFETENSORS], config.dtype)
    del model
    gc.collect()
    reference = measure_change(load_untrained(config), reference)
    making = Making(config, whole, work, say, reference, tokenizer)
    if SAFETENSORS in wanted:
        _compare_merged(making)
    ggufs = [kind for kind in wanted if kind != SAFETENSORS]
    if ggufs:
        _make_ggufs(making, ggufs)
    return making.made, making.missing


def _compare_merged(making: Making) -> None:
    model, tokenizer = load_merged(making.config, making.whole / PATHS[SAFETENSORS])
    found = compare_transformers(model, tokenizer, making.reference)
    level = making.config.dtype
    making.keep(SAFETENSORS, level, judge(found, TOLERANCES[SAFETENSORS, level]))
    del model
    gc.collect()


def _make_ggufs(making: Making, wanted: list[str]) -> None:
    try:
        tools = converters(making.config)
    except UnavailableError as error:
        for kind in wanted:
            making.leave_out(kind, str(error))
        return
    for kind in wanted:
        target = making.whole / PATHS[kind]
        try:
            base = _make_gguf(making, tools, kind, target)
        except UnavailableError as error:
            making.leave_out(kind, str(error))
            continue
        recipe = None if kind == ADAPTER_GGUF else _write_modelfile(making, kind, target)
        making.keep(kind, LEVELS[kind], _compare_gguf(making, kind, target, base), recipe)


def _make_gguf(making: Making, tools: Path, kind: str, target: Path) -> Path | None:
    """Write one file. For an adapter, returns the base to try it on, where one can be run."""
    config, work = making.config, making.work
    if kind == ADAPTER_GGUF:
        convert_adapter(tools, Path(config.adapter), Path(config.base), target, work)
        if runtime_version() is None:
            return None
        base = work / "base-f16.gguf"
        convert_model(tools, Path(config.base), base, "f16")
        return base
    if kind in (F16, Q8):
        convert_model(tools, work / _FULL, target, kind.removeprefix("gguf_"))
        return None
    assert kind in QUANTISED
    source = making.whole / PATHS[F16]
    if not source.is_file():
        source = work / PATHS[F16]
    if not source.is_file():
        convert_model(tools, work / _FULL, source, "f16")
    quantise(source, target, kind)
    return None


def _compare_gguf(making: Making, kind: str, target: Path, base: Path | None) -> dict[str, Any]:
    if runtime_version() is None:
        return not_verified(_UNRUN)
    try:
        found = compare_gguf(
            base or target, making.tokenizer, making.reference, target if base else None
        )
    except UnavailableError as error:
        return {"verdict": FAILED, "why": str(error)}
    return judge(found, TOLERANCES[kind, LEVELS[kind]])


def _write_modelfile(making: Making, kind: str, target: Path) -> dict[str, str]:
    """Ollama's recipe beside the file; where its template cannot be the same, the reason."""
    config, tokenizer = making.config, making.tokenizer
    name = f"Modelfile.{kind.removeprefix('gguf_')}"
    try:
        layout = agreed_layout(tokenizer, [probe.messages for probe in making.reference.probes])
        if vocabulary_adds_begin(target):
            layout = layout.without_begin(tokenizer.bos_token or "")
        text = modelfile(
            target,
            layout,
            tokenizer,
            system=config.system,
            temperature=config.temperature,
            top_p=config.top_p,
        )
    except UnavailableError as error:
        making.say(f"no Modelfile for {kind}: {error}")
        return {"path": "", "why": str(error)}
    (making.whole / name).write_text(text)
    return {"path": name, "why": ""}
