"""One text is normalised exactly as a column of them is."""

from __future__ import annotations

import sys
import unicodedata

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_pipelines.foundation.similarity import normal, normal_text

ODD = (
    *("É", "ß", "İ", "Σ", "ΑΣ", "ﬁ", "①", "½", "Ａ", "ｶﾞ", "’", "`", "'s", "_", "ǅ"),
    *("กำ", "น้ำ", "\u0e4d\u0e32", "\u0ecd\u0eb2", "😀", "👍🏽", "❤\ufe0f", "e\u0301"),
    *("\u200b", "\u00a0", "\u2028", "\t", "\U0001faea"),
)


def in_a_frame(texts: list[str]) -> list[str]:
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(normal_text(pl.col("text"))).to_series().to_list()


def test_every_character_is_taken_alike() -> None:
    texts = [
        f"{chr(code)} a{chr(code)}B"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Cs", "Co", "Cn")
    ]
    assert [normal.__wrapped__(text) for text in texts] == in_a_frame(texts)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=12).map("".join), max_size=8
    )
)
def test_texts_are_taken_alike(texts: list[str]) -> None:
    assert [normal(text) for text in texts] == in_a_frame(texts)
