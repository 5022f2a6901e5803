"""How good a training example a pair is: five named parts of 0–2, together 0–10.

A function of the pair alone, so that a day scored by itself and a day scored in a backfill agree.
No language model is asked: each part counts marks that can be pointed at in the text.

- relevance   2 · (0.5 · (1 − e^(−shared)) + 0.5 · answer): `shared` content words occur in the
              reply and in the conversation before it; `answer` is 1 when a question is met by
              something other than questions, 0.3 when only by questions, 0.6 when none was asked.
- information 2 · (1 − e^(−n/5)) for n distinct content words in the reply.
- emotion     2 · (1 − e^(−m/1.5)) for m marks of feeling: emoji, emoticons, exclamation marks,
              laughter, drawn-out letters, words of feeling.
- style       2 · min(1, m/4) for m marks of a personal manner (colloquial words, dropped
              apostrophes, a lower-case beginning, no full stop, particles, emoji …); a quarter of
              it where the text is service boilerplate. It tells a person from an assistant, not one
              person from another: the evaluation's verifier does that.
- flow        2 · (0.4 · min(1, earlier turns / 2) + 0.4 / (1 + wait / 10 min) + 0.2 · balance) with
              balance = e^(−|ln(characters of reply / of message)| / 3); 0 when the reply only
              echoes the message or the subject's own previous turn.

Content words are words of three and more letters that are not function words. Thai has no spaces:
there, every window of four characters counts, as a quarter of a word in `information`.
"""

from __future__ import annotations

import polars as pl

from twin_pipelines.foundation.similarity import normal_text

QUALITY_PARTS = ("relevance", "information", "emotion", "style", "flow")

_FUNCTION_WORDS = (
    "about after all also and any are been but can could did does doing don dont for from get gets "
    "getting got had has have having her him his how its just like lot lots more much not now one "
    "our out really she should some than that thats the their them then there these they thing "
    "things think this those too very was were what when where which who why will with would yeah "
    "yes you your youre ive ill well okay know going"
)
_STOP = rf"\b(?:{_FUNCTION_WORDS.replace(' ', '|')})\b"
_THAI = r"\x{0E00}-\x{0E7F}"
_DRAWN_OUT = "(?i)(?:" + "|".join(f"{letter}{{3,}}" for letter in "aeiouyhmrsกมนยาๆ") + ")"
_EMOJI = r"[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}]"
_EMOTICON = r"(?:[:;=8xX][-']?[)(DPpOo/\\|*3]|<3|\^_?\^|T_T|>_<|:'\(|xD\b)"
_LAUGHTER = r"(?i)\b(?:a*(?:ha){2,}h*|lo+l|lmao|rofl|he(?:he)+|5{3,})\b|อิอิ|ฮ่า"
_FEELING = (
    r"(?i)\b(?:love|loved|hate|hated|happy|sad|sorry|afraid|scared|angry|mad|excited|exciting|fun|"
    r"funny|awesome|amazing|great|wonderful|terrible|awful|horrible|worried|worry|nervous|lonely|"
    r"miss|missed|proud|glad|hope|wish|wow|aw+|ugh+|yay|sweet|cute|beautiful|crazy|weird|sucks|"
    r"stressed|stressful|tired|bored|boring|annoying|annoyed|jealous|grateful|thankful|hurt|cry|"
    r"cried|crying|laugh|laughed|enjoy|enjoyed|favorite|favourite)\b"
    r"|รัก|คิดถึง|ดีใจ|เสียใจ|เศร้า|โกรธ|กลัว|เหนื่อย|มีความสุข|ขอบคุณ|ขอโทษ|เบื่อ|สนุก|ตื่นเต้น|"
    r"เหงา|ห่วง|กังวล|ภูมิใจ|ร้องไห้|น่ารัก|เกลียด|ชอบ|หวัง"
)
_COLLOQUIAL = (
    r"(?i)\b(?:yeah|yea|yep|yup|nah|nope|haha\w*|lol|lmao|idk|tbh|omg|btw|gonna|wanna|gotta|kinda|"
    r"sorta|cuz|cause|dunno|lemme|ya|u|ur|thx|pls|hey|hmm+|huh|oh|ooh|aw+|ugh+|dude|guys|stuff|"
    r"cool|shoot|dang|heck|wow|like|anyway|probably|pretty|super|totally|honestly|literally|"
    r"dont|doesnt|didnt|isnt|wasnt|cant|wont|im|ive|thats|its|whats|youre|theyre|lets|"
    r"\w+n't|i'm|i've|i'll|i'd|it's|that's|what's|you're|they're|let's)\b"
    r"|นะ|ค่ะ|คะ|ครับ|จ้า|จ้ะ|จ๊ะ|อ่ะ|อะ|เนอะ|เลย|สิ|ล่ะ|โอ๊ย|เอ้า|5{3,}"
)
_BOILERPLATE = (
    r"(?i)\bas an ai\b|how (?:can|may) i (?:help|assist) you|i(?:'d| would) be (?:happy|glad) to "
    r"(?:help|assist)|(?:please )?let me know if you (?:have|need)|is there anything else|"
    r"thank you for (?:contacting|your (?:message|patience))|i hope this (?:helps|email finds)"
)
_ASKS = (
    r"[?？]|(?i)(?:^|[.!\n]\s*)(?:what|whats|who|where|when|why|how|hows|which|do you|are you|did "
    r"you|have you|can you|would you|will you|is it|is there)\b|ไหม|มั้ย|หรือเปล่า|รึเปล่า|อะไร|ทำไม|"
    r"ยังไง|อย่างไร|ที่ไหน|เมื่อไหร่|เมื่อไร|ใคร"
)


