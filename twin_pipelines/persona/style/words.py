"""What writing style is seen by, English and Thai: function words, particles, greetings: data only.

Function words are what a writer chooses without thinking of the topic (Mosteller & Wallace 1964;
Pennebaker 2011); beside them stand the spellings of chats, which are habits too.
"""

from __future__ import annotations

ENGLISH_FUNCTION_WORDS = """
a about actually after again all almost also always am an and another any anything are around as
at back be because been before being both but by can could did do does doing done down each either
else ever every everyone everything few for from get getting go going good got guess had has have
having he her here hers him his how i if in into is it its itself just kind know last least less
like little lot lots many maybe me mean might mine more most much must my myself never no nobody
none not nothing now of off often oh ok okay on once one only or other our out over own perhaps
pretty probably quite rather really right same say see she should since so some someone something
sometimes somewhere soon sort still stuff such super sure than that the their them then there
these they thing things think this those though through to too totally true try two under until up
upon us very want was way we well were what whatever when where whether which while who why will
with without would yes yet you your yours yourself
"""
ENGLISH_CHAT_WORDS = """
u ur r n y k kk ya yea yeah yep yup yeh nah nope naw tho thru cuz cause bc idk idc ikr imo tbh btw
omg lol lmao lmfao rofl haha hahaha hahah hehe heh ha xd wow woah whoa yay aww aw ooh ohh ooo hmm
hm mhm um uh ah eh oof dang damn shit fuck fucking hell heck gosh gonna wanna gotta kinda sorta
dunno lemme gimme ima imma ain't y'all dude bro man girl guys buddy mate sir thanks thank thx ty
sorry please pls plz hey hi hello hiya sup bye cya goodnight gn nice cool awesome great sweet neat
amazing interesting exactly definitely absolutely obviously basically literally honestly seriously
personally anyway anyways plus however therefore although especially i'm im i've ive i'll i'd id
don't dont can't cant didn't didnt doesn't doesnt isn't isnt wasn't wasnt won't wont wouldn't
couldn't shouldn't haven't that's thats it's what's whats there's you're youre you've you'll
they're we're he's she's let's lets
"""
THAI_PARTICLES = """
ครับ คับ ครัช ฮะ ค่ะ คะ ค่า จ้า จ้ะ จ๊ะ จ๋า ขา นะ น่ะ นะคะ นะครับ น้า เนาะ เนอะ ละ ล่ะ แหละ หรอก
สิ ซิ ดิ เลย ด้วย อะ อ่ะ อ้ะ วะ เว้ย โว้ย เถอะ เหอะ ไหม มั้ย หรอ เหรอ รึ เปล่า ป่าว มั้ง ไง เนี่ย
นี่ โน่น อ้อ อ๋อ เออ เอ่อ อืม อือ อุ้ย โอ้ โอเค แง ฮือ ฮ่า
"""
THAI_FUNCTION_WORDS = """
ฉัน ดิฉัน ผม หนู เรา เค้า เขา เธอ คุณ ท่าน แก มึง กู พี่ น้อง มัน ตัวเอง ใคร อะไร ไหน ทำไม ยังไง
อย่างไร เมื่อไหร่ เท่าไหร่ ที่ ซึ่ง อัน และ หรือ แต่ ก็ ถ้า เพราะ จึง ดังนั้น แล้ว แล้วก็ จะ กำลัง
เคย ยัง อยู่ ได้ ให้ ไป มา ไว้ เป็น คือ มี ไม่ ไม่ได้ ไม่ใช่ อย่า ต้อง ควร อาจ คง น่าจะ อยาก ของ
ใน บน กับ จาก ถึง โดย เพื่อ ต่อ ตาม แบบ เหมือน กว่า มาก น้อย ที่สุด ทุก บาง หลาย นิด หน่อย จริง
จริงๆ แค่ เพียง ก่อน หลัง ตอน ตอนนี้ วันนี้ นี้ นั้น โน้น ว่า กัน เอง อีก เอา ใช่ โคตร สุดๆ
"""
_ENGLISH = f"{ENGLISH_FUNCTION_WORDS} {ENGLISH_CHAT_WORDS}".split()
_THAI = f"{THAI_PARTICLES} {THAI_FUNCTION_WORDS}".split()
FUNCTION_WORDS = tuple(dict.fromkeys([*_ENGLISH, *_THAI]))

