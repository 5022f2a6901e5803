"""The owner judges blind: the page must give nothing away, and the figures must be right."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from twin_pipelines.foundation.database import connect
from twin_pipelines.serving import store
from twin_pipelines.serving.blind import Item, blind_figures, blind_report, read_items
from twin_pipelines.serving.blind_page import Trial, create_page
from twin_pipelines.serving.store import BlindChoice, Chosen
from twin_pipelines.settings import Evaluation, TwinError

TOKEN = "once"
ORDER = ("real", "twin", "base")
FORM = {"content-type": "application/x-www-form-urlencoded"}


def pair(number: int) -> str:
    return str(UUID(int=number + 1))


def row(number: int, **change: Any) -> dict[str, Any]:
    return {
        "pair_id": pair(number),
        "session_id": "s",
        "context": [{"role": "user", "content": f"question {number}?"}],
        "real": f"alpha {number}",
        "twin": f"beta {number}",
        "base": f"gamma {number}",
        "prompted": "never shown",
    } | change


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: dict[str, Any]) -> Path:
        (tmp_path / "replies.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        return tmp_path

    return write


@pytest.fixture
def evaluated(connection: psycopg.Connection) -> psycopg.Connection:
    """A database whose current evaluation is `e`, of the adapter `a`."""
    connection.execute(
        """
        insert into datasets (version, subject, settings, train, validation, test, purged,
                              train_until, test_from, path)
        values ('d', 'mali', '{}', 1, 1, 1, '{}', now(), now(), 'd');
        insert into adapters (adapter_id, dataset_version, base_model, base_hash, config,
                              code_version, path, metrics, mlflow_run_id)
        values ('a', 'd', 'b', '', '{}', '1', 'a', '{}', 'run');
        insert into evaluations (evaluation_id, adapter_id, metrics, path)
        values ('e', 'a', '{}', 'e')
        """
    )
    connection.commit()
    return connection


class Browser:
    """A browser with its cookies, on the page of one trial."""

    def __init__(self, url: str, items: list[Item]) -> None:
        trial = Trial("e", "a", items)
        self._app = create_page(trial, partial(connect, url), TOKEN, Evaluation(bootstrap=100))
        self._cookies = httpx.Cookies()

    def open(self, path: str = f"/?token={TOKEN}", form: str | None = None) -> httpx.Response:
        async def run() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app),
                base_url="http://127.0.0.1",
                cookies=self._cookies,
                follow_redirects=True,
            ) as client:
                if form is None:
                    answer = await client.get(path)
                else:
                    answer = await client.post(path, content=form, headers=FORM)
                self._cookies = client.cookies
                return answer

        return asyncio.run(run())


def shown_pair(page: str) -> str:
    found = re.search(r'name="item" value="([^"]+)"', page)
    assert found
    return found[1]


def shown_replies(page: str) -> list[str]:
    return re.findall(r'<kbd>[123]</kbd><span dir="auto">(.*?)</span>', page)


def test_orders_differ_between_items_and_are_the_same_at_every_visit(
    folder: Callable[..., Path],
) -> None:
    where = folder(*(row(number) for number in range(60)))
    items = read_items(where, "e")
    assert items == read_items(where, "e")
    assert [item.pair_id for item in items] != [item.pair_id for item in read_items(where, "f")]
    firsts = Counter(item.shown[0] for item in items)
    assert set(firsts) == set(ORDER) and min(firsts.values()) > 8


def test_contexts_where_two_said_the_same_are_left_out(folder: Callable[..., Path]) -> None:
    items = read_items(folder(row(0, twin="Alpha  0"), row(1), row(2, base="beta 2")), "e")
    assert [item.pair_id for item in items] == [pair(1)]
    with pytest.raises(TwinError, match=r"no replies in .*replies.jsonl"):
        read_items(Path("/nowhere"), "e")


def test_the_page_gives_nothing_away_and_the_choice_is_kept(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path]
) -> None:
    items = read_items(folder(*(row(number) for number in range(3))), "e")
    browser = Browser(database_url, items)
    page = browser.open().text
    assert not re.search(
        r"\b(real|twin|base|prompted)\b", page.split("<h1>")[1].split("<details")[0]
    )
    item = next(one for one in items if one.pair_id == shown_pair(page))
    assert shown_replies(page) == [item.texts[source] for source in item.shown]
    assert "0 of 3 judged" in page

    after = browser.open("/choice", f"item={item.pair_id}&place=2&correction=").text
    assert "1 of 3 judged" in after
    assert shown_pair(after) != item.pair_id
    (choice,) = store.choices(evaluated, "e")
    assert (choice.pair_id, choice.shown) == (item.pair_id, item.shown)
    assert choice.chosen == item.shown[1]
    assert 0 < choice.seconds < 60

    browser.open("/choice", f"item={item.pair_id}&place=1")  # a second tab: the first one counts
    assert [one.chosen for one in store.choices(evaluated, "e")] == [item.shown[1]]
    evaluated.commit()
    assert shown_pair(browser.open("/undo", "").text) == item.pair_id
    assert store.choices(evaluated, "e") == []


def test_after_the_last_choice_the_figures_are_shown(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path]
) -> None:
    items = read_items(folder(row(0), row(1)), "e")
    browser = Browser(database_url, items)
    page = browser.open().text
    assert "Nothing was judged yet" in browser.open("/figures").text
    browser.open("/choice", f"item={shown_pair(page)}&place=0")
    item = next(one for one in items if one.pair_id == shown_pair(browser.open("/").text))
    place = item.shown.index("real") + 1
    last = browser.open("/choice", f"item={item.pair_id}&place={place}").text
    assert "2 of 2 judged" in last and "100&nbsp;%" in last
    assert "1 of 2 times" in last
    report = blind_report(evaluated, Evaluation(bootstrap=100))
    assert report and report["picked"]["real"]["value"] == 1.0 and report["unsure"] == 1


def test_what_people_wrote_is_shown_and_never_run(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path]
) -> None:
    bad = "<script>alert(1)</script>\" onclick='x' {{ 7*7 }}"
    said = [{"role": "user", "content": bad}]
    browser = Browser(database_url, read_items(folder(row(0, real=bad, context=said)), "e"))
    response = browser.open()
    assert response.text.count("<script") == 1
    assert "onclick='x'" not in response.text
    assert "&lt;script&gt;alert(1)" in response.text and "{{ 7*7 }}" in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r'(src|href)="(?!/)', response.text)


def test_only_who_has_the_address_gets_in(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path]
) -> None:
    items = read_items(folder(row(0)), "e")
    stranger = Browser(database_url, items)
    for path, form in (
        ("/", None),
        ("/?token=wrong", None),
        ("/figures", None),
        ("/undo", ""),
        ("/choice", f"item={pair(0)}&place=1"),
    ):
        response = stranger.open(path, form)
        assert response.status_code == 403
        assert "alpha" not in response.text
    assert store.choices(evaluated, "e") == []


@pytest.mark.parametrize(
    "form",
    [
        "item=unknown&place=1",
        f"item={pair(0)}&place=4",
        f"item={pair(0)}",
        f"item={pair(0)}&place=1&correction={'x' * 5_000}",
        "x" * 70_000,
        "",
    ],
)
def test_a_form_that_fits_nothing_changes_nothing(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path], form: str
) -> None:
    browser = Browser(database_url, read_items(folder(row(0)), "e"))
    browser.open()
    assert browser.open("/choice", form).status_code == 400
    assert store.choices(evaluated, "e") == []


def test_what_the_owner_would_have_said_becomes_a_correction(
    evaluated: psycopg.Connection, database_url: str, folder: Callable[..., Path]
) -> None:
    browser = Browser(database_url, read_items(folder(row(0)), "e"))
    browser.open()
    browser.open("/choice", f"item={pair(0)}&place=0&correction=%E0%B8%84%E0%B9%88%E0%B8%B0+%26+ok")
    (kept,) = evaluated.execute(
        "select prompt, rejected, chosen, adapter_id, made_by from corrections"
    ).fetchall()
    prompt = [{"role": "user", "content": "question 0?"}]
    assert kept == (prompt, "beta 0", "ค่ะ & ok", "a", "blind page")


def made(**counts: int) -> list[BlindChoice]:
    names: list[Chosen] = [name for name, count in counts.items() for _ in range(count)]  # type: ignore[misc]
    return [BlindChoice(pair(at), ORDER, name, 4.0) for at, name in enumerate(names)]


def test_figures_are_shares_of_decided_choices_with_intervals() -> None:
    figures = blind_figures(made(real=30, twin=20, base=10, unsure=15), times=500, seed=1)
    assert figures["n"] == 75 and figures["unsure"] == 15
    assert {name: figures["picked"][name]["value"] for name in ORDER} == pytest.approx(
        {"real": 0.5, "twin": 1 / 3, "base": 1 / 6}
    )
    low, high = figures["picked"]["twin"]["ci95"]
    assert low < 1 / 3 < high
    assert figures["fooling"]["value"] == pytest.approx(0.8)  # 20 of 50, doubled
    assert figures["fooling"]["n"] == 50


def test_a_twin_nobody_can_tell_apart_reaches_one_and_one_that_is_always_seen_none() -> None:
    assert blind_figures(made(real=40, twin=40), times=100, seed=1)["fooling"]["value"] == 1.0
    assert blind_figures(made(real=40, base=9), times=100, seed=1)["fooling"]["value"] == 0.0


@pytest.mark.parametrize("counts", [{}, {"unsure": 3}, {"base": 3}])
def test_a_figure_without_choices_is_null(counts: dict[str, int]) -> None:
    figures = blind_figures(made(**counts), times=100, seed=1)
    assert figures["fooling"] == {"value": None, "ci95": None, "n": 0}


def test_without_an_evaluation_or_a_choice_there_is_no_report(
    connection: psycopg.Connection,
) -> None:
    assert blind_report(connection, Evaluation()) is None
