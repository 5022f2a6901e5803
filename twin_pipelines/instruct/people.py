"""Other people in the subject's conversations: pseudonyms, names and contact data.

Pseudonyms are keyed with the subject: the same partner has the same one in every pair and dataset
of a twin, and another one in another twin.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,2}\d){8,14}(?![\w])")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_ROLE_WORDS = (
    "me you user users human assistant bot system friend customer agent client guest anonymous "
    "unknown someone person partner speaker mom dad mum them they him her ฉัน ผม เธอ"
)
CONTACT = "[contact]"


def pseudonym(speaker: str, subject: str) -> str:
    """A stable name such as `partner-3f9a12cd` for another person."""
    key = hashlib.sha256(subject.encode()).digest()
    digest = hashlib.blake2s(speaker.encode(), key=key, digest_size=4)
    return f"partner-{digest.hexdigest()}"


def has_contact(text: str) -> bool:
    """Whether the text holds an e-mail address or a telephone number."""
    return without_contact(text) != text


def without_contact(text: str) -> str:
    """The text with e-mail addresses and telephone numbers replaced by `[contact]`."""
    if "@" in text:
        text = _EMAIL.sub(CONTACT, text)
    return _PHONE.sub(lambda found: _unless_date(found.group()), text)


def _unless_date(digits: str) -> str:
    return digits if _DATE.search(digits) else CONTACT


class NameMask:
    """Replaces the speaker names of other people by their pseudonyms.

    Masked are the whole name in any case, and its first word where it is written as in the name
    (`Rose` of `Rose Miller`, not `rose`). Role words such as `you` or `user`, names shorter than
    three characters and numbers are left alone, as they say nothing of a person.
    """

    def __init__(self, speakers: Iterable[str], subject: str) -> None:
        self._known: dict[str, str] = {}
        for speaker in sorted(set(speakers) - {subject}):
            first = speaker.split()[0] if speaker.split() else ""
            for name in (speaker, first):
                if (
                    len(name) >= 3
                    and not name.isdigit()
                    and name.casefold() not in _ROLE_WORDS.split()
                ):
                    self._known.setdefault(name, pseudonym(speaker, subject))
        self._folded = {name.casefold(): name for name in self._known}
        self._whole = {speaker.casefold() for speaker in speakers}
        names = sorted(self._known, key=len, reverse=True)
        alternatives = "|".join(re.escape(name) for name in names)
        self._pattern = re.compile(rf"(?<![0-9A-Za-z_])(?:{alternatives})(?![0-9A-Za-z_])", re.I)

    def __call__(self, text: str) -> str:
        """The text without the names."""
        return self._pattern.sub(self._replace, text) if self._known else text

    def _replace(self, found: re.Match[str]) -> str:
        written = found.group()
        if written in self._known:
            return self._known[written]
        folded = written.casefold()
        return self._known[self._folded[folded]] if folded in self._whole else written
