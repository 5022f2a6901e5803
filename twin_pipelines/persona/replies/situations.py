"""What the partner's turn does, and so what it calls for: documented rules, English and Thai.

The first situation that fits, in the order of SITUATIONS: what touches the heart comes before what
asks, what asks before what is polite, as that is what people answer first. *conflict* (reproach,
disagreement, anger), *sad news* and *good news* (what happened to the partner, or how they feel),
*affection* (love, longing), *farewell* and *greeting* (of a short message), *code* (programs and
their faults), *request* (something is to be done), *question*, *thanks*, *apology*, *compliment*,
*joke* (laughter, teasing), *assent* (a short yes), *other*.

Only the last sentences of a turn count (`LAST_SENTENCES`): they are what people answer. `JOKE`,
`GREETING` and `QUESTION` are also rules of the evaluation's coarser situations: to change one of
them is to change a figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twin_pipelines.persona.statements.find import split_sentences

SITUATIONS = (
    "conflict",
    "sad news",
    "good news",
    "affection",
    "farewell",
    "greeting",
    "code",
    "request",
    "question",
    "thanks",
    "apology",
    "compliment",
    "joke",
    "assent",
    "other",
)
LAST_SENTENCES = 3
QUESTION = re.compile(r"[?？]|(?:ไหม|มั้ย|หรือเปล่า|รึเปล่า|เหรอ|หรอ|หรือยัง|อะไร|ทำไม|ยังไง|ที่ไหน|เมื่อไหร่)")
JOKE = re.compile(
    r"\b(?:a?(?:ha){2,}h?|(?:he){2,}|lo+l|lmao|rofl|jk|just kidding|joke|joking|xd)\b|555+|😂|🤣|"
    r"😆|😜|ล้อเล่น|ตลก",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"^\W*(?:hi+|hey+|hello+|heya|howdy|yo|sup|good (?:morning|evening|night|afternoon)|what'?s "
    r"up|how are you|bye|goodbye|see (?:you|ya)|nice (?:to meet|talking|chatting)|bye)\b|"
    r"^\W*(?:สวัสดี|หวัดดี|ดีจ้า|อรุณสวัสดิ์|ฝันดี|บาย)",
    re.IGNORECASE,
)
_CONFLICT = re.compile(
    r"\b(?:you(?:'re| are| r) (?:so |being |really |just |very )*(?:wrong|lying|a liar|mean|rude|"
    r"annoying|unfair|selfish|ridiculous)|that'?s not (?:true|fair)|shut up|how dare you|leave me "
    r"alone|(?:mad|angry|upset|annoyed) (?:at|with) (?:you|u)|(?<!not )(?:your|ur) fault|i don'?t "
    r"believe you|you never listen|you always (?:do|say) (?:this|that))\b|(?:^|[.!] )i (?:\w+ "
    r")?disagree\b|โกรธ|โมโห|ไม่พอใจ|ไม่เห็นด้วย|น้อยใจ|โกหก|งอน",
    re.IGNORECASE,
)
_SAD_NEWS = re.compile(
    r"(?<!if )(?<!when )\b(?:i(?:'m| am| was| feel| felt|'ve been|'m feeling)(?: \w+){0,2} (?:sad|"
    r"stressed|lonely|anxious|depressed|worried|exhausted|overwhelmed|frustrated|homesick|upset|"
    r"heartbroken|devastated|miserable|terrified|bummed|disappointed|struggling|swamped|burned "
    r"out|burnt out)|i(?:'m| am| feel| got)(?: so| very| really| pretty)? (?:sick(?! of)|hurt|"
    r"tired|nervous|scared)|not (?:so |very |doing )?(?:happy|great|well|good) (?:today|lately|"
    r"right now)|not feeling (?:so |very |too )?(?:well|good|great)|i (?:cried|failed|lost my "
    r"(?!account)|miss (?:my|home)|got (?:fired|dumped|rejected|laid off))|passed away|(?:has|"
    r"just) died|died (?:last|yesterday|today|this)|my \w+(?: \w+)? (?:died|hurts?)|broke up with|"
    r"breaks my heart|in the hospital|car accident|has cancer|(?:rough|bad|terrible|awful|hard|"
    r"horrible|long|stressful) (?:day|week|night|semester)|(?:it's|its|it is|it was|it has been|"
    r"it's been|life is|that was|that is)(?: so| really| pretty| kind of| kinda| super| very| "
    r"been)+ (?:hard|tough|rough|stressful|sad|depressing|lonely)|(?:so|really|is|been|very) "
    r"stressful|(?:such a|what a|a real|kind of a|kinda a) bummer|(?:it|this|life|school|work) "
    r"(?:really |kinda |just )?sucks|i (?:didn't|did not|couldn't) (?:get in|pass|make it|"
    r"sleep))\b|:'?\((?!\w)|เสียใจ|เศร้า|เหงา|เครียด|กังวล|เหนื่อย|ท้อ|ร้องไห้|ป่วย|ไม่สบาย|"
    r"เสียชีวิต|อกหัก|สอบตก|ตกงาน|แย่มาก|แย่จัง|ปวดหัว|ไม่มีความสุข|นอนไม่หลับ|กลัวจัง|กลัวมาก|😢|"
    r"😭|🥺|💔",
    re.IGNORECASE,
)
_GOOD_NEWS = re.compile(
    r"\b(?:i(?:'m| am| feel|'m feeling)(?: so| very| really| super| pretty)* (?:happy|excited|"
    r"proud|thrilled|delighted|relieved)|i (?:just |finally |actually )*(?:got (?:the|a|my|an) "
    r"(?:\w+ )?(?:job|offer|raise|promotion|scholarship|internship|degree|puppy|kitten)|got "
    r"(?:accepted|promoted|engaged|married)|passed (?:my|the|all)|won(?!'))|i (?:just|finally) "
    r"(?:graduated|finished|did it|made it|passed)|(?:good|great|amazing) news|best day|we(?:'re| "
    r"are) (?:engaged|pregnant|getting married))\b|\byay+\b|\bwoo+(?:hoo+)?\b|(?<!ไม่)ดีใจ|"
    r"(?<!ไม่)มีความสุข|สำเร็จแล้ว|สอบผ่าน|ผ่านแล้ว|ได้งานแล้ว|เลื่อนตำแหน่ง|ชนะแล้ว|เย้|"
    r"เสร็จแล้ว|ข่าวดี|🎉|🥳",
    re.IGNORECASE,
)
_AFFECTION = re.compile(
    r"\b(?:i (?:really |already |do |still )*(?:love|miss|adore) (?:you|u)\b(?! guys)|^(?:love|"
    r"miss) (?:you|u)\b|(?:love|miss) (?:you|u)(?: (?:so much|too|more|\w*))?\W*$|thinking (?:of|"
    r"about) you|^\W*hugs?\b|hugging you|xoxo)|รักนะ|รักเธอ|รักคุณ|รักพี่|รักน้อง|รักที่รัก|"
    r"คิดถึง(?:นะ|จัง|มาก|เธอ|คุณ|พี่|น้อง)|กอด(?:หน่อย|นะ|ๆ)|💜|😘|🥰|💕",
    re.IGNORECASE | re.MULTILINE,
)
_FAREWELL = re.compile(
    r"\b(?:good ?bye|bye+|good ?night|night night|(?:talk|speak|chat) (?:to you |with you "
    r")?(?:later|soon|tomorrow)|ttyl|(?:gotta|gtg|got to|have to|need to|must) (?:go|run|leave|"
    r"head out|get going|sleep)\b(?! to (?!bed|sleep))|take care(?! of)|have a (?:good|great|nice|"
    r"wonderful|lovely) (?:\w+ )?(?:day|night|evening|weekend|one|time|week|rest)|(?:nice|great|"
    r"good|lovely|was fun|pleasure) (?:talking|chatting|speaking) (?:to|with))\b|\bgtg\b|(?:^|"
    r"[.!,] ?|i'?ll |alright |okay |ok )see (?:you|ya|u)\b|บ๊ายบาย|บายบาย|บาย(?:นะ|ค่ะ|ครับ|จ้า|"
    r"$)|ลาก่อน|ฝันดี|ราตรีสวัสดิ์|แล้วเจอกัน|ไว้เจอกัน|ไปก่อนนะ|ไปนอน(?:แล้ว|ก่อน|นะ)|"
    r"เจอกันพรุ่งนี้|ไว้คุยกัน",
    re.IGNORECASE | re.MULTILINE,
)
_HOW_ARE_YOU = re.compile(
    r"\bhow(?:'s| is| are| was|s|'ve)(?: (?:it|you|u|your|the|things|everything|life|day))+(?: "
    r"(?:going|doing|been|day|today|so far|week|morning|night))*\W*$|\bwhat'?s (?:up|new)\b|"
    r"สบายดี(?:ไหม|มั้ย|หรือเปล่า|รึเปล่า|นะ)|เป็น(?:ยังไง|ไง|อย่างไร)(?:บ้าง)?|กินข้าว(?:หรือ|"
    r"รึ)ยัง|ตื่น(?:หรือ|รึ)ยัง",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"```|`[^`\n]+`|\b(?:traceback|stack ?trace|python|javascript|typescript|sql|postgres\w*|"
    r"apis?|debug(?:ging|ger)?|docker|github|gitlab|compilers?|npm|regex|backend|frontend|"
    r"localhost|json|html|css|unit tests?|pull request|null pointer|segfault|refactor\w*)\b|โค้ด|"
    r"โค๊ด|บั๊ก|บัค|เขียนโปรแกรม|ดีบัก|คอมไพล์|ดาต้าเบส|ฐานข้อมูล|เซิร์ฟเวอร์",
    re.IGNORECASE,
)
_CODE_HINT = re.compile(
    r"\b(?:code|coding|bugs?|errors?|servers?|scripts?|deploy(?:ed|ing)?|commit(?:ted)?|quer(?:y|"
    r"ies)|databases?|variables?|programming|software|crash(?:es|ed)?)\b",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"\b(?:(?:can|could|would|will) (?:you|u) (?:please |pls |just |also |maybe )*(?:help|tell|"
    r"show|send|give|explain|make|write|check|fix|look|remind|find|add|teach|describe|share|"
    r"recommend|suggest|do (?:it|that|this|me)|mind|wait|repeat|call|bring|buy)\b|please (?!,)\w|"
    r"please\W*$|pl[sz]\b|help me|i need you to|(?<!did )(?<!to )(?<!you )(?<!they )(?:tell|show|"
    r"send|teach|remind) me\b|let me know)|ช่วย(?!ไม่)|กรุณา|รบกวน|อยากให้(?:พี่|น้อง|คุณ|เธอ)|"
    r"หน่อย(?:นะ|ค่ะ|คะ|ครับ|สิ|ได้ไหม|ได้มั้ย|$)|ขอ(?!บคุณ|บใจ|โทษ|อภัย|ง|ให้)\s?\S",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"(?:^|[.!\n]\s*)(?:(?:and|so|but|well|ok|okay|hey) )?(?:what|where|when|why|who|how|which|do "
    r"you|are you|did you|have you|is it|does|would you|can i)\b[^.!]*$",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\b(?:thank(?:s| you| u)|thx|tysm|ty|(?:really |so )?appreciate (?:it|that|you))\b|ขอบคุณ|"
    r"ขอบใจ|แต๊งกิ้ว|🙏",
    re.IGNORECASE,
)
_APOLOGY = re.compile(
    r"\b(?:(?:i'?m |i am |so )*sorry\b(?! to hear| about your| for your loss)|my bad|i "
    r"apologi[sz]e|apologies|forgive me)|ขอโทษ|โทษที|ขออภัย",
    re.IGNORECASE,
)
_COMPLIMENT = re.compile(
    r"\b(?:(?:you(?:'re| are| sound| seem)|u r|ur)(?: so| really| very| such| pretty| quite| an?| "
    r"the)* (?:sweet|kind|nice|funny|smart|amazing|awesome|cute|great|cool|interesting|beautiful|"
    r"talented|brave|impressive|best|lovely|wonderful|fun|clever)|i (?:really )?(?:like|love) "
    r"your|(?<!a )(?:good|great|nice|amazing) (?:job|work)|well done|congrat\w*|proud of you)\b|"
    r"เก่ง(?:มาก|จัง|ที่สุด|เลย)|น่ารัก|สุดยอด|ฉลาด|ภูมิใจในตัว|เยี่ยม",
    re.IGNORECASE,
)
_ASSENT = re.compile(
    r"^\W*(?:(?:oh|ah|haha|well|and) )?(?:y(?:es|eah|ea|ep|up|a)|ok(?:ay)?|sure|right|true|"
    r"exactly|agreed?|i agree|same|me (?:too|either|neither)|of course|definitely|totally|"
    r"absolutely|good point|fair enough|that's true|makes sense|i see)\b|^\W*(?:ใช่|ได้|โอเค|จริง|"
    r"เหมือนกัน|อืม|อือ|เห็นด้วย|ตกลง|รับทราบ|เข้าใจ|ค่ะ|คะ|ครับ)",
    re.IGNORECASE,
)
_THAI = re.compile(r"[\u0e00-\u0e7f]+")
_GREETING_WORDS, _FAREWELL_WORDS = 6, 30
_SHORT = {"greeting": 14, "assent": 8}  # words of the whole turn; a longer one says more
_CODE_HINTS = 2


def situation(message: str) -> str:
    """The situation that a partner's message makes, one of SITUATIONS."""
    spoken = message.replace("’", "'")
    last = "\n".join(split_sentences(spoken)[-LAST_SENTENCES:])
    length = _words(spoken)
    for name, fits in _RULES:
        if fits(last) and (name not in _SHORT or length <= _SHORT[name]):
            return name
    return "other"


