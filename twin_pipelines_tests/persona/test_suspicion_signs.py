"""A text is passed by quickly only where no pattern could find anything in it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin_pipelines.persona.statements.suspicion import _PATTERNS


@pytest.mark.parametrize("number", range(len(_PATTERNS)))
def test_whatever_a_pattern_finds_holds_one_of_its_signs(number: int) -> None:
    _, signs, pattern = _PATTERNS[number]

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern))
    def found(text: str) -> None:
        assert any(sign in match[0] for match in [pattern.search(text)] if match for sign in signs)

    found()
