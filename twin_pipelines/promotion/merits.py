"""Conditions on how good the twin is: likelihood, style, context, person, personality, answers."""

from __future__ import annotations

from collections.abc import Sequence

from twin_pipelines.promotion.verdict import Case, Figure, Finding

Findings = Sequence[Finding]


def better_than_base(case: Case) -> Findings:
    """Unseen replies are likelier than under the base, beyond noise."""
    limit = case.gate.max_perplexity_ratio
    ratio, bounds = (case.at("reply_perplexity", key) for key in ("ratio", "ratio_ci95"))
    if ratio is None or not bounds or None in bounds:
        return [Finding(False, "the perplexity ratio was not measured", None, limit)]
    words = f"perplexity of the unseen replies is {Figure(ratio, *bounds)} of the base's"
    if bounds[1] < limit:
        return [Finding(True, f"{words}, surely below {limit:.2f}", bounds[1], limit)]
    return [Finding(False, f"{words}, not surely below {limit:.2f}", bounds[1], limit)]


def not_worse_than_champion(case: Case) -> Findings:
    """Paired on the same frozen set, the twin loses neither likelihood nor style nor realism."""
    if not case.contested:
        return [Finding(None, "there is no other champion to compare with")]
    return [
        _likelihood_held(case),
        case.no_worse("style consistency", "style_consistency", case.gate.style_margin),
        case.no_worse("style realism", "style_realism", case.gate.realism_margin),
    ]


def style_is_the_subjects(case: Case) -> Findings:
    """Style consistency reaches its minimum and is above base and prompted base beyond noise."""
    limit = case.gate.min_style_consistency
    style = case.figure("style_consistency")
    if style is None:
        why = case.at("style_consistency", "note") or "no figure"
        return [Finding(False, f"style consistency was not measured ({why})", None, limit)]
    words = f"style consistency is {style}"
    if style.value < limit:
        return [Finding(False, f"{words}, below {limit:.2f}", style.value, limit)]
    for other, who in (("above_base", "the untuned base"), ("above_prompted", "the prompted base")):
        difference = case.figure("style_consistency", other)
        if difference is None or not difference.surely_above(0):
            return [Finding(False, f"{words}, not surely above {who}", style.value, limit)]
    return [Finding(True, f"{words}, above base and prompted base", style.value, limit)]


def answers_the_context(case: Case) -> Findings:
    """The twin learnt to answer what was said, and not only a manner: it surely picks more real
    replies than its base, and a reply is likelier after its own context than after another."""
    return [_picks_beyond_its_base(case), _context_matters(case)]


def person_is_the_subject(case: Case) -> Findings:
    """This person was learnt and no other: real replies are likelier than under another person's
    adapter, and the style is above another person's and unseen people's."""
    return [_gain_over_another(case), _style_over_another(case), _style_over_strangers(case)]


def personality_holds(case: Case) -> Findings:
    """Traits, preferences, facts and manner are above their controls, and no less the subject's
    than the champion's."""
    score = case.figure("personality")
    limit = case.gate.min_personality
    if score is None:
        return [case.missing("the personality score", "personality")]
    words = f"the personality score is {score}"
    found = [
        Finding(True, f"{words}, above its controls", score.value, limit)
        if score.value > limit and score.surely_above(0)
        else Finding(False, f"{words}, not surely above its controls", score.value, limit)
    ]
    found += [
        Finding(None, f"{part}: the history lacks the material: not judged")
        for part, node in (case.at("personality", "parts") or {}).items()
        if not node or node.get("value") is None
    ]
    margin = case.gate.personality_margin
    return [*found, case.no_worse("the personality score", "personality", margin)]


def grounded_answers_hold(case: Case) -> Findings:
    """Questions whose answers the history holds are answered no worse than by the base without it,
    and no worse than by the champion."""
    what, margin = "grounded answers", case.gate.grounded_margin
    answers = case.figure("grounded_answers")
    if answers is None:
        return [case.missing(what, "grounded_answers")]
    control = case.at("grounded_answers", "control") or 0.0
    limit = control - margin
    words = f"{what} reach {answers}, the base without the history {control:.2f}"
    if answers.value < limit and answers.surely_below(control):
        found = Finding(False, f"{words}: worse than not knowing", answers.value, limit)
    else:
        found = Finding(True, words, answers.value, limit)
    return [found, case.no_worse(what, "grounded_answers", margin)]


def _likelihood_held(case: Case) -> Finding:
    limit = case.gate.champion_margin
    node = case.at("reply_perplexity", "champion_delta")
    delta = case.figure("reply_perplexity", "champion_delta")
    if delta is None or delta.low is None:
        missing = "was not measured on this frozen set" if node is None else "has no interval"
        return Finding(False, f"likelihood against the champion {missing}", None, limit)
    words = (
        f"{abs(delta.value):.3f} nats per token {'worse' if delta.value > 0 else 'better'} "
        f"than the champion on the same replies ({delta.low:+.3f} to {delta.high:+.3f})"
    )
    if delta.surely_above(0) and delta.value > limit:
        return Finding(False, f"surely {words}", delta.value, limit)
    return Finding(True, words, delta.value, limit)


def _picks_beyond_its_base(case: Case) -> Finding:
    what, limit = "picking the real reply of 20, beyond the base", case.gate.min_picked_gain
    beyond = case.figure("context", "hits20_beyond_base")
    if beyond is None:
        return case.unmeasured(what)
    if beyond.surely_above(limit):
        return Finding(True, f"{what}: {beyond}, surely above {limit:g}", beyond.low, limit)
    return Finding(False, f"{what}: {beyond}, not surely above {limit:g}", beyond.low, limit)


def _context_matters(case: Case) -> Finding:
    what, limit = "likelihood lost when contexts are shuffled", case.gate.min_shuffled_gap
    gap = case.figure("context", "shuffled_gap")
    if gap is None:
        return case.unmeasured(what)
    if gap.surely_above(limit):
        return Finding(True, f"{what}: {gap} nats per token", gap.low, limit)
    return Finding(
        False, f"{what}: {gap} nats per token, not surely above {limit:g}", gap.low, limit
    )


def _gain_over_another(case: Case) -> Finding:
    what = "gain over another person's adapter"
    gain = case.figure("person_specific_gain")
    if gain is None:
        why = case.at("person_specific_gain", "note")
        return case.unmeasured(f"{what} ({why})" if why else what)
    if gain.surely_above(0):
        return Finding(True, f"{what}: {gain} nats per token", gain.low, 0.0)
    return Finding(False, f"{what}: {gain} nats per token, not surely above 0", gain.low, 0.0)


def _style_over_another(case: Case) -> Finding:
    what = "style beside another person's adapter"
    own = case.figure("style_consistency")
    other = case.figure("style_consistency", "another_person")
    if own is None or other is None:
        return case.unmeasured(what)
    words = f"{what}: {own} against {other}"
    if own.surely_above(other.value):
        return Finding(True, words, own.low, other.value)
    return Finding(False, f"{words}, not surely above", own.low, other.value)


def _style_over_strangers(case: Case) -> Finding:
    """Style consistency is 0 where strangers or the base are: docs/figures.md."""
    own = case.figure("style_consistency")
    if own is None:
        return Finding(False, "style beside unseen people was not measured", None, 0.0)
    words = f"style consistency {own} against 0 for unseen people"
    if own.surely_above(0):
        return Finding(True, words, own.low, 0.0)
    return Finding(False, f"{words}, not surely above", own.low, 0.0)
