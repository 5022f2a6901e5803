"""Reading the page, and finding what the owner changed of it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from twin_pipelines.persona.identity.page import (
    EDITED,
    GENERATED,
    HAND_WRITTEN,
    Line,
    Page,
    Section,
    edited_page,
    page_text,
    read_page,
)

SHOWN = Page(
    (
        Section(
            "facts",
            "About Sue, in their words",
            (
                Line("fact/home", "I live in Chiang Mai with my cat", message_ids=("m1",)),
                Line("fact/work", "ผมเป็นครูสอนภาษาอังกฤษครับ", message_ids=("m2",)),
            ),
        ),
        Section(
            "never", "Sue never says", (Line("never/lol", "lol"), Line("never/omg", "omg")), True
        ),
    )
)


def texts(page: Page) -> dict[str, list[str]]:
    return {section.key: [line.text for line in section.lines] for section in page.sections}


def test_a_hand_written_page_is_read_whatever_form_it_has() -> None:
    page = read_page(
        "---\ntitle: me\n---\nI am a page.\nIt goes on.\n\n# Who I am\n* a nurse\n1. from Rome\n"
        "<!-- not for anybody -->\n\n## ภาษา\n| ไทย | อังกฤษ |\n|---|---|\n- พูดไทยกับแม่ค่ะ 😊\n"
        "```\nsay: hi\n```\n-\n"
    )
    assert [(one.title, [line.text for line in one.lines]) for one in page] == [
        ("", ["I am a page. It goes on."]),
        ("Who I am", ["a nurse", "from Rome"]),
        ("ภาษา", ["| ไทย | อังกฤษ |", "พูดไทยกับแม่ค่ะ 😊", "```\nsay: hi\n```"]),
    ]
    assert {line.source for one in page for line in one.lines} == {HAND_WRITTEN}


def test_an_unclosed_fence_loses_nothing() -> None:
    assert read_page("```\none\ntwo")[0].lines[0].text == "```\none\ntwo\n"


def test_what_is_given_back_unchanged_changes_nothing() -> None:
    again = edited_page(SHOWN, page_text(SHOWN.sections))
    assert again == SHOWN
    assert not again.edited


def test_a_changed_line_keeps_its_key_and_what_it_replaced() -> None:
    given = page_text(SHOWN.sections).replace("Chiang Mai with my cat", "Bangkok with my cat")
    line = edited_page(SHOWN, given).sections[0].lines[0]
    assert (line.key, line.source) == ("fact/home", EDITED)
    assert line.was == "I live in Chiang Mai with my cat"
    twice = edited_page(
        replace(SHOWN, sections=(replace(SHOWN.sections[0], lines=(line,)),)),
        "## About Sue, in their words\n- I live in Bangkok with my dog",
    )
    assert twice.sections[0].lines[0].was == "I live in Chiang Mai with my cat", "the first wording"


def test_what_is_taken_out_is_remembered_and_comes_back_when_it_is_typed_again() -> None:
    cut = edited_page(SHOWN, "## About Sue, in their words\n- ผมเป็นครูสอนภาษาอังกฤษครับ")
    assert {one.key for one in cut.removed} == {"fact/home", "never/lol", "never/omg"}
    assert cut.edited
    back = edited_page(
        cut, f"{page_text(cut.sections)}\n- I live in Chiang Mai with my cat\n## New\n- brave"
    )
    assert {one.key for one in back.removed} == {"never/lol", "never/omg"}
    assert [line.source for line in back.sections[1].lines] == [EDITED]


def test_words_of_a_row_are_edited_one_by_one() -> None:
    given = page_text(SHOWN.sections).replace("lol, omg", "omg, ฮ่าๆ")
    page = edited_page(SHOWN, given)
    assert texts(page)["never"] == ["omg", "ฮ่าๆ"]
    assert {one.key for one in page.removed} == {"never/lol"}


def test_a_line_the_owner_added_and_takes_out_again_leaves_no_trace() -> None:
    added = edited_page(SHOWN, page_text(SHOWN.sections) + "\n\n## Mine\n- I was born brave")
    assert texts(added)["mine"] == ["I was born brave"]
    gone = edited_page(added, page_text(added.sections).replace("- I was born brave", ""))
    assert gone == SHOWN


WORDS = (
    st.text(st.sampled_from("abcdefghij กขคงจฉชซ é😂?!'"), min_size=1, max_size=25)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
PAGES = st.lists(
    st.tuples(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.lists(WORDS, min_size=1, max_size=4, unique=True),
    ),
    max_size=4,
    unique_by=lambda section: section[0],
)


@given(PAGES)
def test_a_page_written_and_read_is_the_same(content: list[tuple[str, list[str]]]) -> None:
    sections = [
        Section(title, title, tuple(Line(text, text) for text in lines)) for title, lines in content
    ]
    again = [
        (one.title, [line.text for line in one.lines]) for one in read_page(page_text(sections))
    ]
    assert again == content


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_nor_the_finding_of_edits(text: str) -> None:
    read_page(text)
    page = edited_page(SHOWN, text)
    keys = {line.key for line in page.lines()} | {one.key for one in page.removed}
    assert {line.key for line in SHOWN.lines()} <= keys, "no line vanishes without a trace"
    assert all(line.source in {GENERATED, EDITED} for line in page.lines())
