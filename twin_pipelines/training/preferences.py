"""After the replies are learnt: which of two replies to the same context is the subject's (DPO).

Direct Preference Optimization (Rafailov et al. 2023, eq. 7) by TRL on the dataset's
`preferences.jsonl`. The same adapter is trained on; the reference is its frozen copy as it was when
this stage began. The stage is off unless `training.dpo_steps` says otherwise, and it may not make
the subject's real replies less likely: where the validation loss rises by more than
`LARGEST_LOSS_RISE`, the adapter stays what it was and the report says so.

A killed stage leaves the adapter as it was; it is then run anew. A finished one is put into place
in steps that `settle` can always complete, so that folder and report never disagree.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from twin_pipelines.foundation.fingerprints import hash_file, write_json
from twin_pipelines.generation.prompt import fit, reply_tokens
from twin_pipelines.instruct.preferences import FILE, read_preferences
from twin_pipelines.settings import TwinError
from twin_pipelines.training.config import ADAPTER, REPORT, TrainConfig
from twin_pipelines.training.conversations import make_examples, read_rows
from twin_pipelines.training.progress import WEIGHTS, finished_report

LARGEST_LOSS_RISE = 0.01  # nats per token of real, unseen replies
HELD_OUT = 0.1  # share of the pairs by which it is seen whether preferences were learnt
MOST_HELD_OUT = 48
VALIDATION_TOKENS = 8_192
STAGE = "preferences"
LOCK_SECONDS = 60
_NEXT_REPORT = "training.next.json"
_NEXT_ADAPTER = f".{ADAPTER}.preferred"
_OLD_ADAPTER = f".{ADAPTER}.before"


@dataclass(frozen=True)
class Choice:
    """A context and two replies to it, as token ids; `chosen` is the subject's."""

    kind: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


def finished(config: TrainConfig) -> dict[str, Any] | None:
    """The report of a training all of whose stages are done, else None."""
    output = Path(config.output)
    settle(output)
    report = finished_report(output)
    if report is None or (config.dpo_steps and STAGE not in report):
        return None
    return report


def prefer(
    config: TrainConfig, say: Callable[[str], None], parent: int | None = None
) -> dict[str, Any]:
    """Run the stage on the trained adapter in `config.output`; returns the new report.

    A stage that is done is not done again. `say` and `parent` are as in `fine_tune`. Raises
    TwinError where there is no trained adapter or no preference pair.
    """
    output = Path(config.output)
    try:
        with FileLock(output / ".lock", timeout=LOCK_SECONDS):
            settle(output)
            report = finished_report(output)
            if report is None:
                raise TwinError(f"There is no trained adapter in {output}; train it first.")
            if STAGE in report:
                return report
            return _Stage(config, report, say, parent).execute()
    except Timeout as error:
        raise TwinError(
            f"Another process is training in {output}; wait for it, or stop it."
        ) from error


def settle(output: Path) -> None:
    """Complete what a kill interrupted while a new adapter was put into place."""
    upcoming, fresh, old = (output / name for name in (_NEXT_REPORT, _NEXT_ADAPTER, _OLD_ADAPTER))
    if not upcoming.exists():
        shutil.rmtree(fresh, ignore_errors=True)
        return
    if fresh.exists():
        if (output / ADAPTER).exists():
            shutil.rmtree(old, ignore_errors=True)
            (output / ADAPTER).rename(old)
        fresh.rename(output / ADAPTER)
    upcoming.replace(output / REPORT)
    shutil.rmtree(old, ignore_errors=True)


def make_choices(
    rows: Sequence[dict[str, Any]], tokenizer: Any, max_tokens: int, seed: int
) -> list[Choice]:
    """Preference rows as token ids, the owner's corrections first and the others shuffled.

    The oldest context is cut until either reply fits into `max_tokens`; a row whose last message
    and longer reply alone do not fit is left out. Raises TwinError for a row of another form.
    """
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    try:
        shuffled.sort(key=lambda row: row["kind"] != "correction")
        choices = []
        for row in shuffled:
            replies = [row[name][0]["content"] for name in ("chosen", "rejected")]
            chosen, rejected = (reply_tokens(tokenizer, reply) for reply in replies)
            longest = max(len(chosen), len(rejected))
            _, prompt = fit(tokenizer, row["prompt"], max_tokens - longest)
            if len(prompt) + longest <= max_tokens and chosen != rejected:
                choices.append(Choice(row["kind"], prompt, chosen, rejected))
    except (KeyError, IndexError, TypeError) as error:
        raise TwinError(
            f"A row of {FILE} is damaged ({error!r}); materialise preference_pairs again."
        ) from error
    return choices