def with_quality(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with `quality_parts` (a struct of the five parts) and `quality`, their sum.

    Needs `context, input, reply` and `wait`, the seconds from the end of the partner's message to
    the reply.
    """
    contents = pl.col("context").list.eval(pl.element().struct.field("content"))
    texts = pairs.with_columns(
        pl.concat_str(contents.list.join("\n"), "input", separator="\n").alias("_before"),
        normal_text(pl.col("input")).alias("_asked"),
        normal_text(pl.col("reply")).alias("_said"),
        normal_text(_last_own_turn()).alias("_own"),
    ).with_columns(
        content_words(pl.col("_said")).alias("_words"),
        content_words(normal_text(pl.col("_before"))).alias("_known"),
    )
    parts = [
        part.cast(pl.Float64).clip(0, 2).round(3).cast(pl.Float32).alias(name)
        for name, part in zip(
            QUALITY_PARTS,
            (_relevance(), _information(), _emotion(), _style(), _flow()),
            strict=True,
        )
    ]
    return (
        texts.with_columns(pl.struct(parts).alias("quality_parts"))
        .with_columns(
            pl.sum_horizontal(pl.col("quality_parts").struct.field(name) for name in QUALITY_PARTS)
            .clip(0, 10)
            .cast(pl.Float32)
            .alias("quality")
        )
        .select(*pairs.columns, "quality", "quality_parts")
    )


def _relevance() -> pl.Expr:
    shared = pl.col("_words").list.set_intersection("_known").list.len()
    plain = pl.col("reply").str.replace_all(r"[^.!?\n]*\?", "")
    answer = (
        pl.when(~pl.col("input").str.contains(_ASKS))
        .then(0.6)
        .when(plain.str.contains(r"\p{L}"))
        .then(1.0)
        .otherwise(0.3)
    )
    return 2 * (0.5 * (1 - (-shared.cast(pl.Float64)).exp()) + 0.5 * answer)


def _information() -> pl.Expr:
    windows = pl.col("_words").list.eval(pl.element().str.contains(rf"^[{_THAI}]")).list.sum()
    words = pl.col("_words").list.len().cast(pl.Float64) - 0.75 * windows.fill_null(0)
    return 2 * (1 - (-words / 5).exp())


def _emotion() -> pl.Expr:
    marks = _count(_EMOJI, _EMOTICON, _DRAWN_OUT, _LAUGHTER, _FEELING, "!+")
    return 2 * (1 - (-marks / 1.5).exp())


def _style() -> pl.Expr:
    reply = pl.col("reply")
    marks = (
        _count(_EMOJI, _EMOTICON, _DRAWN_OUT, _COLLOQUIAL, r"\.{2,}|…", r"\([^)]+\)")
        + reply.str.contains(r"(?m)^\p{Ll}").cast(pl.Float64)
        + (~reply.str.contains(r"[.!?。]\s*$")).cast(pl.Float64)
    )
    return (
        2
        * (marks / 4).clip(0, 1)
        * pl.when(reply.str.contains(_BOILERPLATE)).then(0.25).otherwise(1)
    )


def _flow() -> pl.Expr:
    turns = (pl.col("context").list.len() / 2).clip(0, 1)
    prompt = 1 / (1 + pl.col("wait").clip(0) / 600)
    lengths = pl.col("reply").str.len_chars() / pl.col("input").str.len_chars().clip(1)
    balance = (-lengths.log().abs() / 3).exp()
    echo = (pl.col("_said") != "") & (
        (pl.col("_said") == pl.col("_asked")) | (pl.col("_said") == pl.col("_own")).fill_null(False)
    )
    return pl.when(echo).then(0.0).otherwise(2 * (0.4 * turns + 0.4 * prompt + 0.2 * balance))


def _count(*patterns: str) -> pl.Expr:
    found = [pl.col("reply").str.count_matches(pattern).cast(pl.Float64) for pattern in patterns]
    return pl.sum_horizontal(found)


def content_words(normal: pl.Expr) -> pl.Expr:
    """Distinct content words of normalised text; for Thai every window of four characters."""
    words = normal.str.replace_all(rf"[{_THAI}]+", " ").str.replace_all(_STOP, " ")
    windows = [
        normal.str.replace_all(rf"(^|[^{_THAI}])[{_THAI}]{{{offset}}}", "${1}")
        for offset in (1, 2, 3)
    ]
    return pl.concat_list(
        words.str.extract_all(r"[\p{L}\p{M}\p{N}]{3,}"),
        *(text.str.extract_all(rf"[{_THAI}]{{4}}") for text in (normal, *windows)),
    ).list.unique()


def _last_own_turn() -> pl.Expr:
    own = pl.col("context").list.eval(
        pl.when(pl.element().struct.field("role") == "assistant")
        .then(pl.element().struct.field("content"))
        .drop_nulls()
    )
    return own.list.last()
