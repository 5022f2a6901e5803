"""Words within Thai compounds: ข้อมูลขนาดใหญ่ is found by ข้อมูล, by ขนาดใหญ่ and by ขนาด."""

from __future__ import annotations

from functools import lru_cache

_SHORTEST = 2  # characters of a part; one alone is no word


def is_thai(word: str) -> bool:
    """Whether a word (`foundation.words`) is Thai, by its first character."""
    return "\u0e00" <= word[:1] <= "\u0e7f"


@lru_cache(maxsize=20_000)
def parts_of(word: str) -> tuple[str, ...]:
    """Dictionary words that a Thai word is made of, each once, longest first; none of a simple one.

    Every way to halve the word into two words of the dictionary counts, and of their halves again:
    รถไฟฟ้า is made of รถไฟ and ฟ้า and of รถ and ไฟฟ้า.
    """
    known = _dictionary()
    found: set[str] = set()
    halves = [word]
    while halves:
        whole = halves.pop()
        for place in range(_SHORTEST, len(whole) - _SHORTEST + 1):
            pair = {whole[:place], whole[place:]}
            if pair <= known:
                halves += pair - found
                found |= pair
    return tuple(sorted(found, key=lambda part: (-len(part), part)))


@lru_cache(maxsize=1)
def _dictionary() -> frozenset[str]:
    from pythainlp.corpus import thai_words

    return frozenset(thai_words())
