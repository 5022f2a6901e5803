"""Where the twin stands, for a terminal: what `twin status` and `twin demo` print."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from twin_pipelines.commands.promote import standing_lines
from twin_pipelines.commands.status import Status
from twin_pipelines.sources.capture.looking import skewed

_SHOWN_LETTERS = 5  # rows set aside that a terminal shows


def scoreboard(status: Status) -> RenderableType:
    """The status for people."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in _lines(status):
        table.add_row(name, value)
    gate = status["gate"]
    parts: list[RenderableType] = [table]
    if gate["passed"] is not None:
        colour = "green" if gate["passed"] else "red"
        parts.append(Text(f"Gate: {gate['words']}", style=colour))
    parts += [Text(line, style="yellow") for line in standing_lines(status)]
    parts += [
        Text(f"Check {name} failed: {words or 'see the web UI'}", style="yellow")
        for name, words in status["checks"]["failing"].items()
    ]
    return Group(*parts)


def _lines(status: Status) -> Iterable[tuple[str, str]]:
    messages, metrics = status["messages"], status["metrics"]
    subject, dataset = status["subject"], status["dataset"]
    yield "subject", f"{subject['name'] or '–'} ({subject['chosen_by'] or 'nobody chosen yet'})"
    yield (
        "messages",
        f"{messages['raw']:,} raw, {messages['cleaned']:,} turns in {messages['sessions']:,} "
        f"sessions, {_percent(messages['embedded_fraction'])} embedded",
    )
    if messages["dropped"]:
        dropped = ", ".join(f"{rows:,} {why}" for why, rows in messages["dropped"].items())
        yield "dropped", dropped
    if messages["one_speaker_conversations"]:
        count = messages["one_speaker_conversations"]
        yield "monologues", f"{count:,} conversations have one speaker and give no pairs"
    yield from _followed_lines(status)
    for name, reason in list(status["drop_folder"]["set_aside"].items())[:_SHOWN_LETTERS]:
        yield "drop folder", f"{name} was not imported: {reason}"
    for channel in status["untold"]:
        waiting = f"{channel['waiting']} not told by {channel['channel']}"
        yield "alerts", f"{waiting}: {channel['problem']}"
    yield from _erased_lines(status["erasures"])
    imports = status["imports"]
    if imports["rejected"] or imports["repaired"]:
        yield "import", f"{imports['rejected']:,} rows rejected, {imports['repaired']:,} repaired"
        for problem in imports["problems"]:
            yield "", f"{problem['rows']:,} {problem['action']}: {problem['reason']}"
    yield "pairs", status["instruct_pairs"]["words"]
    yield from _dataset_lines(dataset)
    yield from _figure_lines(metrics)
    if status["blind"]:
        picked = status["blind"]["picked"]
        shares = ", ".join(f"{who} {_figure(share['value'])}" for who, share in picked.items())
        yield "blind test", f"picked as real of {status['blind']['n']}: {shares}"
    yield from _champion_lines(status["champion"])
    if status["memories"]:
        recalled = status["memories"].get("active", {})
        kinds = ", ".join(f"{count:,} {kind.replace('_', '-')}" for kind, count in recalled.items())
        others = {one: sum(n.values()) for one, n in status["memories"].items() if one != "active"}
        aside = "".join(f"; {count:,} {state}" for state, count in others.items())
        yield "memories", f"{kinds or 'none active'}{aside}"
    yield "core memories", str(status["core_memories"])
    page = status["core_identity"]
    if page["version"]:
        edited = ", edited by you" if page["edited"] else ""
        yield "persona page", f"version {page['version']}, {page['tokens']} tokens{edited}"
    yield "checks", f"{status['checks']['passed']} passed, {status['checks']['failed']} failed"


def _dataset_lines(dataset: Status) -> Iterable[tuple[str, str]]:
    if dataset["version"]:
        yield (
            "dataset",
            f"{dataset['version']}: {dataset['train']:,} train, {dataset['validation']:,} "
            f"validation, {dataset['test']:,} test",
        )
    if dataset["stale"]:
        yield "", f"stale: {dataset['stale']}"


def _champion_lines(champion: Status) -> Iterable[tuple[str, str]]:
    if champion["version"]:
        yield "champion", f"version {champion['version']} on {champion['base_model']}"
    if champion["stale"]:
        yield "", f"stale: {champion['stale']} `twin train` makes another one"
    if champion["blocked"]:
        yield "", f"answers nobody: {champion['blocked']}"


