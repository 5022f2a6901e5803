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
        r"(?:please )?(?:remember (?:this$|(?:this|that) (?:i|im|my))|(?:dont|do not|never) forget "
        r"(?:this|that (?:i|im|my)))\b",
    ),
    (
        "Family and relations",
        rf"(?:i (?:only |also |actually )*have {_VERY}(?:{_NUMBER} |an? |my )?"
        rf"(?:\w+ )?(?:\w+ )?{_KIN}\b"
        rf"|my (?:\w+ )?{_KIN} "
        r"(?:(?:is|was|are|were)(?! (?:just |so |all |also |really )*"
        r"(?:like|too|there|here|that|this|gonna|saying|telling|asking|driving|laughing|waiting|yelling|"
        r"freaking|"
        r"right|not$)\b)|has|have|had(?! to)|works?|worked|lives?|lived|loves?|"
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
        r"|(?:im|i am|i was) (?:currently |actually |also |still |just )*"
        r"(?:learning(?! (?:about|that|how you)\b)|"
        r"studying(?! for\b| all\b| hard\b| right\b| so\b)|majoring|"
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
        r"|i would never (?:lie|cheat|hurt|kill|steal|leave|marry|date|judge|do drugs|want to|"
        r"give up)"
        r"\b|(?:im|i am) (?:against|in favor of|pro)\b)",
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
        r"|my (?:\w+ )?(?:all time )?favou?rite\b"
        r"(?=.* (?:is|are|was|were|has|have|to|would|being)\b)|(?:im|i am) (?:really |very |super |"
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
        r"worst|best|scariest|proudest) (?:day|moment|time|memory|thing)"
        r"(?= (?:that|i|to|in|ever|was)\b))",
    ),
    (
        "Plans and promises",
        r"(?:i promise\b|my (?:dream|goal|plan|plans|bucket list)\b|i(?:ve| have) always wanted\b"
        r"|(?:im|i am|i was) (?:planning (?:on|to)|hoping to|saving (?:up )?(?:for|to)|"
        r"training for)\b|i (?:plan|hope|intend) (?:on|to)\b|i dream of\b"
        r"|(?:im|i am) (?:going to|gonna) "
        r"(?:be (?:an? |the |in |on |with )|become|graduate|get married|have|move|study|start|"
        r"learn|marry|propose|travel|serve|teach|quit|apply)\b|i will (?:always|never)\b"
        r"|i (?:really )?want to (?:learn|travel|visit|go to|live|see|write|start|build|make|have|"
        r"get (?:a|my|into)|study|teach|work|play|move|become)\b)",
    ),
    (
        "Habits and skills",
        r"(?:i (?:always|usually|never|often|tend to|rarely|hardly ever)\b"
        r"|i (?:can |also |used to |know how to )*(?:play|played|"
        r"speak(?! (?:from|to|with|up)\b)|spoke(?! (?:to|with|up)\b)|run|dance|danced|sing|"
        r"sang|cook|bake|draw|paint|write|collect|volunteer|hike|swim|ski|snowboard|read|code|knit|"
        r"sew|climb|surf|garden|meditate|pray|drink|smoke|wake up|go (?:to the gym|running|hiking|"
        r"to church))\b|i used to\b"
        r"|(?:ive|i have) (?:always (?!been\b|wondered|struggled|thought|felt|had a|heard|"
        r"assumed|figured|seen)|(?:actually |honestly |really )*never (?:been to (?=\w)|"
        r"been an? (?=\w)(?!big fan)|been able|been (?:\w+ing|married|kissed|dumped)|"
        r"eaten|tried|played|gone|learned|learnt|owned|drunk|drank|smoked|kissed|dated|flown|"
        r"traveled|travelled|broken|built|ridden|left|lived|skied|cooked|driven|read|watched|seen|"
        r"had (?:an? |any |my )?\w+)\b|(?:also |actually |only |really )*"
        r"(?:played|lived|visited|traveled|travelled|studied|worked (?:at|as|in|for|with)|"
        r"been (?:to (?=\w)|an? (?=\w)(?!few|couple|lot|while|long)|"
        r"(?:play|learn|study|liv|teach|cod|programm|danc|paint|draw|writ|"
        r"climb|runn|ski|cook|garden|train|collect|work)ing\b(?! on (?:it|that|this|my hw|"
        r"homework)))))\b|i own\b|i drive\b"
        r"|every (?:day|morning|night|week|weekend|summer|year) i\b)",
    ),
)
_AHEAD = (
    r"(?:(?:day after )?tomorrow|tonight|later today|next (?:week|weekend|month|year|semester|"
    r"summer|fall|spring|winter|term|(?:mon|tues|wednes|thurs|fri|satur|sun)day)|this (?:weekend|"
    r"summer|fall|winter|spring|coming|(?:mon|tues|wednes|thurs|fri|satur|sun)day)|on (?:mon|tues|"
    r"wednes|thurs|fri|satur|sun)day|in (?:\w+ (?:days|weeks|months|years)|a (?:week|month|year)|"
    r"january|february|march|april|may|june|july|august|september|october|november|december|"
    r"20\d\d)|for (?:christmas|thanksgiving|easter|halloween)|after i graduate)"
)
# What somebody is about to do at a named time.
PLANNED = re.compile(
    r"(?:(?:i|we) (?:actually |also |still |just )*(?:have|need) (?:to|an?|my|two|three|our)\b"
    r"|(?:im|i am|we are|were) (?:actually |also |probably |finally |just )*"
    r"(?:going|leaving|flying|driving|moving|getting|starting|taking|having|meeting|visiting|heading|seeing|graduating|"
    r"travelling|traveling|coming|hosting|throwing|running|gonna)\b"
    r"|(?:i|we|ill) (?:will |also |actually |get to |finally )*(?:leave|start|move|fly|go|graduate|"
    r"finish|turn|am going|are going|will be|will have|be)\b"
    r"|my (?:\w+ ){1,2}(?:is|are|starts|is coming) (?:coming|getting|starting|going)?)"
    rf"(?<!going)(?: (?!who\b|(?:un)?till?\b|since\b|last\b|kept\b|been\b|had\b)\w+)*? {_AHEAD}\b"
)
_AHEAD_THAI = (
    r"(?:พรุ่งนี้|มะรืน|คืนนี้|เย็นนี้|(?:สัปดาห์|อาทิตย์|เดือน|ปี|วัน\S{2,10})หน้า|สุดสัปดาห์นี้|"
    r"เสาร์อาทิตย์นี้|วัน(?:จันทร์|อังคาร|พุธ|พฤหัส(?:บดี)?|ศุกร์|เสาร์|อาทิตย์)(?:นี้|ที่)?|"
    r"อีก\s*\S{1,6}\s*(?:วัน|สัปดาห์|เดือน|ปี)|สิ้นเดือน|วันที่\s*\d)"
)
_INTENDS_THAI = r"(?:จะ|ต้อง|มีสอบ|มีนัด|มีประชุม|มีเรียน|นัด|สอบ)"
# A Thai sentence without a subject begins like this when the speaker is meant.
_UNSAID = r"^(?:(?:ก็|แต่|จริงๆ|ปกติ|เลย|คือ|ใช่|โอ้|อืม)\s*)*"
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
    (
        "Plans and promises",
        rf"^(?:{{me}}\s*)?(?:ว่า)?{_INTENDS_THAI}.*?{_AHEAD_THAI}"
        rf"|{_AHEAD_THAI}\s*(?:{{me}}\s*)?(?:ว่า)?{_INTENDS_THAI}"
        rf"|{_UNSAID}(?:ขอ)?สัญญา(?:ว่า|นะ)",
    ),
    ("Values and beliefs", r"{me}\s*(?:ก็)?(?:เชื่อ|นับถือ|ให้ความสำคัญ|ยึดมั่น|ศรัทธา)"),
    ("Dislikes and fears", r"(?:{me}\s*(?:ก็|จะ)?|^)(?:ไม่(?:ค่อย)?ชอบ|เกลียด|กลัว|แพ้|ไม่ถนัด)"),
    (
        "Likes",
        rf"(?:{{me}}\s*(?:ก็|จะ|เคย)?|{_UNSAID})(?:ชอบ|รัก|หลงรัก|หลงใหล|ถนัด|สนใจ)|{{me}}\s*ติด|"
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

# How every English self-statement begins: what does not is not looked at further.
MAY_TELL = re.compile(
    r"(?:i|im|ive|ill|my|we|were|the|every|please|remember|dont|do not|never)\b"
    r"|(?:its|it is|\w+ is|\w+ are) .*important to me"
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
ASIDE = re.compile(r"""^\s*["'“‘>*(]|["“”]|^\s*\S+:\s""")
UNSURE = re.compile(
    r"\b(?:if|unless|suppose|imagine|hypothetically|pretend|maybe|might|perhaps|would(?! never)|"
    r"could|should|wish|guess|not sure|dont know|wouldnt|couldnt|shouldnt|id (?:probably|rather)|"
    r"supposedly|joking|jk|kidding|sarcas\w*|lol|lmao|rofl|said|says|told|asked|was like|"
    r"were like|is like|be like|quote|dreamt|dreamed|last night i|thought i)\b"
    r"|\bim (?:dead|dying|screaming|done|weak|crying)\b|i (?:died|cant even)\b"
    r"|ถ้า|สมมติ|อาจจะ|คงจะ|ล้อเล่น|หยอก|บอกว่า|พูดว่า"
)
SMALL_TALK = re.compile(
    r"^(?:i (?:\w+ ){0,2}(?:love|like|loved|liked|enjoy|enjoyed|hate|hated|appreciate|prefer|"
    r"dont like|miss|value|adore)"
    r" (?:it|that|this|them|those|these|him|her|his|their|its|you|u|how|when|the way|the idea|what|"
    r"your|yours|some|others|both of|part of|anything|everything|who|if|as|being able|talking|"
    r"visiting|"
    r"chatting|to (?:think|hear|know|say|talk|chat)|both|all|either|one|mine|the (?:first|second|"
    r"last|fact|sound|thought|same|question|name)|where|why|hearing|people (?:who|that)|things|"
    r"stuff|a lot|thinking|knowing|meeting)\b"
    r"|i (?:was |am |really )?like (?:just|totally|literally|never|cant|dont|am|was|had|have|i|im|"
    r"didnt|doesnt|wont|wasnt|couldnt|found|got|went|saw|see|said|think|thought|did|really|kinda|"
    r"kind of|sort of|ok|okay|oh|wait|"
    r"no|yes|yeah|whoa|wow|maybe|\d+)\b"
    r"|i (?:\w+ ){0,2}(?:love|loved|like|liked|enjoy|hate) (?:the|my) (?:\w+ )?(?:movie|show|song|"
    r"book|part|ending|scene|sound|look|idea|smell|taste|feeling|"
    r"colou?r|music|story|thought|name|question|topic|answer|one|ones|picture|"
    r"joke|chat|conversation|first one|other)s?(?: (?:too|so much|a lot|better|more|though|lol))?$"
    r"|i (?:\w+ ){0,2}(?:love|like|enjoy|hate) \w+(?: too| as well| also| so much| a lot| though)* "
    r"(?:because|cuz|but|so|and) (?:it|they|he|she|you)$"
    r"|.* (?:it|you|u|them|that|those|there|one|this|these|one or two|either|things|stuff)"
    r"(?: (?:so far|too|as well|either|though|haha|today|again|at all|so much|a lot|anymore|tho|"
    r"lol|hah|one day|someday|because.*|and.*|but.*|cuz.*))*$"
    r"|i (?:\w+ ){0,3}the (?:part|scene|moment|one) (?:when|where|that|with|in|of)\b"
    r"|i (?:\w+ ){0,2}(?:play|read|write|draw|code)(?:ing)? (?:when|whenever|a little|a bit|but|if|"
    r"sometimes|more than)\b"
    r"|i used to (?:when|know|but|a lot)\b"
    r"|i (?:\w+ ){0,2}hate to (?:cut|break|say|admit|interrupt|tell|be that)\b|.* em$"
    r"|.* (?:chill|be|live|move|come) here$|.* like that$|i (?:\w+ )?look to (?:her|his|their)\b"
    r"|i (?:really )?want to make (?:sure|it|you|a (?:point|joke))\b"
    r"|i used to (?:\w+ ){0,2}(?:there|that|it|one|those|them|this)\b"
    r"|(?:ive|i have) (?:\w+ )?never (?:had|tried|seen|read|watched|taken|played|heard) (?:\w+ )?"
    r"(?:it|that|one|the|this|those|them|his|her|their|your|a reason|any reason)\b"
    r"|i (?:\w+ ){0,2}(?:love|like|enjoy)d? (?:to )?"
    r"(?:play|listen|do|try|go|talk|make|watch)(?:ing)?(?: too| as well| also)*$"
    r"|(?:im|i am) (?:going to|gonna) (?:start|have) (?:a|an|this|the) (?:\w+ )?"
    r"(?:talk|talking|chat|conversation|game)\b|i (?:study|taught) (?:myself|hard)$"
    r"|i (?:always |usually |never |also |can )*(?:run|ran) (?:into|out|away|off|it|a test)\b"
    r"|i (?:also |just )*(?:read|write) (?:recently|somewhere|in an?|that|about|online|an article|"
    r"a thing|"
    r"the article|in the|the question)\b"
    r"|(?:im|i am) (?:going to|gonna) (?:be (?:off|on|home|busy|gone|honest|late|right|fine|ok|"
    r"okay|there|here|back)|have to (?:go|leave|run|head))\b"
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
# What it speaks of was named before, in a sentence that is not this one.
DANGLING = re.compile(
    r"^(?:\w+ ){0,7}(?:\w+ing|take|took|read|do|did|see|saw|get|try|tried|make|play|watch|use|buy|"
    r"finish|have|had|give|know|about|with|to|of|for|from|at|like|than|call|called|bring|eat) "
    r"(?:it|them|him|her|those|yours|theirs|that(?= (?:in|on|at|too|so|but|and|for|when|because)\b"
    r"|$))(?= (?:in|on|at|too|so|but|and|for|when|because|by|from|this|next|out|up|a|again|"
    r"actually|all|as|well|though|until|before|after|yet|with|to|now|then|ever|or|if)\b|$)"
    r"|^(?:\w+ ){1,7}(?!(?:because|and|but|that|if|when|as|how|what|so|until|where|since|though|"
    r"cuz|think|like|say|know)\b)\w+ (?:it|them)(?= (?:in|on|at|too|so|but|and|for|when|because|by|"
    r"from|this|out|up|again|actually|all|as|though|before|after|with|to|now|then|if)\b|$)"
    r"|\b(?:this|that|these|those) (?!week|month|year|summer|fall|spring|winter|semester|term|"
    r"morning|evening|afternoon|season|much|way)\w+$|\bthat part\b"
    r"|^i (?:\w+ ){0,3}(?:love|like|hate|enjoy|prefer|dislike)d? the (?!mountains?|beach|rain|snow|"
    r"heat|cold|ocean|sea|sun|outdoors|temples?|city|country|summer|winter|fall|spring|weather|"
    r"church|gospel|nights?|stars|water|desert|forest|gym|piano|library|world|moon|sky|dark|internet|lord)"
    r"\w+(?: too| also| as well| though| so much| a lot| haha)*$"
    r"|^(?:\w+ ){0,7}(?:famous|going|go|live|lives|lived|moved|been|went|work|works|worked|back|"
    r"stay|was|is|are|were|visit) there\b"
    r"|\b(?:in|at|to|of|from) (?:that|this) (?:place|problem|thing|one|game|movie|show|book|class|"
    r"town|area|song|guy|girl)\b"
)
PASSING = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|this (?:morning|afternoon|evening|week|weekend)|last "
    r"(?:night|week|weekend)|next (?:week|weekend)|right now|at the moment|coming up|just now|"
    r"a (?:minute|second|sec|moment) ago|in a (?:minute|second|sec|bit)|soon|so far)\b"
    r"|วันนี้|คืนนี้|พรุ่งนี้|เมื่อวาน|ตอนนี้|เมื่อคืน|เดี๋ยว|สัปดาห์หน้า|อาทิตย์หน้า"
)
VAGUE_END = re.compile(
    r"\b(?:is|was|are|were|probably|has|have|had|with|in|at|for|my|like|love|about|that|it|this|the|a|an|and|visit|try|stay|play|do|studying|learning|working|"
    r"but|because|or|to|of|too though|so)$"
)
THAI_EMPTY_WORDS = (
    "ผม ฉัน ดิฉัน หนู เรา เค้า น้อง พี่ ที่ และ หรือ ของ ก็ จะ ได้ ให้ ว่า แล้ว แต่ กับ ใน มี เป็น อยู่ คือ มา ไป "
    "นี้ นั้น นะ น่ะ ค่ะ คะ ครับ คับ จ้า จ้ะ จ๊ะ เลย มาก มากๆ ๆ ที่สุด จัง ด้วย เหมือนกัน กัน ไม่ ไม่ได้ ยัง อีก "
    "เพราะ ถ้า อย่าง แบบ ทุก มัน เขา เธอ คุณ อะไร สุด สุดๆ จริง จริงๆ ค่อย เคย กำลัง นะคะ นะครับ"
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