GREETING = (
    r"(?i)^\W*(?:hi+|hey+|hello+|hiya|heya|yo+|howdy|sup|what'?s up|good (?:morning|afternoon|"
    r"evening|day)|morning|greetings|hola)(?:\W|$)"
    r"|^\W*(?:สวัสดี|หวัดดี|ดีครับ|ดีค่ะ|ดีคับ|ดีจ้า|ดีจ้ะ|ดีๆ|ฮัลโหล|ฮาย|อรุณสวัสดิ์)"
)
FAREWELL = (
    r"(?i)\b(?:bye+|goodbye|bye-bye|cya|see (?:ya|you|u)(?: (?:later|soon|around|tomorrow))?|"
    r"good ?night|nighty|ttyl|talk to you (?:later|soon)|take care|have a (?:good|great|nice|"
    r"lovely|wonderful) (?:day|night|one|evening|weekend|time)|farewell|nice (?:talking|chatting|"
    r"meeting)|gotta go|got to go|have to go|g2g)\b"
    r"|บาย|ลาก่อน|ฝันดี|ราตรีสวัสดิ์|แล้วเจอกัน|ไว้คุยกัน|ไปก่อน|ไปนอน|ไปละ|พักผ่อน"
)
ADDRESS_WORDS = """
dude bro bruh man mate buddy pal dear darling honey hun babe baby sweetie guys y'all girl sis sir
ma'am madam miss boss ที่รัก ตัวเอง พี่ น้อง คุณ ท่าน แก มึง เพื่อน เธอ เจ้านาย ลุง ป้า
"""
POLITE_ENDING = (
    r"(?m)(?:ครับ|คับ|ครัช|ฮะ|ค่ะ|คะ|ค่า)[\s!?.~ๆ]*(?:[\p{Extended_Pictographic}\x{FE0F}]|\s)*$"
)
SOFT_ENDING = r"(?m)(?:นะ|น้า|น่ะ|จ้า|จ้ะ|จ๊ะ|เนอะ|เนาะ|อะ|อ่ะ|เลย|ละ|ล่ะ|สิ|ดิ)[\s!?.~ๆ]*$"
ROMANISED_ENDING = r"(?i)\b(?:krub|krab|khrap|kub|kap|krap|kha+|ka+|na ?ka|na ?krub|jaa*|naa+)\b"
LAUGHTER_HAHA = r"(?i)\b(?:a?(?:h+a+){2,}h*|(?:h+e+){2,}h*|(?:h+i+){2,}h*)\b|ฮ่า(?:ๆ+|ฮ่า)|ฮา+ๆ*"
LAUGHTER_LOL = r"(?i)\b(?:l+o+l+|lmf?ao+|rofl|xd+)\b"
LAUGHTER_555 = r"(?:^|[^0-9,.:/-])5{3,}\+?(?:$|[^0-9,.:/-])"
HEDGE = (
    r"(?i)\b(?:i (?:think|guess|feel like|suppose|mean)|maybe|probably|perhaps|kind of|kinda|"
    r"sort of|not sure|i don'?t know|idk|might)\b|น่าจะ|คงจะ|มั้ง|ไม่แน่ใจ|คิดว่า|อาจจะ"
)
INTENSIFIER = (
    r"(?i)\b(?:very|really|so|super|totally|absolutely|extremely|pretty|literally|definitely|"
    r"completely|such)\b|มาก|สุดๆ|โคตร|จริงๆ|ที่สุด"
)
THANKS = r"(?i)\b(?:thanks?|thank you|thx|ty)\b|ขอบคุณ|ขอบใจ"
CONTRACTION = r"(?i)\b[a-z]+['’](?:s|t|m|re|ve|ll|d)\b"
BARE_CONTRACTION = (
    r"(?i)\b(?:im|ive|dont|cant|didnt|doesnt|isnt|wasnt|wont|thats|whats|youre|theyre|havent|"
    r"wouldnt|couldnt|shouldnt|hes|shes|theres|aint|arent|werent|hasnt|hadnt)\b"
)