def _followed_lines(status: Status) -> Iterable[tuple[str, str]]:
    for feed in status["feeds"]:
        days = f"{feed['touched_days']} days wait to be derived"
        if feed["stopped_at"]:
            yield "followed", f"{feed['location']}: until {feed['stopped_at']:%-d %b %Y}; {days}"
            continue
        skew = skewed(feed["clock_ahead"])
        state = "; ".join(part for part in (feed["problem"] or days, skew) if part)
        yield "followed", f"{feed['location']}: {feed['lag_bytes']:,} bytes behind; {state}"
    waiting = status["set_aside"]
    if waiting:
        yield "set aside", f"{len(waiting):,} rows; mend them there, or run `twin replay`"
    for letter in waiting[:_SHOWN_LETTERS]:
        yield "", f"{letter['source']} {letter['key'][:8]}: {letter['reason']}"
    for sync in status["syncs"]:
        lost = sum(sync["conflicts"].values())
        differing = sum(sync["differing"].values())
        state = " ".join(sync["problems"]) or f"{differing:,} rows differ, {lost:,} conflicts"
        yield "synced", f"{sync['local']} and {sync['remote']}: {state}"


def _erased_lines(erasures: list[Status]) -> Iterable[tuple[str, str]]:
    if erasures:
        rows = sum(one["messages"] for one in erasures)
        kept = sum(one["kept_out"] for one in erasures)
        yield (
            "forgotten",
            f"{rows:,} messages in {len(erasures):,} erasures; {kept:,} that came again were kept "
            "out",
        )
    for one in erasures:
        if one["stage"] != "done":
            found = "some of it was found afterwards" if one["verified"] is False else "broken off"
            yield (
                "",
                f"erasure {one['erasure_id'][:8]}: {found}; go on with `twin forget --resume`",
            )


def _figure_lines(metrics: Status) -> Iterable[tuple[str, str]]:
    perplexity = metrics["reply_perplexity"]
    if perplexity["ratio"] is not None:
        yield (
            "perplexity",
            f"{perplexity['base']:.1f} base → {perplexity['twin']:.1f} twin, ratio "
            f"{perplexity['ratio']:.2f} {_interval(perplexity['ratio_ci95'])} on unseen replies",
        )
    if metrics["style_consistency"] is not None:
        yield (
            "style consistency",
            f"{metrics['style_consistency']:.2f} {_interval(metrics['style_consistency_ci95'])}; "
            f"base {_figure(metrics['style_consistency_base'])}, "
            f"prompted base {_figure(metrics['style_consistency_prompted'])}",
        )
    if metrics["style_realism"] is not None:
        yield (
            "style realism",
            f"{metrics['style_realism']:.2f} {_interval(metrics['style_realism_ci95'])}; a judge "
            f"tells single replies apart with AUC {_figure(metrics['judge_auc_per_reply'])}",
        )
    if metrics["person_specific_gain"] is not None:
        yield (
            "person-specific gain",
            f"{metrics['person_specific_gain']:.2f} nats a token "
            f"{_interval(metrics['person_specific_gain_ci95'])} over another person's twin",
        )
    if metrics["personality_score"] is not None:
        parts = ", ".join(
            f"{part} {_figure(value)}" for part, value in metrics["personality_parts"].items()
        )
        yield (
            "personality",
            f"{metrics['personality_score']:.2f} {_interval(metrics['personality_score_ci95'])}: "
            f"{parts}",
        )
    if metrics["retrieval_evidence_recall_at_10"] is not None:
        took = metrics["memory_retrieval_ms"]
        yield (
            "recall",
            f"{_percent(metrics['retrieval_evidence_recall_at_10'])} of "
            f"{metrics['retrieval_questions']} turns asked about among the first 10 "
            f"{_interval(metrics['retrieval_evidence_recall_at_10_ci95'])}, "
            f"{_percent(metrics['retrieval_evidence_in_context'])} in 2,000 tokens; "
            f"{took['p50']:.0f} ms, p95 {took['p95']:.0f} ms",
        )
    pick = metrics["pick_real_reply_hits1_of_20"]
    if pick["twin"] is not None:
        yield "picks the real reply", f"{pick['twin']:.2f} of 20; base {_figure(pick['base'])}"
    if metrics["memorisation_rate"] is not None:
        rate = _percent(metrics["memorisation_rate"])
        yield "memorisation", f"{rate} of the replies share 8 tokens, beyond the human rate"


def _interval(bounds: list[float] | None) -> str:
    return f"[{bounds[0]:.2f}–{bounds[1]:.2f}]" if bounds else ""


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
