"""How far the history is from the number of pairs that was promised, and what would close it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import psycopg

from twin_pipelines.instruct import store
from twin_pipelines.instruct.exclusions import too_few_words, too_long
from twin_pipelines.instruct.store import RATE_DAYS, PairCounts
from twin_pipelines.settings import TwinSettings

_DAYS_A_MONTH = 30.44
_LEAST_DAYS = 7  # a rate of fewer days is no rate


@dataclass(frozen=True)
class Outlook:
    """Pairs that may be trained on against the target.

    `per_month` is None while less than a week of history holds pairs; `months_left` is 0 when
    nothing is missing and None when there is no rate. `shared_account` is None before the one-voice
    test could tell. `words` says it all in a sentence or two, `advice` what would close the gap.
    """

    total: int
    target: int
    missing: int
    per_month: float | None
    months_left: float | None
    shared_account: bool | None
    words: str
    advice: list[str]


def pairs_outlook(connection: psycopg.Connection, settings: TwinSettings) -> Outlook:
    """The outlook of the history as it stands."""
    shared = store.shared_account(connection)
    return outlook(store.counts(connection), settings, shared_account=shared)


def outlook(counts: PairCounts, settings: TwinSettings, *, shared_account: bool | None) -> Outlook:
    """The outlook that follows from the counts."""
    target = settings.pairs.target
    missing = max(0, target - counts.total)
    per_month = _per_month(counts)
    months_left = 0.0 if not missing else missing / per_month if per_month else None
    words = f"{counts.total:,} pairs; the target of {target:,} is met"
    if missing:
        words = f"{counts.total:,} pairs, {missing:,} short of {target:,}"
    if missing and per_month and months_left is not None:
        words += (
            f"; at the last {per_month:,.0f} a month, {_months(months_left)} more of conversation "
            "would close it"
        )
    if shared_account:
        words += ". The subject looks like an account that several people share"
    return Outlook(
        total=counts.total,
        target=target,
        missing=missing,
        per_month=per_month,
        months_left=months_left,
        shared_account=shared_account,
        words=words + ".",
        advice=_advice(counts, settings, missing, shared_account),
    )


def _per_month(counts: PairCounts) -> float | None:
    if counts.first is None or counts.last is None:
        return None
    days = min((counts.last - counts.first).total_seconds() / 86_400, float(RATE_DAYS))
    return counts.recent / days * _DAYS_A_MONTH if days >= _LEAST_DAYS else None


def _months(months: float) -> str:
    if months < 1:
        return f"{max(1, math.ceil(months * _DAYS_A_MONTH))} days"
    return f"{months:.1f} months"


def _advice(
    counts: PairCounts, settings: TwinSettings, missing: int, shared_account: bool | None
) -> list[str]:
    advice = []
    if shared_account:
        advice.append(
            "Choose another subject (subject.speaker or subject.rank): a model trained on a shared "
            "account learns a mixture of voices."
        )
    if not missing:
        return advice
    kinds = {source.kind for source in settings.sources}
    if "file" not in kinds:
        advice.append(
            "Import exports of the subject's other chats: `twin import FILE` takes .jsonl and .csv."
        )
    if "table" not in kinds:
        advice.append(
            'Name a database that goes on growing as a source of kind "table" in twin.toml.'
        )
    short = counts.excluded.get(too_few_words(settings.pairs), 0)
    if short and settings.pairs.min_reply_words > 1:
        advice.append(
            f"pairs.min_reply_words = 1 would add at most {short:,} replies, too short now."
        )
    long = counts.excluded.get(too_long(settings.pairs), 0)
    if long:
        advice.append(
            f"A higher pairs.max_reply_chars would add at most {long:,} replies, too long now."
        )
    if settings.subject.speaker == "" and kinds == {"chitchat"}:
        advice.append("subject.rank = 1 has more pairs, but is a shared account.")
    return advice