def _greets(message: str) -> bool:
    greets = GREETING.search(message) and _words(message) <= _GREETING_WORDS
    return bool(greets or _HOW_ARE_YOU.search(message))


def _leaves(message: str) -> bool:
    return _FAREWELL.search(message) is not None and _words(message) <= _FAREWELL_WORDS


def _codes(message: str) -> bool:
    hints = {hint.lower() for hint in _CODE_HINT.findall(message)}
    return _CODE.search(message) is not None or len(hints) >= _CODE_HINTS


def _asks(message: str) -> bool:
    return bool(QUESTION.search(message) or _ASKING.search(message.strip()))


def _words(message: str) -> int:
    """Words, four characters of Thai as one."""
    thai = sum(map(len, _THAI.findall(message)))
    return len(_THAI.sub(" ", message).split()) + thai // 4


_RULES: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("conflict", _CONFLICT.search),
    ("sad news", _SAD_NEWS.search),
    ("good news", _GOOD_NEWS.search),
    ("affection", _AFFECTION.search),
    ("farewell", _leaves),
    ("greeting", _greets),
    ("code", _codes),
    ("request", _REQUEST.search),
    ("question", _asks),
    ("thanks", _THANKS.search),
    ("apology", _APOLOGY.search),
    ("compliment", _COMPLIMENT.search),
    ("joke", JOKE.search),
    ("assent", _ASSENT.search),
)
