"""What a sentence of a reply does: sympathises, congratulates, asks back, advises and so on.

Rules, English and Thai. A sentence makes the first move whose rule it meets, and asks besides when
it is a question; one that meets none comments.
"""

from __future__ import annotations

import re

from twin_pipelines.persona.replies.situations import QUESTION
from twin_pipelines.persona.statements.find import split_sentences

_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rule, re.IGNORECASE))
    for name, rule in (
        (
            "sympathise",
            r"\b(?:sorry to hear|sorry (?:about|for) (?:your|that|the)|that(?:'s| is|s| sounds| "
            r"must be)(?: so| really| very| pretty| kinda)* (?:sad|terrible|awful|tough|rough|"
            r"hard|bad|unfortunate|horrible|sucky|stressful|frustrating)|that (?:really )?sucks|"
            r"oh no|aw+\b|poor (?:you|thing|guy|girl)|i (?:totally |completely |can "
            r")*(?:understand|feel you|know (?:how|what) (?:you|that|it))|hope (?:you|it|that|he|"
            r"she|they) (?:\w+ )?(?:feels?|gets?) better|my condolences)\b|เสียใจด้วย|"
            r"เข้าใจ(?:เลย|นะ|ความรู้สึก)|แย่จัง|โอ๋|น่าสงสาร|เห็นใจ|ไม่เป็นไรนะ|หายไวๆ|😢|🥺",
        ),
        (
            "congratulate",
            r"\b(?:congrat\w*|well done|good (?:job|for you)|way to go|proud of you|so happy for "
            r"you|yay+|woo+hoo+)\b|ยินดีด้วย|ดีใจด้วย|เก่ง(?:มาก|จัง|ที่สุด)|🎉|🥳",
        ),
        (
            "reassure",
            r"\b(?:no (?:worries|problem|biggie)|don'?t worry|(?:it|that)(?:'s| is|s) (?:totally |"
            r"all |perfectly |completely )?(?:ok|okay|fine|alright|all right|good)\b(?= |\W*$)(?! "
            r"(?:at|for|to|in))|you(?:'re| are) (?:fine|good|okay|welcome)|never mind)\b|"
            r"ไม่เป็นไร|ไม่ต้องห่วง|ไม่ต้องกังวล|ด้วยความยินดี",
        ),
        (
            "encourage",
            r"\b(?:good luck|you(?:'ve)? got this|you(?:'ll| will) (?:do|be|make|get|figure)|you "
            r"can do|don'?t give up|hang in there|it(?:'ll| will) (?:be|get|work)|stay strong|"
            r"keep (?:it up|going|trying)|i believe in you)\b|สู้ๆ|สู้ ๆ|เป็นกำลังใจ|"
            r"ทำได้อยู่แล้ว|เดี๋ยวก็ดีขึ้น|อย่าท้อ",
        ),
        (
            "show affection",
            r"\b(?:i (?:really )?(?:love|miss) (?:you|u)|love (?:you|u)|miss (?:you|u)|hugs?|"
            r"xoxo)\b|รักนะ|รักพี่|รักน้อง|รักเธอ|รักคุณ|คิดถึง(?:นะ|จัง|มาก|พี่|น้อง|เธอ|คุณ)|"
            r"กอด|💜|😘|🥰|💕",
        ),
        (
            "apologise",
            r"\b(?:i'?m (?:so |really )?sorry|sorry|my bad|i apologi[sz]e|forgive me)\b|ขอโทษ|"
            r"ขออภัย|โทษที",
        ),
        ("thank", r"\b(?:thanks?|thank you|thx|ty|appreciate (?:it|that))\b|ขอบคุณ|ขอบใจ|🙏"),
        (
            "take leave",
            r"\b(?:bye+|good ?bye|good ?night|see (?:you|ya)|talk to you (?:later|soon)|ttyl|take "
            r"care|have a (?:good|great|nice)|(?:nice|great|good) (?:talking|chatting)|gotta go|"
            r"you too|same to you)\b|บาย|ฝันดี|ราตรีสวัสดิ์|แล้วเจอกัน|ลาก่อน|ไว้คุยกัน|เช่นกัน",
        ),
        (
            "greet",
            r"^\W*(?:hi+|hey+|hello+|good (?:morning|evening|afternoon)|howdy|nice to meet)\b|"
            r"^\W*(?:สวัสดี|หวัดดี|อรุณสวัสดิ์|ดีจ้า)",
        ),
        (
            "offer help",
            r"\b(?:i(?:'ll| will| can| could) (?:help|check|look|send|show|do (?:it|that)|take "
            r"care|fix|find|try)|let me (?:know if|check|see|help|look|show|try)|want me to|"
            r"(?:can|may) i help|if you (?:need|want) (?:help|anything|someone|to talk)|i'?m here "
            r"for you)\b|เดี๋ยว\S*(?:ให้|ดู|ช่วย|เช็ค)|ให้(?:ฉัน|ผม|หนู|น้อง|พี่)?ช่วย|ช่วยได้|"
            r"อยู่ตรงนี้|อยู่ข้างๆ",
        ),
        (
            "advise",
            r"\b(?:you (?:should|could|might|need to|have to|ought to|better)|(?:just |maybe "
            r")?try (?:to|it|the|a|using|with|this|that)|why don'?t you|have you tried|i (?:would "
            r"|'d )?(?:recommend|suggest|advise)|make sure|if i were you|let'?s)\b|ลอง\S|"
            r"ควร(?:จะ)?|น่าจะ|แนะนำ|อย่าลืม|ดีกว่านะ",
        ),
        (
            "praise",
            r"\b(?:that(?:'s| is|s| sounds)(?: so| really| super| very| pretty| way)* (?:awesome|"
            r"great|cool|amazing|exciting|nice|good|fun|impressive|interesting|neat|sweet)|(?:so|"
            r"how|very|super) (?:cool|nice|fun|exciting|awesome|sweet|cute)|nice|cool|awesome|wow|"
            r"amazing|great|sweet|neat)\b(?! to\b)|เยี่ยม|สุดยอด|ดีจัง|น่ารัก|เจ๋ง|ว้าว|ดีมาก|"
            r"น่าสนใจ",
        ),
        (
            "disagree",
            r"^\W*(?:no|nah|nope|not really|i (?:disagree|don'?t think|doubt))\b|^\W*(?:ไม่ใช่|"
            r"ไม่จริง|ไม่เห็นด้วย|เปล่า)",
        ),
        (
            "agree",
            r"^\W*(?:(?:haha+|lol|oh|ah|well) )?(?:y(?:es|eah|ea|ep|up|a)|true|exactly|same|me "
            r"(?:too|either|neither)|i agree|agreed|right|definitely|for sure|totally|absolutely|"
            r"of course|ok(?:ay)?|sure)\b|^\W*(?:ใช่|จริง|เหมือนกัน|เห็นด้วย|โอเค|ได้เลย|แน่นอน|"
            r"อืม)",
        ),
        (
            "laugh",
            r"\b(?:a?(?:ha){2,}h?|(?:he){2,}|lo+l|lmao|rofl)\b|555+|😂|🤣|😆",
        ),
        (
            "tell of themselves",
            r"\b(?:i|i'm|im|i've|ive|i'd|i'll|my|me|mine|myself)\b|ผม|ฉัน|ดิฉัน|หนู|เรา(?!ะ)|"
            r"ของเค้า",
        ),
    )
)
ASK, COMMENT = "ask back", "comment"
MOVES = (*(name for name, _ in _RULES), ASK, COMMENT)


def moves_of(reply: str) -> list[str]:
    """The moves of a reply in order, each of MOVES at most once."""
    found: dict[str, None] = {}
    for sentence in split_sentences(reply.replace("’", "'")):
        asks = QUESTION.search(sentence) is not None
        made = next((name for name, rule in _RULES if rule.search(sentence)), COMMENT)
        if not (asks and made in ("tell of themselves", COMMENT)):
            found[made] = None
        if asks:
            found[ASK] = None
    return list(found)
