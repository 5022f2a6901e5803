"""A person's reply as an assistant would put it: the same content in a manner that is not theirs.

By rule, so that it needs no model and differs from the real reply in manner alone: emoji, laughter,
drawn-out letters and particles go, contractions and colloquial words are written out, sentences get
a capital and a full stop. Some replies also get an assistant's opening, and always those that
nothing else would change.
"""

from __future__ import annotations

import hashlib
import re

_EMOJI = re.compile("[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\ufe0f\u200d]+")
_EMOTICON = re.compile(r"(?<!\w)(?:[:;=8][-']?[)(DPpOo/\\|*3]+|<3|\^_?\^|T_T|>_<|:'\(|x[dD]\b)")
_LAUGHTER = re.compile(
    r"(?i)\b(?:a*(?:h[ae]){2,}h*|lo+l|lmf?ao+|rofl|5{3,}\+?)(?![\w])[,.!]*|อิอิ|ฮ่า+"
)
_DRAWN_OUT = re.compile(r"([^\W\d])\1{2,}")
_PARTICLES = re.compile(r"(?:นะ|น้า|ค่ะ|คะ|ครับ|คับ|จ้า|จ้ะ|จ๊ะ|อ่ะ|เนอะ|สิ|ล่ะ|ๆ)+(?=\s|$|[.!?])")
_TRAILING = re.compile(r"\s*(?:\.{2,}|…|[!?~]*~[!~]*|!{1,})(?=\s|$)")
_THAI = re.compile("[\u0e00-\u0e7f]")
_WORDS = {
    "u": "you",
    "ur": "your",
    "r": "are",
    "i": "I",
    "im": "I am",
    "i'm": "I am",
    "ive": "I have",
    "i've": "I have",
    "i'll": "I will",
    "i'd": "I would",
    "its": "it is",
    "it's": "it is",
    "thats": "that is",
    "that's": "that is",
    "whats": "what is",
    "what's": "what is",
    "youre": "you are",
    "you're": "you are",
    "theyre": "they are",
    "they're": "they are",
    "we're": "we are",
    "lets": "let us",
    "let's": "let us",
    "there's": "there is",
    "he's": "he is",
    "she's": "she is",
    "who's": "who is",
    "dont": "do not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "havent": "have not",
    "cant": "cannot",
    "can't": "cannot",
    "wont": "will not",
    "won't": "will not",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "have to",
    "kinda": "rather",
    "sorta": "rather",
    "dunno": "do not know",
    "idk": "I do not know",
    "tbh": "to be honest",
    "btw": "by the way",
    "omg": "oh",
    "cuz": "because",
    "cause": "because",
    "thx": "thank you",
    "thanks": "thank you",
    "pls": "please",
    "yeah": "yes",
    "yea": "yes",
    "yep": "yes",
    "yup": "yes",
    "nah": "no",
    "nope": "no",
    "hey": "hello",
    "hi": "hello",
    "guys": "people",
    "cool": "very good",
    "awesome": "excellent",
    "super": "very",
    "ok": "very well",
    "okay": "very well",
}
_NOT = re.compile(r"(?i)\b(\w+)n['’]t\b")
_WORD = re.compile(r"(?<![\w'’])[A-Za-z]+(?:['’][A-Za-z]+)?(?![\w'’])")
_SENTENCE = re.compile(r"(^|[.!?]\s+)([a-z])")
OPENINGS = (
    "Thank you for your message. ",
    "Certainly! ",
    "I would be happy to help with that. ",
    "That is a great question. ",
)
THAI_OPENING = "ขอบคุณสำหรับข้อความ "
_OPENED = 2  # one reply in so many gets an opening


def formal_rewrite(reply: str) -> str:
    """The reply in an assistant's manner; the same reply always gives the same text."""
    lines = [_formal(line) for line in reply.splitlines()]
    text = " ".join(line for line in lines if line)
    dice = int(hashlib.sha256(reply.encode()).hexdigest()[:8], 16)
    if not text or dice % _OPENED == 0 or _same(text, reply):
        opening = THAI_OPENING if _THAI.search(reply) else OPENINGS[dice // 7 % len(OPENINGS)]
        text = opening + text
    return text.strip()


def _formal(line: str) -> str:
    for pattern in (_EMOJI, _EMOTICON, _LAUGHTER, _PARTICLES):
        line = pattern.sub(" ", line)
    line = _TRAILING.sub(lambda end: "?" if "?" in end.group() else ".", line)
    line = _DRAWN_OUT.sub(r"\1", line)
    line = _NOT.sub(_written_out, _WORD.sub(_in_full, line))
    line = re.sub(r"\s+([.,!?])", r"\1", " ".join(line.split())).strip(" ,")
    line = _SENTENCE.sub(lambda start: start[1] + start[2].upper(), line)
    if not any(letter.isalnum() for letter in line):
        return ""
    return line if line[-1] in ".!?" or _THAI.search(line[-1]) else f"{line}."


def _in_full(word: re.Match[str]) -> str:
    written = word.group()
    return _WORDS.get(written.lower().replace("’", "'"), written)


def _written_out(word: re.Match[str]) -> str:
    return f"{word[1]} not"


def _same(one: str, other: str) -> bool:
    words = [re.findall(r"\w+", text.lower()) for text in (one, other)]
    return words[0] == words[1]
