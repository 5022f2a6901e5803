"""Who failed several times in a row is left alone, tried once, and trusted when it answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.serving.backends.breaker import (
    FAILURES,
    LONGEST_REST,
    REST_SECONDS,
    Breaker,
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def opened() -> tuple[Breaker, Clock]:
    """A breaker that has just opened."""
    clock = Clock()
    breaker = Breaker(clock)
    for number in range(FAILURES):
        assert breaker.allows()
        breaker.failed(f"reason {number}")
    return breaker, clock


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed("no")
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed("no")
    assert breaker.allows(), "a success in between makes them no row"
    breaker.failed("the last straw")
    assert not breaker.allows()
    assert (breaker.state, breaker.why) == ("open", "the last straw")


def test_one_probe_at_a_time_decides_once_the_rest_is_over() -> None:
    breaker, clock = opened()
    clock.now = REST_SECONDS
    assert breaker.state == "half-open"
    assert breaker.allows()
    assert not breaker.allows(), "the probe is still under way"
    breaker.succeeded()
    assert breaker.state == "closed"
    assert breaker.allows() and breaker.allows()


def test_a_failed_probe_doubles_the_rest_up_to_a_limit() -> None:
    breaker, clock = opened()
    rest = REST_SECONDS
    for _ in range(8):
        clock.now += rest
        assert breaker.allows()
        breaker.failed("still no")
        rest = min(2 * rest, LONGEST_REST)
        clock.now += rest - 1
        assert not breaker.allows()
        clock.now += 1
        assert breaker.state == "half-open"
    assert rest == LONGEST_REST


def test_a_probe_whose_client_left_says_nothing() -> None:
    breaker, clock = opened()
    clock.now = REST_SECONDS
    assert breaker.allows()
    breaker.let_go()
    assert breaker.state == "half-open"
    assert breaker.allows(), "the next one may try"


@given(st.lists(st.sampled_from(["ask", "fail", "succeed", "let_go", "wait"]), max_size=60))
def test_it_never_stays_open_for_ever_whatever_happens(events: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(clock)
    allowed = 0
    for event in events:
        if event == "ask":
            allowed += breaker.allows()
        elif event == "wait":
            clock.now += REST_SECONDS / 2
        elif allowed:
            allowed -= 1
            if event == "fail":
                breaker.failed("no")
            elif event == "succeed":
                breaker.succeeded()
            else:
                breaker.let_go()
    breaker.let_go()
    clock.now += LONGEST_REST
    assert breaker.allows()
