"""What an export is given, as data: it travels to the export process as one JSON file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from twin_pipelines.settings import TwinError

CODE_VERSION = "1"  # raise it when the same adapter would give other files

MANIFEST = "manifest.json"
MERGED = "merged"
SAFETENSORS, ADAPTER_GGUF, F16, Q8, Q4_K_M, Q4 = KINDS = (
    "safetensors",
    "gguf_adapter",
    "gguf_f16",
    "gguf_q8_0",
    "gguf_q4_k_m",
    "gguf_q4_0",
)
PATHS = {
    SAFETENSORS: MERGED,
    ADAPTER_GGUF: "adapter-f16.gguf",
    F16: "twin-f16.gguf",
    Q8: "twin-q8_0.gguf",
    Q4_K_M: "twin-q4_k_m.gguf",
    Q4: "twin-q4_0.gguf",
}
QUANTISED = {Q4_K_M: "MOSTLY_Q4_K_M", Q4: "MOSTLY_Q4_0"}  # by llama.cpp's own quantiser
BITS = {SAFETENSORS: 32, ADAPTER_GGUF: 2, F16: 16, Q8: 9, Q4_K_M: 6, Q4: 5}  # a weight, at most


@dataclass(frozen=True)
class ExportConfig:
    """One export. Paths are absolute."""

    adapter_id: str
    adapter: str  # folder with the adapter's weights and tokenizer
    base_reference: str
    base_sha256: str
    base: str  # folder with the base model
    output: str  # folder of the export
    formats: tuple[str, ...]  # of KINDS
    dtype: str  # of the merged safetensors
    llama_cpp: str  # a llama.cpp checkout; empty: fetched
    tools: str  # folder into which llama.cpp's converters are fetched
    system: str  # system prompt the adapter was taught
    temperature: float
    top_p: float

    @property
    def recipe(self) -> str:
        """Identity of what decides the files, whichever are asked for: 12 hexadecimal digits."""
        parts = [self.adapter_id, self.base_sha256, self.dtype, self.system]
        parts += [str(self.temperature), str(self.top_p), CODE_VERSION]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    def save(self, path: Path) -> Path:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1))
        return path

    @classmethod
    def load(cls, path: Path) -> ExportConfig:
        """Read what `save` wrote. Raises TwinError when the file is missing or not that."""
        try:
            content = json.loads(path.read_text())
            missing = {field.name for field in fields(cls)} - content.keys()
            if missing:
                raise ValueError(f"it lacks {', '.join(sorted(missing))}")
            return cls(**{**content, "formats": tuple(content["formats"])})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TwinError(
                f"The export configuration {path} is not usable ({error}); let the exported_model "
                "asset write it, or correct it."
            ) from error
