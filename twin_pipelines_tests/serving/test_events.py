"""An event is one line for every client, whatever was said."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.serving.wire import event


@given(st.text(st.characters(codec="utf-8")))
def test_whatever_was_said_stays_on_one_line_and_is_read_as_it_was_said(text: str) -> None:
    told = event({"content": text})
    (line,) = told.strip("\n").splitlines()
    assert json.loads(line.removeprefix("data: ")) == {"content": text}


def test_line_ends_that_only_some_clients_know_do_not_end_an_event() -> None:
    assert len(event({"content": "a\x85b\u2028c\u2029d"}).splitlines()) == 2
