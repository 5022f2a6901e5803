"""Words by which the trait rater goes, and what each category says of the Big Five: data, no code.

Categories are short lists of our own, after the kinds of word that the Linguistic Inquiry and Word
Count counts. Signs follow the direction of the correlations reported for such categories by
Pennebaker & King (1999, Linguistic styles, J. Pers. Soc. Psychol. 77), Mairesse et al. (2007, Using
linguistic cues, JAIR 30) and Yarkoni (2010, Personality in 100,000 words, J. Res. Pers. 44); a
category without a sign for a trait says nothing of it. All weigh the same. Thai lists are cruder:
Thai has no spaces, so its markers are counted wherever they stand.
"""

from __future__ import annotations

import hashlib
import json

VERSION = 1
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")

ENGLISH: dict[str, str] = {
    "i": "i im ive id ill me my mine myself",
    "we": "we were weve us our ours lets ourselves",
    "you": "you youre youve your yours yourself u ya",
    "others": "he she they them him her his hers their theirs theyre hes shes someone everyone "
    "people",
    "articles": "a an the",
    "prepositions": "of in on at by for from with about into over under between through after "
    "before",
    "negations": "no not never dont doesnt didnt cant couldnt wont wouldnt isnt arent wasnt "
    "nothing",
    "assent": "yes yeah yep yup ok okay agree agreed true sure totally",
    "fillers": "like um uh hmm well anyway basically literally",
    "joy": "love loved loves like liked enjoy enjoyed happy glad fun funny nice great awesome "
    "amazing good best cool beautiful sweet excited wonderful perfect favorite thanks thank",
    "bad feeling": "bad hate hated sad sorry worst awful terrible horrible hurt annoying ugh sucks",
    "anxiety": "worried worry nervous anxious afraid scared stress stressed stressful panic fear",
    "anger": "angry mad hate hated annoyed annoying stupid kill fight damn",
    "sadness": "sad cry cried lonely miss missed depressed lost sorry alone grief",
    "swearing": "damn hell shit fuck fucking crap ass wtf bitch",
    "family": "mom mother dad father brother sister parents family husband wife son daughter kids "
    "cousin aunt uncle grandma grandpa",
    "friends": "friend friends buddy roommate roommates boyfriend girlfriend",
    "social": "talk talked talking tell told share meet met party call called chat together ask "
    "asked",
    "insight": "think know feel felt thought understand realize realized believe mean wonder learn",
    "cause": "because cause why since reason so hence",
    "tentative": "maybe perhaps guess might possibly probably somewhat kinda sort seems could",
    "certainty": "always never definitely absolutely completely sure certainly exactly every all",
    "discrepancy": "should would could wish want wanted need hope if",
    "exclusive": "but except without although though unless rather instead",
    "achievement": "work worked working goal win won better best try tried success finish finished "
    "study studying plan learn school class",
    "time": "now today yesterday tomorrow when then while week month year day hour soon later",
    "past": "was were had did went got made said took came saw thought used",
    "home": "home house room kitchen bed yard apartment",
    "leisure": "game games movie movies music song play played playing show shows book books read",
    "motion": "go going went come came drive drove walk run travel trip move moved",
    "senses": "see saw look looks hear heard listen sound sounds feel watch watched",
    "numbers": "one two three four five first second hundred",
}
THAI: dict[str, str] = {
    "i": "ฉัน ผม หนู",
    "we": "พวกเรา ของเรา",
    "you": "คุณ เธอ",
    "negations": "ไม่ อย่า",
    "assent": "ใช่ โอเค ได้เลย จริงด้วย",
    "joy": "ชอบ รัก สนุก ดีใจ มีความสุข น่ารัก เยี่ยม ขอบคุณ เก่ง ดีมาก",
    "bad feeling": "แย่ เกลียด เจ็บ ขอโทษ น่าเบื่อ",
    "anxiety": "กังวล กลัว เครียด ตื่นเต้น",
    "anger": "โกรธ โมโห หงุดหงิด รำคาญ",
    "sadness": "เศร้า เสียใจ เหงา คิดถึง ร้องไห้",
    "swearing": "เหี้ย สัส แม่ง",
    "family": "แม่ พ่อ พี่สาว พี่ชาย น้องสาว น้องชาย ครอบครัว",
    "friends": "เพื่อน แฟน",
    "social": "คุย เล่าให้ ปรึกษา ด้วยกัน",
    "insight": "คิดว่า รู้สึก เข้าใจ เชื่อ เรียนรู้",
    "cause": "เพราะ เลยทำให้ ดังนั้น",
    "tentative": "อาจ คงจะ น่าจะ มั้ง",
    "certainty": "แน่นอน เสมอ ทุกครั้ง ที่สุด",
    "discrepancy": "ควร อยาก ถ้า ต้องการ",
    "exclusive": "แต่ ยกเว้น นอกจาก",
    "achievement": "งาน สำเร็จ พยายาม เป้าหมาย เรียน สอบ",
    "time": "วันนี้ พรุ่งนี้ เมื่อวาน ตอนนี้ สัปดาห์",
    "home": "บ้าน ห้อง",
    "leisure": "เกม หนัง เพลง เล่น อ่าน ดูหนัง",
    "motion": "เดินทาง ไปเที่ยว ขับรถ วิ่ง",
}
SIGNS: dict[str, dict[str, int]] = {
    "openness": {
        "articles": 1, "prepositions": 1, "senses": 1, "insight": 1, "tentative": 1, "i": -1,
        "we": -1, "you": -1, "assent": -1, "joy": -1, "family": -1, "social": -1, "time": -1,
        "past": -1, "home": -1, "leisure": -1, "motion": -1, "numbers": -1,
    },
    "conscientiousness": {
        "achievement": 1, "time": 1, "joy": 1, "swearing": -1, "anger": -1, "bad feeling": -1,
        "negations": -1, "exclusive": -1, "cause": -1, "discrepancy": -1, "fillers": -1,
        "sadness": -1, "tentative": -1,
    },
    "extraversion": {
        "social": 1, "friends": 1, "family": 1, "you": 1, "others": 1, "joy": 1, "we": 1,
        "tentative": -1, "exclusive": -1, "negations": -1, "articles": -1, "cause": -1,
        "achievement": -1,
    },
    "agreeableness": {
        "we": 1, "joy": 1, "family": 1, "friends": 1, "home": 1, "leisure": 1, "motion": 1,
        "time": 1, "past": 1, "assent": 1, "swearing": -1, "anger": -1, "bad feeling": -1,
        "cause": -1,
    },
    "neuroticism": {
        "bad feeling": 1, "anxiety": 1, "anger": 1, "sadness": 1, "i": 1, "negations": 1,
        "swearing": 1, "certainty": 1, "tentative": 1, "discrepancy": 1, "exclusive": 1,
        "cause": 1, "you": -1, "articles": -1, "friends": -1,
    },
}  # fmt: skip
CATEGORIES = tuple(ENGLISH)


def fingerprint() -> str:
    """Twelve hexadecimal digits of the lists and signs: figures of another rater differ in it."""
    content = json.dumps([VERSION, ENGLISH, THAI, SIGNS], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
