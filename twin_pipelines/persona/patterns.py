"""The ways in which people speak of themselves in chats, English and Thai: data, no code.

English patterns are matched at the beginning of a normalised sentence (lower case, no apostrophes,
no punctuation) after its fillers. Thai ones are searched for anywhere, as Thai chats leave
sentences unmarked; `{me}` stands for the words by which the subject calls themselves.
"""

from __future__ import annotations

import re

_VERY = (
    r"(?:(?:really|just|also|absolutely|actually|do|still|always|have always|honestly|personally|"
    r"definitely|totally|truly|firmly|kind of|kinda|mostly|only|so|both|even|especially) )*"
)
_KIN = (
    r"(?:mom|mum|mother|dad|father|parents?|brothers?|sisters?|siblings?|grandma|grandpa|"
    r"grandmother|grandfather|grandparents|wife|husband|boyfriend|girlfriend|fiance|fiancee|kids?|"
    r"children|sons?|daughters?|twins?|cousins?|uncle|aunt|nephews?|nieces?|roommates?|best friend|"
    r"dogs?|cats?|pets?|puppy|kitten|family)"
)
_FAITH = (
    r"(?:christian|lds|mormon|catholic|muslim|buddhist|jewish|hindu|atheist|agnostic|religious|"
    r"vegan|vegetarian|democrat|republican|liberal|conservative|feminist|pacifist|introvert|"
    r"extrovert|introverted|extroverted|perfectionist|optimist|pessimist|realist|night owl|"
    r"morning person|people person|dog person|cat person|nerd|geek|bookworm|homebody)"
)
_FELT = (
    r"(?:sad|happy|excited|scared|afraid|stressed|lonely|nervous|proud|grateful|thankful|anxious|"
    r"depressed|worried|jealous|heartbroken|angry|terrified|homesick|overwhelmed|devastated)"
)
_NUMBER = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|no|a lot of|many|several|some)"

