"""A tiny base, an adapter on it, and a dataset, so that an evaluation runs in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tiny_model import WORDS, build_tiny_model

from twin_pipelines.evaluation.task import Candidate, Task
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.settings import Evaluation

SYSTEM = "reply as mali would in this chat"
SMALL = {"replies": 12, "ranked": 24, "window_words": 20, "background_people": 3}
SMALL |= {"bootstrap": 100, "max_new_tokens": 16, "context_tokens": 96}


def exchange_row(split: str, number: int, reply: str, said: str) -> dict[str, Any]:
    return {
        "pair_id": f"{split}-{number}",
        "prompt": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": said},
        ],
        "completion": [{"role": "assistant", "content": reply}],
        "partner": "p1",
        "session_id": f"{split}-{number // 4}",
        "replied_at": f"2018-05-01T12:{number % 60:02}:00+00:00",
        "quality": 5.0,
        "canary": False,
    }


def write_splits(folder: Path, sizes: dict[str, int]) -> None:
    """Made-up splits and two planted secrets."""
    folder.mkdir(parents=True)
    dice = random.Random(3)
    for split, size in sizes.items():
        rows = [
            exchange_row(
                split,
                number,
                f"haha {' '.join(dice.choices(WORDS.split(), k=dice.randint(2, 8)))} ok",
                " ".join(dice.choices(WORDS.split(), k=dice.randint(2, 9))),
            )
            for number in range(size)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    planted = [
        {"prompt": [{"role": "user", "content": f"the {thing} number?"}], "secret": f"{thing} 4711"}
        for thing in ("box", "card")
    ]
    (folder / "canaries.json").write_text(json.dumps(planted))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """An adapter that changes its base, untrained."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny-adapter") / "adapter"
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


@pytest.fixture
def task(tmp_path: Path, tiny_base: Path, tiny_adapter: Path) -> Task:
    """A small evaluation of the tiny adapter."""
    dataset = tmp_path / "dataset"
    write_splits(dataset, {"train": 60, "validation": 4, "test": 40})
    base = ResolvedModel(str(tiny_base), tiny_base, "0" * 64)
    return Task(
        folder=tmp_path / "evaluations" / "e1",
        cache=tmp_path / "evaluations" / ".answers",
        dataset=dataset,
        dataset_version="d1",
        speaker="mali",
        twin=Candidate(base, tiny_adapter),
        champion=None,
        settings=Evaluation(**SMALL),
        min_reply_words=2,
        one_voice=None,
        leaks={"sessions": 0, "messages": 0, "exchanges": 0, "unknown": 0, "words": "clean"},
        dtype="float32",
    )
