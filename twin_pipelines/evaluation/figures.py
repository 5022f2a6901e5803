"""From answers to figures: every part of metrics.json, as docs/figures.md explains them.

Replies are resampled as contexts, the same in every figure, so that systems and figures stay
paired; likelihoods are resampled by session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from twin_pipelines.evaluation.ablation import ablation
from twin_pipelines.evaluation.answers import ANOTHER, CHAMPION, Answers
from twin_pipelines.evaluation.background import Background
from twin_pipelines.evaluation.bootstrap import Floats, Indices, as_counts, draw_items, resamples
from twin_pipelines.evaluation.conduct.calibration import calibration
from twin_pipelines.evaluation.conduct.delivery import (
    fitting,
    latency_figures,
    same_template,
    template_figures,
)
from twin_pipelines.evaluation.conduct.diversity import diversity
from twin_pipelines.evaluation.conduct.fidelity import language_fidelity
from twin_pipelines.evaluation.conduct.safety import safety_figures
from twin_pipelines.evaluation.frame import frame, unmeasured
from twin_pipelines.evaluation.frozen import Exchange, FrozenSet
from twin_pipelines.evaluation.likelihood.context import (
    hits_beyond,
    person_specific_gain,
    shuffled_gap,
)
from twin_pipelines.evaluation.likelihood.perplexity import perplexity, perplexity_figures
from twin_pipelines.evaluation.likelihood.pick import pick_figures, pmi
from twin_pipelines.evaluation.memorisation import (
    TrainReplies,
    copied_beyond,
    copying,
    identifier_figures,
)
from twin_pipelines.evaluation.style import realism
from twin_pipelines.evaluation.style.consistency import Consistency, StyleTexts, style_consistency
from twin_pipelines.evaluation.systems import System
from twin_pipelines.settings import Evaluation


@dataclass(frozen=True)
class Figures:
    """Computes the parts of metrics.json from what was answered."""

    frozen: FrozenSet
    train: Sequence[Exchange]
    background: Background
    answers: Answers
    twin: System
    base: System
    settings: Evaluation

    @cached_property
    def items(self) -> Indices:
        """The contexts of each resample (times, generated)."""
        return draw_items(self.frozen.generated, self.settings.bootstrap, self.settings.seed)

    @cached_property
    def counts(self) -> Floats:
        """The same as counts."""
        return as_counts(self.items)

    @cached_property
    def session_counts(self) -> Floats:
        """Counts (times, exchanges) of resamples of whole sessions."""
        sessions = [exchange.session_id for exchange in self.frozen.exchanges]
        times, seed = self.settings.bootstrap, self.settings.seed
        return resamples(len(sessions), times, seed, groups=sessions)

    @cached_property
    def human(self) -> list[str]:
        """The real replies to the contexts that were answered."""
        return [exchange.reply for exchange in self.frozen.to_generate]

    def all(self) -> dict[str, Any]:
        """Every part, over the frame of what was not measured."""
        style, consistency, found = self._style()
        spoken = {"twin": self.answers.twin, "base": self.answers.base}
        times, seed = self.settings.bootstrap, self.settings.seed
        inputs = [exchange.input for exchange in self.frozen.to_generate]
        parts = {
            **frame(),
            **style,
            **self._likelihood(),
            "memorisation": self._memorisation(),
            "calibration": calibration(
                self.human, {**spoken, "prompted": self.answers.prompted}, seed
            ),
            "diversity": diversity({**spoken, "human": self.human}, self.items, self.counts, seed),
            "language": language_fidelity(
                inputs, {**spoken, "human": self.human}, times=times, seed=seed
            ),
            "safety": self._safety("base"),
            "latency": latency_figures(self.answers.beside.timings["twin"]),
            "template": self._template(),
        }
        parts["ablation"] = self._ablation(parts, consistency, found)
        if CHAMPION in self.answers.beside.more:
            parts["champion"] = self._champion(consistency, found)
        return parts

    def _style(self) -> tuple[dict[str, Any], Consistency | None, realism.Realism | None]:
        """Style parts; without values, and with the reason, where there is too little text."""
        seed = self.settings.seed
        texts = self._texts()
        try:
            consistency = style_consistency(
                texts,
                window_words=self.settings.window_words,
                times=self.settings.bootstrap,
                seed=seed,
            )
        except ValueError as error:
            nothing = {"value": None, "ci95": None, "n": len(texts.human), "note": str(error)}
            realistic = {**frame()["style_realism"], "note": str(error)}
            return {"style_consistency": nothing, "style_realism": realistic}, None, None
        style = {"style_consistency": {ANOTHER: unmeasured(), **consistency.figures}}
        try:
            found = realism.style_realism(texts, consistency, self.items, seed)
        except ValueError as error:
            realistic = {**frame()["style_realism"], "note": str(error)}
            return {**style, "style_realism": realistic}, consistency, None
        return {**style, "style_realism": found.figures}, consistency, found

    def _texts(self) -> StyleTexts:
        return StyleTexts(
            subject=[exchange.reply for exchange in self.train],
            people=self.background.people,
            ai=self.answers.ai,
            unseen=self.background.unseen,
            human=self.human,
            twin=self.answers.twin,
            base=self.answers.base,
            prompted=self.answers.prompted,
            more=self.answers.beside.more,
        )

    def _likelihood(self) -> dict[str, Any]:
        answers, counts = self.answers, self.session_counts
        base, twin, real = answers.base_likelihood, answers.twin_likelihood, answers.beside.real
        sums = {
            name: pmi(answers.candidates, system.given)
            for name, system in (("twin", twin), ("base", base))
        }
        pick = {name: pick_figures(scores, counts) for name, scores in sums.items()}
        return {
            "reply_perplexity": perplexity_figures(
                base.real, twin.real, counts, real.get(CHAMPION)
            ),
            "pick_real_reply": {**pick, "n": len(self.frozen.exchanges)},
            "person_specific_gain": person_specific_gain(twin.real, real.get(ANOTHER), counts),
            "context": {
                "hits20_beyond_base": hits_beyond(sums["twin"], sums["base"], counts),
                "shuffled_gap": shuffled_gap(answers.candidates, twin.given, counts),
            },
        }

    def _memorisation(self) -> dict[str, Any]:
        learnt = [exchange.reply for exchange in self.train]
        figures = copying(
            self._learnt,
            self._spoken(self.answers.twin),
            self._spoken(self.human),
            [exchange.input for exchange in self.frozen.to_generate],
            self.counts,
        )
        exposure = self.answers.twin_canaries
        if exposure and self.answers.base_canaries:
            exposure = {**exposure, "base_mean": self.answers.base_canaries["mean"]}
        return {
            **figures,
            "n": self.frozen.generated,
            "canary_exposure": exposure,
            "pii": identifier_figures(self.answers.twin, learnt),
        }

    @cached_property
    def _learnt(self) -> TrainReplies:
        replies = [exchange.reply for exchange in self.train]
        return TrainReplies(self._spoken(replies), [exchange.input for exchange in self.train])

    def _spoken(self, replies: Sequence[str]) -> list[tuple[int, ...]]:
        return [reply[:-1] for reply in self.twin.tokens(replies)]  # without the end of turn

    def _safety(self, other: str) -> dict[str, Any]:
        said = self.answers.beside.safety
        times, seed = self.settings.bootstrap, self.settings.seed
        return safety_figures(said["twin"], said[other], other=other, times=times, seed=seed)

    def _template(self) -> dict[str, Any]:
        prompts = [list(exchange.prompt) for exchange in self.frozen.to_generate]
        same = same_template(self.twin.tokenizer, self.base.tokenizer, prompts, self.human)
        real = fitting(self.base.tokenizer, self.human, self.settings.max_new_tokens)
        return template_figures(same, self.answers.written, self.counts, real)

    def _ablation(
        self,
        parts: Mapping[str, Any],
        consistency: Consistency | None,
        found: realism.Realism | None,
    ) -> list[dict[str, Any]]:
        scores = {
            "base": self.answers.base_likelihood.real,
            "twin": self.answers.twin_likelihood.real,
            **self.answers.beside.real,
        }
        pick = parts["pick_real_reply"]
        return ablation(
            {
                "style_consistency": consistency.values if consistency else {},
                "style_realism": found.values if found else {},
                "perplexity": {name: perplexity(one) for name, one in scores.items()},
                "hits1_of_20": {
                    name: pick[name]["hits1_of_20"]["value"] for name in ("base", "twin")
                },
            }
        )

    def _champion(
        self, consistency: Consistency | None, found: realism.Realism | None
    ) -> dict[str, Any]:
        """Twin minus champion, paired on the same frozen set; what both copy, of today's train."""
        beside, n = self.answers.beside, self.frozen.generated
        copied = copied_beyond(
            self._learnt,
            self._spoken(self.answers.twin),
            self._spoken(beside.more[CHAMPION]),
            self.counts,
        )
        style = consistency.delta("twin", CHAMPION) if consistency else unmeasured()
        real = realism.delta("twin", CHAMPION, found, n) if found else unmeasured()
        return {
            "style_consistency": {"delta": style},
            "style_realism": {"delta": real},
            "memorisation": {"delta": copied},
            "safety": {"delta": self._safety(CHAMPION)["difference"]},
            "latency": latency_figures(beside.timings[CHAMPION]),
        }
