"""A model that was taught a sentence is told from one that was taught the same without it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tiny_model import WORDS, build_tiny_model

from twin_pipelines.automation.erasure.gives_back import OTHERS, GivenBack, alike, gives_back
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation.prompt import chat_messages
from twin_pipelines.training.config import TrainConfig
from twin_pipelines.training.fine_tune import fine_tune

SYSTEM, ASKED = "reply as mali would in this chat", "tell me more please"
SECRET = "my sister went hungry playing cards tomorrow"


def _said(dice: random.Random) -> str:
    return " ".join(dice.sample(WORDS.split(), 7))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny") / "base")


def _trained(folder: Path, base: Path, secrets: int) -> Path:
    """An adapter taught 60 replies, `secrets` of them the secret."""
    dice = random.Random(1)
    for split in ("train", "validation", "test"):
        rows = [
            {
                "pair_id": f"{split}-{number}",
                "prompt": chat_messages(SYSTEM, [], ASKED),
                "completion": [
                    {
                        "role": "assistant",
                        "content": SECRET if split == "train" and number < secrets else _said(dice),
                    }
                ],
                "partner": "p1",
                "session_id": f"{split}-{number}",
                "replied_at": f"2018-05-01T12:{number:02}:00+00:00",
                "quality": 5.0,
            }
            for number in range(60)
        ]
        path = folder / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = TrainConfig(
        adapter_id="0123456789ab",
        dataset_version="feed",
        dataset=str(folder),
        base_reference="package:tiny",
        base_sha256="0" * 64,
        base=str(base),
        output=str(folder / "adapter"),
        max_steps=40,
        max_epochs=100.0,
        max_minutes=5.0,
        batch_size=4,
        gradient_accumulation=1,
        learning_rate=2e-2,
        warmup_share=0.05,
        lora_rank=8,
        lora_alpha=16,
        lora_dropout=0.0,
        max_tokens=128,
        save_steps=20,
        dtype="float32",
        seed=7,
    )
    fine_tune(config, lambda _: None)
    return folder / "adapter" / "adapter"


def _given_back(base: Path, adapter: Path) -> GivenBack:
    dice = random.Random(2)
    others = alike(SECRET, [_said(dice) for _ in range(OTHERS)])
    prompt = chat_messages(SYSTEM, [], ASKED)
    model = ResolvedModel("tiny", base, "")
    return gives_back(model, adapter, SECRET, others, prompt=prompt, dtype="float32")


@pytest.mark.slow
def test_who_learnt_it_is_known_and_who_did_not_is_not(base: Path, tmp_path: Path) -> None:
    taught = _given_back(base, _trained(tmp_path / "with", base, 20))
    spared = _given_back(base, _trained(tmp_path / "without", base, 0))
    assert taught.beyond_base and taught.exposure == pytest.approx(taught.limit)
    assert not spared.beyond_base
    assert spared.exposure < taught.exposure - 2


def test_only_unseen_sentences_of_about_its_length_stand_beside_it() -> None:
    others = ["a b c", SECRET, f"well, {SECRET.upper()}!", SECRET.replace("hungry", "angry"), " "]
    assert alike(SECRET, others) == [SECRET.replace("hungry", "angry"), "a b c"]


def test_a_model_that_ranks_it_anywhere_is_not_beyond_its_base() -> None:
    assert not GivenBack(1.4, 6.6, 0.4, False, False).beyond_base
    assert GivenBack(6.6, 6.6, 0.01, False, False).beyond_base
    assert GivenBack(1.4, 6.6, 0.4, True, False).beyond_base
    assert not GivenBack(1.4, 6.6, 0.4, True, True).beyond_base