ENGLISH: tuple[tuple[str, str], ...] = (
    (
        "Asked to be remembered",
        r"(?:please )?(?:remember (?:this|that (?:i|im|my))|(?:dont|do not|never) forget "
        r"(?:this|that (?:i|im|my)))\b",
    ),
    (
        "Family and relations",
        rf"(?:i (?:only |also |actually )*have {_VERY}(?:{_NUMBER} |an? |my )?"
        rf"(?:\w+ )?(?:\w+ )?{_KIN}\b"
        rf"|my (?:\w+ )?{_KIN} (?:is|was|are|were|has|have|had|works?|worked|lives?|lived|loves?|"
        r"loved|died|passed|teaches|taught|plays|played|got|grew|studies|went|goes|owns?|"
        r"moved|raised|served|comes?|came|makes?|made|calls?|named?|speaks?|names?)\b"
        r"|(?:im|i am) (?:actually |currently |not |happily |also |still )*(?:married|"
        r"single|engaged|"
        r"dating|divorced|the (?:oldest|youngest|middle)|an only child|(?:one )?of \w+ "
        r"(?:kids|children|siblings)|pregnant)\b"
        r"|i(?:ve| have) been (?:married|dating|engaged|divorced)\b|i got (?:married|engaged)\b)",
    ),
    (
        "Who I am",
        r"(?:my (?:full |real |middle |last |first )?name is|(?:im|i am) (?:\d\d|\w+ years old)\b"
        r"(?! (?:minutes|percent|hours|days|years(?! old)|weeks|months|miles|pages|feet))"
        r"|i (?:just )?turn(?:ed)? \d\d\b|i was born\b"
        r"|(?:im|i am) (?:actually |originally |also )*from \w|i come from\b|i grew up\b"
        r"|i was raised\b|my birthday is\b|i am originally\b|i identify as\b"
        rf"|(?:im|i am) {_VERY}(?:not |more of |pretty |very |really |such |quite )*(?:an? )?"
        rf"(?:\w+ )?{_FAITH}\b)",
    ),
    (
        "Home",
        r"(?:i (?:currently |still |actually |also |now |used to |have |ive )*(?:live|lived)"
        r"(?: \w+)? (?:in|at|on|near|with|by|off|there for|around)\b|(?:im|i am) (?:currently )?"
        r"living (?:in|at|with|near|on)\b|i (?:just |recently )?moved (?:to|from|here|out|"
        r"into|in)\b"
        r"|my (?:hometown|home town|home|house|apartment|room) is\b)",
    ),
    (
        "Work and study",
        r"(?:i (?:currently |also |used to |actually |now |just |still )*(?:work|worked) "
        r"(?:at|as|for|in|with|on campus|part|full|from)\b"
        r"|(?:im|i am|i was) (?:currently |actually |also |still |just )*(?:studying|majoring|"
        r"minoring|working (?:as|at|for|in)|going to school|getting (?:my|a) (?:degree|bachelors|"
        r"masters|phd)|in (?:my (?:first|second|third|fourth|last|senior|junior|freshman|sophomore)"
        r" (?:year|semester)|college|high school|grad school|law school|med school|nursing school|"
        r"the (?:\w+ )?(?:program|major|army|military))"
        r"|an? (?:\w+ ){0,3}(?:major|minor|student|freshman|sophomore|junior|senior|teacher|nurse|"
        r"engineer|programmer|developer|artist|writer|designer|musician|accountant|tutor|"
        r"researcher|manager|ta|lawyer|doctor|cashier|waiter|waitress|janitor|coach))\b"
        r"|(?:my|the) (?:major|minor|job|degree|field|profession|career) (?:is|was)\b"
        r"|i (?:currently |also )?(?:study|studied|teach|taught|major|majored|graduated?|"
        r"research)\b"
        r"|i (?:go|went) to (?:school|college|university|byu|uvu|high school)\b"
        r"|i served (?:a|my|in)\b|i (?:just )?got a (?:new )?(?:job|internship|scholarship)\b"
        r"|i (?:have|had) an? (?:\w+ )?(?:job|internship|scholarship|degree)\b"
        r"|i (?:want|hope|plan|would love) to (?:be|become) an? \w+)",
    ),
    (
        "Values and beliefs",
        rf"(?:i {_VERY}(?:dont |do not |never )?(?:believe (?:in|that)|value|"
        rf"care (?:a lot |deeply )?"
        r"about|stand for)\b|(?:its|it is|\w+ is|\w+ are) (?:very |really |so |"
        r"most )?important to me\b"
        r"|i have (?:a )?(?:strong )?(?:faith|testimony)\b|my (?:faith|religion|belief|testimony)\b"
        r"|i would never\b|(?:im|i am) (?:against|in favor of|pro)\b)",
    ),
    (
        "Dislikes and fears",
        rf"(?:i {_VERY}(?:hate|hated|dislike|despise|detest|cant stand|cannot stand|"
        rf"dont (?:really |"
        r"actually |even )*(?:like|enjoy|care for)|do not (?:really )?(?:like|enjoy)|never liked)\b"
        r"|(?:im|i am) (?:really |very |so |super |also |kind of |kinda |actually |a bit |deathly |"
        r"pretty )*(?:allergic to|afraid of|scared of|terrified of|not a (?:big |huge )?fan of|"
        r"bad at|terrible at|not (?:very |that |super |really )*(?:into|good at)|horrible at)\b"
        r"|my (?:biggest |greatest |worst )(?:fear|weakness|pet peeve)\b)",
    ),
    (
        "Likes",
        rf"(?:i {_VERY}(?:love|loved|like|enjoy|adore|prefer|appreciate)\b"
        r"|my (?:\w+ )?(?:all time )?favou?rite\b|(?:im|i am) (?:really |very |super |"
        r"also |pretty |"
        r"actually |such |totally |kind of |kinda |a bit )*(?:an? (?:big |huge |massive )?(?:fan|"
        r"lover) of|obsessed with|into|interested in|passionate about|addicted to|fascinated "
        r"(?:by|with)|good at|in love with)\b|my (?:hobby|hobbies|passion|interests?)\b)",
    ),
    (
        "Feelings",
        rf"(?:i (?:really |still |already |do |always )*miss\b|(?:im|i am|i was|i feel|i felt|"
        rf"ive been|i have been|i get|i got) (?:so|really|very|super|extremely|incredibly|pretty|"
        rf"terribly) {_FELT}\b|i (?:cried|was crying|lost my)\b|(?:the|my) (?:happiest|saddest|"
        r"worst|best|scariest|proudest) (?:day|moment|time|memory|thing)\b)",
    ),
    (
        "Plans and promises",
        r"(?:i promise\b|my (?:dream|goal|plan|plans|bucket list)\b|i(?:ve| have) always wanted\b"
        r"|(?:im|i am|i was) (?:planning (?:on|to)|hoping to|saving (?:up )?(?:for|to)|"
        r"training for|learning)\b|i (?:plan|hope|intend) (?:on|to)\b|i dream of\b"
        r"|(?:im|i am) (?:going to|gonna) (?:be|become|graduate|get married|have|move|study|start|"
        r"learn|marry|propose|travel|serve|teach|quit|apply)\b|i will (?:always|never)\b"
        r"|i (?:really )?want to (?:learn|travel|visit|go to|live|see|write|start|build|make|have|"
        r"get (?:a|my|into)|study|teach|work|play|move|become)\b)",
    ),
    (
        "Habits and skills",
        r"(?:i (?:always|usually|never|often|tend to|rarely|hardly ever)\b"
        r"|i (?:can |also |used to |know how to )*(?:play|played|speak|spoke|run|dance|danced|sing|"
        r"sang|cook|bake|draw|paint|write|collect|volunteer|hike|swim|ski|snowboard|read|code|knit|"
        r"sew|climb|surf|garden|meditate|pray|drink|smoke|wake up|go (?:to the gym|running|hiking|"
        r"to church))\b|i used to\b|ive (?:been|played|lived|always)\b|i have (?:been|"
        r"always|played)"
        r"\b|i own\b|i drive\b|every (?:day|morning|night|week|weekend|summer|year) i\b)",
    ),
)
THAI_ME = ("ดิฉัน", "ฉัน", "ผม", "หนู", "เรา(?!ะ)", "เค้า", "ข้าพเจ้า")
THAI: tuple[tuple[str, str], ...] = (
    ("Asked to be remembered", r"(?:ช่วย)?จำ(?:ไว้|เอาไว้)|อย่าลืม(?:นะ|ว่า)|ห้ามลืม"),
    (
        "Family and relations",
        r"{me}\s*(?:ก็|ยัง)?มี(?:พี่|น้อง|แฟน|ลูก|แมว|หมา|สุนัข|ครอบครัว|สามี|ภรรยา)"
        r"|(?:แม่|พ่อ|พี่ชาย|พี่สาว|น้องชาย|น้องสาว|แฟน|สามี|ภรรยา|ลูกชาย|ลูกสาว|แมว|หมา|ครอบครัว)"
        r"(?:ของ)?\s*{me}",
    ),
    ("Who I am", r"{me}\s*(?:เป็นคน|ชื่อ|อายุ|เกิด|มาจาก|คือ)"),
    ("Home", r"{me}\s*(?:ก็|ยัง)?(?:อยู่ที่|อาศัยอยู่|พักอยู่|ย้ายไป|ย้ายมา)|บ้าน(?:ของ)?{me}"),
    (
        "Work and study",
        r"{me}\s*(?:ก็|กำลัง|เคย)?(?:ทำงาน|เรียน|สอน|จบ|เป็น(?:ครู|หมอ|พยาบาล|วิศวกร|โปรแกรมเมอร์|"
        r"นักเรียน|นักศึกษา|นักเขียน|นักพัฒนา|ผู้จัดการ))|งาน(?:ของ)?{me}",
    ),
    ("Values and beliefs", r"{me}\s*(?:ก็)?(?:เชื่อ|นับถือ|ให้ความสำคัญ|ยึดมั่น|ศรัทธา)"),
    ("Dislikes and fears", r"{me}\s*(?:ก็|จะ)?(?:ไม่(?:ค่อย)?ชอบ|เกลียด|กลัว|แพ้|ไม่ถนัด)"),
    (
        "Likes",
        r"{me}\s*(?:ก็|จะ|เคย)?(?:ชอบ|รัก|หลงรัก|หลงใหล|ถนัด|สนใจ|ติด)|"
        r"โปรด(?:ปราน)?(?:ของ)?\s*{me}",
    ),
    ("Feelings", r"{me}\s*(?:ก็|รู้สึก)?(?:คิดถึง|เสียใจ|ดีใจ|ภูมิใจ|เหงา|เศร้า|มีความสุข|ซาบซึ้ง)"),
    (
        "Plans and promises",
        r"{me}\s*(?:ขอ)?(?:สัญญา|ตั้งใจ|วางแผน|ใฝ่ฝัน|ฝันว่า|อยาก(?:เป็น|ไป|จะ|เรียน|ทำ)|"
        r"จะไม่|จะอยู่|"
        r"จะพยายาม)|ความฝัน(?:ของ)?{me}",
    ),
    ("Habits and skills", r"{me}\s*(?:ก็)?(?:มัก|ตื่น|เคย|ไม่เคย|เล่น|พูดภาษา|ออกกำลังกาย)"),
)
KINDS = tuple(kind for kind, _ in ENGLISH)
# What is said lies in the pattern's own words ("I am the oldest"); elsewhere it must follow them.
TELLING_KINDS = (
    "Asked to be remembered",
    "Family and relations",
    "Who I am",
    "Home",
    "Work and study",
    "Values and beliefs",
)

