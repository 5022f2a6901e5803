"""What must be true of an evaluation before anybody believes it.

None of them blocks: a challenger with a bad evaluation is registered all the same, refused by the
gate, and kept with the reason.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import psycopg

from twin_pipelines.evaluation import store
from twin_pipelines.evaluation.assets import champion_sessions, find_overlap, freeze_for
from twin_pipelines.evaluation.frozen import FrozenSet
from twin_pipelines.evaluation.memorisation import worst_copying
from twin_pipelines.evaluation.unseen import SeenError
from twin_pipelines.foundation.resources import TwinResource
from twin_pipelines.instruct.store import DatasetVersion, dataset
from twin_pipelines.settings import TwinSettings
from twin_pipelines.training import store as training

WIDEST_STYLE = 0.40  # interval of style consistency that still says something
WIDEST_RATIO = 0.15  # interval of the perplexity ratio
FEWEST_REPLIES = 150
FEWEST_RANKED = 300


@dg.asset_check(asset="evaluated_model")
def test_set_is_untouched(twin: TwinResource) -> dg.AssetCheckResult:
    """No session, message or whole exchange of the test set stands in train or validation."""
    settings = twin.settings
    with twin.connect() as connection:
        measured = store.latest_evaluation(connection)
        adapter = training.adapter(connection, measured.adapter_id) if measured else None
        made_from = dataset(connection, adapter.dataset_version) if adapter else None
        if measured is None or made_from is None:
            return _absent()
        try:
            frozen = _frozen_again(connection, settings, measured, made_from)
            found = find_overlap(connection, settings, made_from, frozen)
        except SeenError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
    same_set = frozen.version == measured.metrics["frozen_set"]["version"]
    return dg.AssetCheckResult(
        passed=found.clean and same_set,
        severity=dg.AssetCheckSeverity.ERROR,
        description=found.words
        if same_set
        else "the test files changed since the evaluation; materialise evaluated_model again",
        metadata={**found.as_dict(), "pairs": len(frozen.exchanges)},
    )


@dg.asset_check(asset="evaluated_model")
def subject_is_one_voice(twin: TwinResource) -> dg.AssetCheckResult:
    """The subject is one person: own unseen text is recognised and others' is not."""
    with twin.connect() as connection:
        voice = store.one_voice(connection)
    if voice is None or voice["passed"] is None:
        return dg.AssetCheckResult(
            passed=True,
            severity=dg.AssetCheckSeverity.WARN,
            description=voice["note"] if voice else "the one-voice test was not made",
        )
    return dg.AssetCheckResult(
        passed=voice["passed"],
        severity=dg.AssetCheckSeverity.WARN,
        description=voice["note"],
        metadata={"own share": voice["own_share"], "other share": voice["other_share"]},
    )


@dg.asset_check(asset="evaluated_model")
def little_is_memorised(twin: TwinResource) -> dg.AssetCheckResult:
    """The twin copies training replies no more, beyond the human rate, than the gate allows."""
    with twin.connect() as connection:
        measured = store.latest_evaluation(connection)
    if measured is None:
        return _absent()
    copied = worst_copying(measured.metrics["memorisation"])
    limit = twin.settings.gate.max_memorisation
    return dg.AssetCheckResult(
        passed=copied <= limit,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{copied:.1%} of the replies copy a training reply beyond the human rate; at "
        f"most {limit:.1%} may",
        metadata={"beyond the human rate": copied, "limit": limit},
    )


@dg.asset_check(asset="evaluated_model")
def enough_was_measured(twin: TwinResource) -> dg.AssetCheckResult:
    """There were enough unseen replies for intervals that say something."""
    with twin.connect() as connection:
        measured = store.latest_evaluation(connection)
    if measured is None:
        return _absent()
    short = shortfalls(measured.metrics)
    return dg.AssetCheckResult(
        passed=not short,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(short) or None,
        metadata={
            "pairs": measured.metrics["frozen_set"]["n_pairs"],
            "sessions": measured.metrics["frozen_set"]["n_sessions"],
            "generated": measured.metrics["frozen_set"]["generated"],
        },
    )


def _frozen_again(
    connection: psycopg.Connection,
    settings: TwinSettings,
    measured: store.Evaluation,
    made_from: DatasetVersion,
) -> FrozenSet:
    """The frozen set of an evaluation, chosen anew from the files as they are now."""
    champion = measured.champion_id and training.adapter(connection, measured.champion_id)
    adapter = training.adapter(connection, measured.adapter_id)
    weights = settings.home / adapter.path / "adapter" if adapter else None
    barred = champion_sessions(connection, settings, champion or None, made_from.version)
    return freeze_for(settings, made_from, weights, barred)


def shortfalls(metrics: dict[str, Any]) -> list[str]:
    """Where there was too little to measure by, in words."""
    frozen, style = metrics["frozen_set"], metrics["style_consistency"]
    short = []
    if frozen["generated"] < FEWEST_REPLIES:
        short.append(f"{frozen['generated']} replies were generated; {FEWEST_REPLIES} are needed")
    if frozen["n_pairs"] < FEWEST_RANKED:
        short.append(f"{frozen['n_pairs']} contexts were ranked; {FEWEST_RANKED} are needed")
    low, high = style["ci95"] or (None, None)
    if low is None or high is None or high - low > WIDEST_STYLE:
        short.append("the interval of style consistency is too wide to tell")
    low, high = metrics["reply_perplexity"]["ratio_ci95"]
    if high - low > WIDEST_RATIO:
        short.append("the interval of the perplexity ratio is too wide to tell")
    gain = metrics.get("person_specific_gain")
    if metrics.get("depth") == "full" and gain and gain["value"] is None:
        short.append(f"the gain over another person's adapter is missing: {gain['note']}")
    return short


def _absent() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="there is no evaluation yet")