class _Stage:
    """One attempt."""

    def __init__(
        self,
        config: TrainConfig,
        report: dict[str, Any],
        say: Callable[[str], None],
        parent: int | None,
    ) -> None:
        self.config, self.report, self.say, self.parent = config, report, say, parent
        self.output, self.dataset = Path(config.output), Path(config.dataset)

    def execute(self) -> dict[str, Any]:
        from twin_pipelines.training import dpo

        config = self.config
        rows = read_preferences(self.dataset)
        gc.collect()
        model, tokenizer = dpo.load_adapter(config)
        choices = make_choices(rows, tokenizer, config.max_tokens, config.seed)
        if not choices:
            raise TwinError(
                f"No preference pair of {self.dataset / FILE} fits into training.max_tokens "
                f"({config.max_tokens}); raise it, or set training.dpo_steps to 0."
            )
        held_out, training = _apart(choices)
        validation = make_examples(
            read_rows(self.dataset / "validation.jsonl"), tokenizer, config.max_tokens
        ).rows
        validation = _bounded(validation)
        before = dpo.mean_loss(model, validation)
        self.say(f"preferences: {len(training):,} pairs, {config.dpo_steps} steps at most")
        outcome = dpo.optimise(
            model,
            tokenizer,
            training,
            held_out=held_out,
            config=config,
            seconds=self._seconds(),
            say=self.say,
            orphaned=self._orphaned,
        )
        shutil.rmtree(self.output / dpo.SCRATCH, ignore_errors=True)
        after = dpo.mean_loss(model, validation)
        stage = {
            **outcome,
            "pairs": len(training),
            "kinds": {kind: sum(one.kind == kind for one in choices) for kind in _kinds(choices)},
            "held_out_pairs": len(held_out),
            "sha256": hash_file(self.dataset / FILE),
            "validation_loss_before": before,
            "validation_loss_after": after,
            "largest_loss_rise": LARGEST_LOSS_RISE,
        }
        return self._decide(model, tokenizer, stage)

    def _decide(self, model: Any, tokenizer: Any, stage: dict[str, Any]) -> dict[str, Any]:
        """Keep the new adapter, or the one that was there; either way the report says why."""
        rise = stage["validation_loss_after"] - stage["validation_loss_before"]
        kept = stage["stopped"] != "nan" and rise <= LARGEST_LOSS_RISE
        verdict = "kept" if kept else "dropped: the adapter stays as it was"
        words = (
            f"the loss of real replies changed by {rise:+.3f} nats a token "
            f"(at most {LARGEST_LOSS_RISE:+.3f} is allowed)"
        )
        if stage["stopped"] == "nan":
            words = "the loss became infinite"
        stage |= {"kept": kept, "words": f"preferences {verdict}; {words}"}
        self.say(stage["words"])
        report = {**self.report, STAGE: stage}
        if not kept:
            write_json(self.output / REPORT, report)
            return report
        from twin_pipelines.training import dpo

        fresh = self.output / _NEXT_ADAPTER
        dpo.save_adapter(model, tokenizer, fresh, self.config.base_reference)
        report |= {
            "adapter_sha256": hash_file(fresh / WEIGHTS),
            "validation_loss_end": stage["validation_loss_after"],
        }
        write_json(self.output / _NEXT_REPORT, report)
        settle(self.output)
        return report

    def _seconds(self) -> float:
        """What is left of `training.max_minutes`, and at least a third of it."""
        budget = self.config.max_minutes * 60
        return max(budget - float(self.report.get("seconds", 0.0)), budget / 3)

    def _orphaned(self) -> bool:
        return self.parent is not None and os.getppid() != self.parent


def _apart(choices: list[Choice]) -> tuple[list[Choice], list[Choice]]:
    """Some of the others to look at, and all that are trained on (corrections always)."""
    others = [one for one in choices if one.kind != "correction"]
    count = min(int(len(others) * HELD_OUT), MOST_HELD_OUT)
    held_out = others[len(others) - count :]
    return held_out, choices[: len(choices) - count]


def _bounded(rows: list[Any]) -> list[Any]:
    """The first rows that have about VALIDATION_TOKENS tokens together, spread over the file."""
    total = sum(len(row.input_ids) for row in rows)
    stride = max(1, round(total / VALIDATION_TOKENS))
    return rows[::stride]


def _kinds(choices: Sequence[Choice]) -> list[str]:
    return sorted({one.kind for one in choices})