FILLERS = re.compile(
    r"(?:(?:yeah|yea|ya|yes|yep|yup|no|nope|nah|well|so|and|but|oh|ooh|ah|aw+|wow|[hae]*(?:ha|he)"
    r"{2,}[hae]*|lol|actually|honestly|um+|uh+|hmm+|hm|okay|ok|also|because|cause|cuz|like|i mean|"
    r"nice|same|personally|anyway|anyways|though|sadly|luckily|currently|right now|to be honest|"
    r"tbh|unfortunately|fortunately|mostly|normally|usually|lately|now|then|plus|basically|"
    r"for me|dude|man|cool|awesome|great|good|alright|sweet|oh no|gosh|dang|shoot|thanks|ha) )+"
)
SENTENCE_END = re.compile(
    r"\n+|"
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bSt\.)(?<!Mrs\.)(?<!\bvs\.)(?<=[.!?。…])\s+|(?:(?<=ค่ะ)|(?<=คะ)|(?<=ครับ)|(?<=จ้า)|(?<=จ้ะ))\s+"
)
QUESTION = re.compile(
    r"[?？]\s*\W*$|(?:ไหม|มั้ย|หรือเปล่า|รึเปล่า|หรอ|เหรอ|หรือยัง|ใช่มั้ย|ใช่ไหม)(?:คะ|"
    r"ครับ|เนี่ย)?\W*$"
)
ASIDE = re.compile(r"""^\s*["'“‘>*(]|["“”].*["”]|^\s*\S+:\s""")
UNSURE = re.compile(
    r"\b(?:if|unless|suppose|imagine|hypothetically|pretend|maybe|might|perhaps|would(?! never)|"
    r"could|should|wish|guess|not sure|dont know|wouldnt|couldnt|shouldnt|id (?:probably|rather)|"
    r"supposedly|joking|jk|kidding|sarcas\w*|lol|lmao|rofl|said|says|told|asked|was like|"
    r"were like|is like|be like|quote|dreamt|dreamed|last night i|thought i)\b"
    r"|\bim (?:dead|dying|screaming|done|weak|crying)\b|i (?:died|cant even)\b"
    r"|ถ้า|สมมติ|อาจจะ|คงจะ|ล้อเล่น|หยอก|บอกว่า|พูดว่า"
)
SMALL_TALK = re.compile(
    r"^(?:i (?:\w+ ){0,2}(?:love|like|loved|enjoy|hate|appreciate|prefer|dont like|"
    r"miss|value|adore)"
    r" (?:it|that|this|them|those|these|him|her|you|how|when|the way|the idea|what|your|talking|"
    r"chatting|to (?:think|hear|know|say|talk|chat)|both|all|either|one|mine|the (?:first|second|"
    r"last|fact|sound|thought|same|question|name)|where|why|hearing|people (?:who|that)|things|"
    r"stuff|a lot|thinking|knowing|meeting)\b"
    r"|i (?:\w+ ){0,2}believe (?:in )?(?:it|that|this|you|him|her|them|so)\b"
    r"|i (?:always|usually|never|often|tend to) (?:thought|knew|think|wonder\w*|know|heard|hear|"
    r"forget|feel|felt|saw|see|get|got|said|say|realized|even|really|thought of|noticed|"
    r"understood|do|did|have|had|am|was|want|wanted|seen|tried|mind|guess|figured)\b"
    r"|ive (?:been|always) (?:thinking|thought|wondering|good|well|great|okay|fine|meaning|"
    r"heard|told|here|there|on|in here|chatting|waiting|trying|talking)\b"
    r"|i have (?:been|always) (?:thinking|thought|wondering|good|well|told|heard|here|chatting|"
    r"waiting|trying|talking|to)\b|i used to (?:it|that|be able|think|have)\b"
    r"|i (?:can|also) (?:read|run|write|play) (?:it|that|this|your|the|you|with you)\b"
    r"|i (?:really )?(?:want|hope|plan|promise|intend) to (?:see|have|make|go|get) (?:it|that|you|"
    r"what|how|to know|a chat|your|one|some|them)\b|i (?:hope|wish) you\b|i hope to (?:see|talk|"
    r"chat|hear)\b|im (?:going to|gonna) (?:have to|be (?:there|here|right|back|late|honest))\b"
    r"|(?:im|i am) (?:really |pretty |very |super )*(?:into|interested in|learning|good at|bad at) "
    r"(?:it|that|this|them|those|what|how|about|more|your|you|hearing|learning|knowing)\b"
    r"|i will (?:always|never) (?:know|tell)\b|(?:im|i am) (?:from|living in) (?:here|there)\b"
    r"|i (?:work|lived?|moved|study|teach|read|write|play|own|drive|worked|speak|run|drink|cook) "
    r"(?:on |for |in |at |with |by |around )?(?:it|that|this|them|there|you|him|her|one|"
    r"all|so|out|too|those)\b|i (?:play|read|ran?|wrote?|write) (?:a|the) (?:game|message|book) "
    r"(?:and|with|where)\b)"
)
PASSING = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|this (?:morning|afternoon|evening|week|weekend)|last "
    r"(?:night|week|weekend)|next (?:week|weekend)|right now|at the moment|coming up|just now|"
    r"a (?:minute|second|sec|moment) ago|in a (?:minute|second|sec|bit)|soon|so far)\b"
    r"|วันนี้|คืนนี้|พรุ่งนี้|เมื่อวาน|ตอนนี้|เมื่อคืน|เดี๋ยว|สัปดาห์หน้า|อาทิตย์หน้า"
)
VAGUE_END = re.compile(
    r"\b(?:is|was|are|were|has|have|had|with|in|at|for|my|like|love|about|that|it|this|the|a|an|and|"
    r"but|because|or|to|of|too though|so)$"
)
EMPTY_WORDS = (
    "i im ive my me mine am is are was were be been a an the to of in on at for with and or but "
    "so it its that this do did does have has had just really very also too not no dont cant "
    "about as from like love hate enjoy some any all more most much many lot lots thing things "
    "stuff there here now then when who what will would can could get got go going pretty super "
    "quite actually still always never usually kind sort ever even only though yeah haha "
    "because if by day days time times way ways people person someone something anything "
    "everything nothing those these good bad nice great fun cool best better new first last "
    "start started keep see saw know knew think thought feel felt want wanted make made take "
    "took come came tell told say said well back again maybe probably definitely totally least "
    "bit while during before after years year around over into out off down being used lately "
    "currently tonight today tomorrow yesterday ok okay lol yes up you your we they he she them "
    "him her us our their which where how why yet other both each same such own"
)
