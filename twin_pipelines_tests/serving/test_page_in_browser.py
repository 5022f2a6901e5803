"""The chat page in a real Chromium, before a twin that says what the test wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from chromium import Page, browser, installed
from scripted_twin import BREAD, MEMORIES, SEA, TOKEN, TURN, Scripted, running

pytestmark = pytest.mark.skipif(
    not installed(), reason="no Chromium is installed; on Debian: apt install chromium"
)
ANSWER = "We stayed inside, playing cards. It rained all day!"
ENDED = "document.querySelectorAll('.twin .meta').length === {}"


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Scripted, str]]:
    """A twin that is told what to say, and its address."""
    made = Scripted()
    with running(made.app()) as base:
        yield made, base


@pytest.fixture
def scripted(stage: tuple[Scripted, str]) -> Scripted:
    stage[0].begin_anew()
    return stage[0]


@pytest.fixture
def page(tab: Page, stage: tuple[Scripted, str], scripted: Scripted) -> Iterator[Page]:
    """The page as its owner opens it for the first time."""
    tab.size(1200, 800)
    tab.dark(False)
    tab.requests.clear()
    tab.errors.clear()
    tab.open(f"{stage[1]}/#token={TOKEN}")
    tab.wait("document.querySelector('#greeting').textContent.includes('Mali')")
    yield tab
    tab.value("sessionStorage.clear(), localStorage.clear()")


@pytest.fixture
def say(page: Page) -> Callable[[str], None]:
    """Writes something, sends it and waits for the whole answer."""

    def said(words: str) -> None:
        before = page.value("document.querySelectorAll('.twin').length")
        page.click("#say")
        page.write(words)
        page.press("Enter")
        page.wait(ENDED.format(before + 1))

    return said


def told(scripted: Scripted) -> dict[str, object]:
    """The last wish: the path and its body."""
    path, body = scripted.told[-1]
    return {"path": path, **body}


def test_an_answer_streams_and_shows_who_gave_it_and_what_was_remembered(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    scripted.seconds = 0.3
    page.click("#say")
    page.write("How was")
    page.press("Enter", shift=True)
    page.write("your week?")
    page.press("Enter")
    partly = page.wait("document.querySelector('.twin .words')?.textContent || ''")
    assert ANSWER.startswith(partly) and partly != ANSWER
    assert page.value("document.querySelector('.twin').getAttribute('aria-busy')") == "true"
    page.wait(ENDED.format(1))
    assert page.text(".twin .words") == ANSWER
    assert page.text(".you") == "How was\nyour week?"
    assert page.text(".meta .source") == page.text("#release") == "twin-v3-1f09ab2c"
    assert page.text("#spoken").endswith(ANSWER)  # heard once, when it is whole
    asked = scripted.asked[0]
    assert asked["messages"] == [{"role": "user", "content": "How was\nyour week?"}]
    assert asked["stream"] is True and asked["twin"]["memories"] is True
    shown = page.value("[...document.querySelectorAll('.memory')].map((one) => one.innerText)")
    assert "Recalled · 4 May 2018 – 9 Jun 2018" in shown[0]
    assert "We went to the sea, and it rained all day" in shown[0]
    assert "means the same (0.71); says sea, rained" in shown[0]
    assert shown[1].startswith("Said once") and "ฝนตก" in shown[1]
    assert page.text("#count") == "2"
    assert page.text("#always") == "Always known · 1"
    page.click("#always summary")
    assert "I bake rye bread on Sundays" in page.text("#always .memory")
    scripted.seconds = 0.0
    say("and then?")
    second = scripted.asked[1]
    assert second["messages"] == [{"role": "user", "content": "and then?"}]
    assert second["twin"]["chat"] == asked["twin"]["chat"]


def test_a_memory_is_pinned_corrected_and_forgotten_and_that_is_undone(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    page.click("#always summary")
    page.click("#always .pin")
    page.wait("document.querySelector('#always .unpin')")
    assert told(scripted) == {"path": f"memories/{BREAD}/pin"}
    page.click("#always .unpin")
    page.wait("document.querySelector('#always .pin')")
    page.click("#list .memory:nth-child(1) .forget")
    page.wait("document.querySelector('.memory.gone .undo')")
    assert told(scripted) == {"path": f"memories/{SEA}/forget"}
    say("and again?")  # what was decided holds for the next answer's panel too
    page.click(".memory.gone .undo")
    page.wait("!document.querySelector('.memory.gone')")
    assert told(scripted) == {"path": f"memories/{SEA}/remember"}
    page.click("#list .memory:nth-child(1) .correct")
    value = "document.activeElement.value"
    assert page.value(value) == "We went to the sea, and it rained all day"
    page.write(", in Hua Hin")
    page.click(".memory form .firm")
    page.wait("document.querySelector('#list .memory:nth-child(1) .unpin')")
    right = "We went to the sea, and it rained all day, in Hua Hin"
    assert told(scripted) == {"path": f"memories/{SEA}/correct", "text": right}
    assert page.text("#list .memory:nth-child(1) .words") == right
    page.click("#list .memory:nth-child(1) .forget")  # it is another memory now
    page.wait("document.querySelector('.memory.gone')")
    assert str(told(scripted)["path"]).startswith("memories/0b8e6d6c-0000-4000-8000-0000000000ff")
    assert not page.value("document.querySelector('#list .memory:nth-child(2) .pin')")
    page.click("#list .memory:nth-child(2) .forget")  # a turn, which is no memory
    page.wait("document.querySelectorAll('.memory.gone').length === 2")
    assert told(scripted) == {"path": f"messages/{TURN}/forget"}


def test_what_cannot_be_done_is_told_beside_it(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    scripted.refusal = (409, "Memory 0b8e6d6c is quarantined.")
    page.click("#list .pin")
    page.wait("document.querySelector('.memory .problem')")
    assert page.text(".memory .problem") == "Memory 0b8e6d6c is quarantined."
    page.click(".twin .good")
    page.wait("document.querySelector('.twin .problem')")
    assert page.value("document.querySelector('.twin .good').ariaPressed") == "false"


def test_an_answer_is_judged_and_corrected(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    chat = scripted.asked[0]["twin"]["chat"]
    for name, value in (("good", 1), ("bad", -1), ("bad", None)):
        page.click(f".twin .{name}")
        pressed = "true" if value else "false"
        page.wait(f"document.querySelector('.twin .{name}').ariaPressed === '{pressed}'")
        assert told(scripted) == {"path": "thumb", "chat": chat, "place": 1, "thumb": value}
    page.click(".twin .correct")
    page.write("It poured, so we played cards.")
    page.click(".twin form .firm")
    assert page.text(".instead .words") == "It poured, so we played cards."
    assert told(scripted) == {
        "path": "correct",
        "chat": chat,
        "place": 1,
        "text": "It poured, so we played cards.",
    }
    assert page.value("document.activeElement.className").endswith("correct")


@pytest.mark.parametrize("by", ["key", "button"])
def test_a_stopped_answer_ends_at_the_server_too(page: Page, scripted: Scripted, by: str) -> None:
    scripted.pieces = ["word "] * 500
    scripted.seconds = 0.05
    page.click("#say")
    page.write("hi")
    page.press("Enter")
    page.wait("document.querySelector('.twin .words')?.textContent.length > 10")
    page.press("Escape") if by == "key" else page.click("#stop")
    page.wait(ENDED.format(1))
    assert page.text(".meta .source") == "stopped"
    until = time.monotonic() + 10
    while not scripted.left and time.monotonic() < until:
        time.sleep(0.02)
    assert scripted.left == 1
    assert page.value("!document.querySelector('#send').hidden")


def test_who_stands_in_for_the_twin_is_seen(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    why = "The twin took longer than 60 s."
    scripted.twin = {"backend": "memories", "tried": [{"backend": "champion", "why": why}]}
    say("hi")
    assert page.text(".meta .source").startswith("Answered by its memories alone")
    assert page.text(".twin .problem") == why
    assert page.text("#about") == "This answer was made without memories."
    fell = {"from": "champion", "to": "ollama:twin", "why": "It broke off."}
    scripted.middle = {"backend": "ollama:twin", "fell_back": fell}
    scripted.twin = {"backend": "ollama:twin", "guarded": ["phone number"]}
    say("and now?")
    last = page.text("#turns > li:last-child")
    assert "Ollama went on from here (It broke off.)" in last
    assert "Answered by Ollama" in last and "Left out: phone number" in last


def test_what_was_not_answered_says_why_and_can_be_asked_again(
    page: Page, scripted: Scripted
) -> None:
    scripted.refusal = (503, "No release is in force yet.")
    page.click("#say")
    page.write("hello?")
    page.press("Enter")
    page.wait("document.querySelector('.twin .problem')")
    assert page.text(".twin .problem") == "No release is in force yet."
    scripted.refusal = None
    page.click("#turns .twin > .quiet")
    page.wait("document.querySelector('.twin .good')")
    assert page.value("document.querySelectorAll('#turns > li').length") == 2
    assert scripted.asked[-1]["messages"] == [{"role": "user", "content": "hello?"}]
    scripted.breaks = True
    page.click("#say")
    page.write("more")
    page.press("Enter")
    page.wait(ENDED.format(2))
    last = page.text("#turns > li:last-child")
    assert ANSWER in last and "The server is gone" in last


def test_a_chat_that_is_not_kept_is_sent_whole(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    scripted.twin = {"backend": "champion", "place": None, "problem": "The database is down."}
    say("hi")
    assert page.text(".twin .problem") == "The database is down."
    assert not page.value("document.querySelector('.twin .good')")
    say("and?")
    assert [turn["content"] for turn in scripted.asked[1]["messages"]] == ["hi", ANSWER, "and?"]


def test_without_the_token_nothing_is_shown_and_the_address_forgets_it(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    assert page.value("location.hash") == ""
    assert page.value("document.cookie + JSON.stringify(localStorage)").count(TOKEN) == 0
    assert not any(TOKEN in address for address in page.requests if "#" not in address)
    page.value("sessionStorage.clear()")
    page.value("location.reload()")
    page.wait("document.querySelector('#stranger')?.open")
    assert "owner" in page.text("#stranger-title")
    page.press("Escape")
    assert page.value("document.querySelector('#stranger').open")
    page.click("#token")
    page.write("wrong")
    page.press("Enter")
    page.wait("!document.querySelector('#denied').hidden")
    assert page.text("#denied") == "That is not the token."
    page.value("document.querySelector('#token').value = ''")
    page.click("#token")
    page.write(TOKEN)
    page.press("Enter")
    page.wait("!document.querySelector('#stranger').open")


def test_it_asks_nobody_else_for_anything_and_breaks_no_rule_of_its_own(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
    scripted.pieces = [hostile]
    scripted.twin["memories"] = [{**MEMORIES[0], "text": f"- {hostile}", "why": hostile}]
    say(hostile)
    for selector in (".you", ".twin .words", ".memory .words", ".memory .why"):
        assert page.text(selector) == hostile
    assert page.value("document.images.length + document.querySelectorAll('li script').length") == 0
    base = page.value("location.origin")
    assert all(address.startswith((base, "about:")) for address in page.requests)
    assert page.errors == []


def test_a_reload_goes_on_and_a_new_chat_begins_anew(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    chat = scripted.asked[0]["twin"]["chat"]
    turn = {"release": "twin-v3", "thumb": None}
    scripted.chats[chat] = {
        "consented": True,
        "turns": [
            {**turn, "place": 0, "role": "user", "content": "hi", "backend": ""},
            {**turn, "place": 1, "role": "assistant", "content": "hey!", "backend": "champion"}
            | {"thumb": 1},
        ],
    }
    page.value("location.reload()")
    page.wait("document.querySelector('.twin .words')?.textContent === 'hey!'")
    assert page.value("document.querySelector('.twin .good').ariaPressed") == "true"
    assert page.value("document.querySelector('#consent').checked") is True
    say("still there?")
    assert scripted.asked[-1]["twin"]["chat"] == chat
    page.click("#anew")
    assert page.value("document.querySelectorAll('#turns > li').length") == 0
    say("hello")
    assert scripted.asked[-1]["twin"]["chat"] != chat


def test_nothing_is_learnt_before_it_is_allowed(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    say("hi")
    assert scripted.asked[-1]["twin"]["consent"] is False
    page.click(".switch")
    page.wait("document.querySelector('#consent').checked")
    assert "history" in page.text("#kept")
    say("my dog is called Nop")
    assert told(scripted)["consented"] is True
    assert scripted.asked[-1]["twin"]["consent"] is True
    page.click("#anew")
    say("this is another chat")
    assert scripted.asked[-1]["twin"]["consent"] is False
    scripted.twin["may_learn"] = False
    say("still?")
    assert page.value("document.querySelector('#consent').disabled") is True
    assert "serving.chat_consent" in page.text("#kept")


def test_on_a_phone_everything_fits_and_the_panel_covers_the_chat(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    page.size(360, 740, touch=True)
    scripted.pieces = ["x" * 300, " ฝนตกทั้งวันเลยอยู่บ้านเล่นไพ่กับน้องสนุกดี" * 3]
    say("y" * 200)
    wide = """Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll(
        "body *:not(.unseen)")].map((one) => one.getBoundingClientRect().right))"""
    assert page.value(wide) <= 360
    assert not page.value("document.querySelector('#memories').open")
    page.click(".twin .recalled")
    page.wait("document.querySelector('#memories').matches(':modal')")
    assert page.value(wide) <= 360
    small = """[...document.querySelectorAll('#memories button')]
        .filter((one) => one.offsetHeight < 36).map((one) => one.innerText)"""
    assert page.value(small) == []
    page.click("#list .pin")
    page.wait("document.querySelector('#list .unpin')")
    page.press("Escape")
    page.wait("!document.querySelector('#memories').open")
    assert page.value("document.activeElement.className").endswith("recalled")


def test_keys_alone_reach_everything_and_all_of_it_has_a_name(
    page: Page, scripted: Scripted, say: Callable[[str], None]
) -> None:
    assert page.value("document.activeElement.id") == "say"
    say("hi")
    reached = []
    for _ in range(40):
        page.press("Tab")
        reached.append(page.value("document.activeElement.id || document.activeElement.className"))
    names = " ".join(reached)
    for wanted in ("anew", "open", "language", "recalled", "good", "bad", "correct", "consent"):
        assert wanted in names
    for wanted in ("pin", "forget", "close", "say"):
        assert wanted in names
    nodes = page.readable()
    acting = [(role, name) for role, name in nodes if role in ("button", "textbox", "switch")]
    assert len(acting) > 12 and all(name for _, name in acting)
    assert ("button", "Forget: We went to the sea, and it rained all day") in acting
    assert ("switch", "Learn from this chat") in acting
    assert ("textbox", "Say something") in acting
    assert ("region", "The chat") in nodes
    page.value("document.querySelector('.twin .good').focus()")
    page.press(" ")
    page.wait("document.querySelector('.twin .good').ariaPressed === 'true'")
    assert page.value("document.activeElement.className").endswith("good")


def test_the_page_speaks_thai(page: Page, scripted: Scripted, say: Callable[[str], None]) -> None:
    page.click("#language")
    assert page.value("document.documentElement.lang") == "th"
    scripted.pieces = ["อยู่บ้านเล่นไพ่", "กับน้อง"]
    say("ฝนตกเหรอ")
    assert page.text(".twin .words") == "อยู่บ้านเล่นไพ่กับน้อง"
    assert page.value("document.querySelector('.twin .words').lang") == "th"
    assert scripted.asked[0]["messages"][0]["content"] == "ฝนตกเหรอ"
    assert page.text(".twin .recalled") == "นึกได้ 2 เรื่อง"
    untold = """[...document.querySelectorAll('[data-words]')]
        .filter((one) => !one.textContent || one.textContent === 'undefined').length"""
    assert page.value(untold) == 0
    page.click("#language")
    assert page.text(".twin .recalled") == "2 recalled"
    page.click("#language")
    page.value("location.reload()")
    page.wait("document.documentElement.lang === 'th'")


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_in_the_light_and_in_the_dark(page: Page, dark: bool) -> None:
    page.dark(dark)
    ratios = page.value(
        """(() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const value = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
                const [r, g, b] = [value >> 16, value >> 8 & 255, value & 255].map((one) => {
                    const share = one / 255;
                    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const pairs = ["ink paper", "ink soft", "dim paper", "dim soft", "dim raised",
                "accent paper", "warn paper", "warn warn-soft", "on-accent accent"];
            return pairs.map((pair) => {
                const [one, two] = pair.split(" ").map((name) => light(`--${name}`)).sort();
                return [pair, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)];
            });
        })()"""
    )
    assert all(ratio >= 4.5 for _, ratio in ratios), ratios  # WCAG 2.2, AA
