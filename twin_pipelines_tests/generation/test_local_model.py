"""A local model's replies and likelihoods, against transformers' own slow way."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.generation import forward, local
from twin_pipelines.generation.local import (
    choose_dtype,
    generate_replies,
    load_model,
    score_choices,
    score_replies,
)
from twin_pipelines.generation.prompt import chat_messages, render, reply_tokens
from twin_pipelines.settings import TwinError

SYSTEM = "reply as mali would in this chat"
SAID = [
    "hello how are you doing today",
    "haha",
    "i went to the sea with my sister and it rained all day so we stayed inside playing cards",
    "coffee tomorrow morning",
    "what about your week",
]
CONVERSATIONS = [
    chat_messages(SYSTEM, [{"role": "assistant", "content": "good evening"}] * (number % 2), text)
    for number, text in enumerate(SAID)
]
REPLIES = [
    "good",
    "tell me more please",
    "haha that sounds lovely",
    "tired",
    "happy and hungry too",
]


def slow_score(model: Any, tokenizer: Any, messages: list[dict[str, str]], reply: str) -> float:
    prompt, answer = render(tokenizer, messages, 1_000), reply_tokens(tokenizer, reply)
    with torch.inference_mode():
        chances = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    return sum(float(chances[len(prompt) - 1 + place, id]) for place, id in enumerate(answer))


def test_greedy_replies_are_those_of_transformers_one_by_one(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    batched = generate_replies(
        model, tokenizer, CONVERSATIONS, temperature=0, max_new_tokens=12, batch_size=2
    )
    for messages, reply in zip(CONVERSATIONS, batched, strict=True):
        ids = torch.tensor([render(tokenizer, messages, 1_000)])
        alone = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12
        )
        expected = tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
        assert reply == expected.strip()


def test_a_seed_gives_the_same_replies_whatever_shares_the_batch(tiny: tuple[Any, Any]) -> None:
    def replies(seed: int, batch_size: int) -> list[str]:
        return generate_replies(
            *tiny, CONVERSATIONS, seed=seed, batch_size=batch_size, max_new_tokens=10
        )

    assert replies(3, 5) == replies(3, 5) == replies(3, 2) == replies(3, 1)
    assert replies(3, 5) != replies(4, 5)
    assert len(set(replies(3, 5))) == len(CONVERSATIONS)


def test_one_conversation_more_does_not_change_the_others(tiny: tuple[Any, Any]) -> None:
    some = generate_replies(*tiny, CONVERSATIONS[:3], seed=1, max_new_tokens=6)
    assert generate_replies(*tiny, CONVERSATIONS, seed=1, max_new_tokens=6)[:3] == some


def test_a_reply_ends_at_the_end_of_turn(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    replies = generate_replies(
        model, tokenizer, CONVERSATIONS * 8, temperature=1.5, top_p=1.0, max_new_tokens=300
    )
    lengths = [len(tokenizer(reply)["input_ids"]) for reply in replies]
    assert min(lengths) < 250  # one token in 512 ends a turn, so 300 draws nearly always hit it
    assert not any("<|" in reply for reply in replies)


def test_a_nucleus_keeps_the_likeliest_tokens_that_reach_top_p() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log().repeat(1_000, 1)
    draws = torch.arange(1_000) / 1_000
    chosen = local._choose(logits, draws, temperature=1.0, top_p=0.6)
    assert set(chosen.tolist()) == {0, 1}
    assert abs((chosen == 0).float().mean() - 0.5 / 0.8) < 0.01
    cold = local._choose(logits, draws, temperature=0.1, top_p=1.0)
    assert (cold == 0).float().mean() > 0.95


def test_a_nucleus_wider_than_the_first_search_is_still_exact() -> None:
    logits = torch.zeros((4_000, 2 * local.NUCLEUS_SEARCH))
    chosen = local._choose(logits, torch.rand(4_000), temperature=1.0, top_p=0.9)
    assert len(set(chosen.tolist())) > local.NUCLEUS_SEARCH


def test_a_wide_row_does_not_change_what_the_narrow_rows_beside_it_choose() -> None:
    size = 2 * local.NUCLEUS_SEARCH
    torch.manual_seed(0)
    narrow, wide = torch.randn((20, size)) * 6, torch.zeros((20, size))
    draws = torch.rand(40)
    together = local._choose(torch.cat([narrow, wide]), draws, temperature=1.0, top_p=0.9)
    alone = local._choose(narrow, draws[:20], temperature=1.0, top_p=0.9)
    assert together[:20].tolist() == alone.tolist()
    assert max(together[20:].tolist()) > local.NUCLEUS_SEARCH


def test_grouped_attention_scores_as_transformers_own_does(tiny: tuple[Any, Any]) -> None:
    from twin_pipelines.generation.attention import register

    model, tokenizer = tiny
    expected = score_replies(model, tokenizer, CONVERSATIONS, REPLIES)
    before = model.config._attn_implementation
    model.set_attn_implementation(register())
    try:
        scores = score_replies(model, tokenizer, CONVERSATIONS, REPLIES)
    finally:
        model.set_attn_implementation(before)
    for score, other in zip(scores, expected, strict=True):
        assert score.log_prob == pytest.approx(other.log_prob, abs=1e-3)


def test_loading_with_an_adapter_says_nothing(base: ResolvedModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model, tokenizer = load_model(base, dtype="float32")
    get_peft_model(model, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load_model(base, tmp_path, dtype="float32")
    assert not [one for one in said if "is_gradient_checkpointing" in str(one.message)]


def test_scores_are_the_sum_over_the_replys_tokens_and_its_end(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    scores = score_replies(model, tokenizer, CONVERSATIONS, REPLIES)
    for messages, reply, score in zip(CONVERSATIONS, REPLIES, scores, strict=True):
        assert score.log_prob == pytest.approx(
            slow_score(model, tokenizer, messages, reply), abs=1e-3
        )
        assert score.tokens == len(reply_tokens(tokenizer, reply))


@pytest.mark.parametrize("pack", [1, 60, 5_000])
def test_candidates_are_scored_as_if_each_stood_alone(
    tiny: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, pack: int
) -> None:
    monkeypatch.setattr(forward, "PACK_TOKENS", pack)
    candidates = [REPLIES, REPLIES[:1], [], REPLIES[2:4], REPLIES[::-1]]
    done: list[tuple[int, int]] = []
    scores = score_choices(
        *tiny, CONVERSATIONS, candidates, progress=lambda *step: done.append(step)
    )
    assert [len(group) for group in scores] == [len(group) for group in candidates]
    for messages, group, found in zip(CONVERSATIONS, candidates, scores, strict=True):
        expected = [slow_score(*tiny, messages, reply) for reply in group]
        assert [score.log_prob for score in found] == pytest.approx(expected, abs=1e-3)
    assert done[-1] == (5, 5)


def test_prompts_that_share_nothing_or_everything_are_scored_too(tiny: tuple[Any, Any]) -> None:
    apart = [chat_messages("", [], "hello"), chat_messages("would", [], "hello")]
    same = [CONVERSATIONS[0], CONVERSATIONS[0]]
    for conversations in (apart, same, CONVERSATIONS[:1]):
        replies = ["good", "bad"][: len(conversations)]
        found = score_replies(*tiny, conversations, replies)
        expected = [
            slow_score(*tiny, messages, reply)
            for messages, reply in zip(conversations, replies, strict=True)
        ]
        assert [score.log_prob for score in found] == pytest.approx(expected, abs=1e-3)


def test_nothing_asked_is_nothing_answered(tiny: tuple[Any, Any]) -> None:
    assert generate_replies(*tiny, []) == []
    assert score_replies(*tiny, [], []) == []


def test_generation_reports_progress(tiny: tuple[Any, Any]) -> None:
    done: list[tuple[int, int]] = []
    generate_replies(
        *tiny,
        CONVERSATIONS,
        batch_size=2,
        max_new_tokens=1,
        progress=lambda *step: done.append(step),
    )
    assert done == [(2, 5), (4, 5), (5, 5)]


def test_an_adapter_is_merged_into_the_weights(base: ResolvedModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lora = LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), lora).eval()
    adapted.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base.path).save_pretrained(tmp_path)
    merged, tokenizer = load_model(base, tmp_path, dtype="float32")
    ids = torch.tensor([render(tokenizer, CONVERSATIONS[0], 1_000)])
    with torch.inference_mode():
        assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-4)


def test_bfloat16_is_chosen_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for native, expected in ((True, torch.bfloat16), (False, torch.float32)):
        for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, probe, lambda native=native: native, raising=False)
        assert choose_dtype() == expected
    assert choose_dtype("float32") == torch.float32


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match=r"No usable model in [^\n]*; resolve or train it again"):
        load_model(ResolvedModel("tiny", tmp_path, ""))
