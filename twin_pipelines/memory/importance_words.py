"""Words and forms by which importance is read off a sentence, English and Thai: data, no code.

All but `STRONG`, `MILD`, `MOVED` and `NAME`, which read text as it was written, are searched for in
normalised sentences (`similarity.normal_text`).
"""

from __future__ import annotations

# What shapes a life: birth and death, illness, family, faith, study, work, where one comes from.
LIFE = (
    r"\b(?:cancer|tumou?r|illness|disease|diagnosed|disab\w+|deaf|blind|allergic|surgery|accident|"
    r"hospitals?|therap\w+|wheelchair|died|dead|death|passed away|lost (?:my|our)|funeral|born|"
    r"birth|pregnant|adopt\w*|orphan|foster|married|engaged|divorc\w+|widow\w*|wedding|fiancee?|"
    r"my (?:wife|husband|girlfriend|boyfriend|kids?|child|children|sons?|daughters?|twin)|"
    r"(?:have|had|got|raised?|raising) (?:\w+ ){0,2}(?:kids?|child|children|sons?|daughters?|"
    r"brothers?|sisters?|siblings|wife|husband|girlfriend|boyfriend)|oldest|youngest|only child|"
    r"years old|depress\w+|suicid\w+|addict\w*|sober|abus\w+|veteran|refugee|immigrant|immigrated|"
    r"military|army|navy|prison|homeless|bankrupt\w*|mission\w*|served|baptized|convert\w*|vegan|"
    r"vegetarian|religio\w+|muslim|christian|buddhist|jewish|hindu|mormon|catholic|atheist|church|"
    r"temple|prayers?|pray|faith|god|jesus|major(?:ing)?|minor(?:ing)?|degree|career|phd|masters?|"
    r"(?:med|medical|law|grad|graduate|high|nursing|art) ?school|college|universit\w+|freshman|"
    r"sophomore|junior|senior|graduat\w+|international student|exchange student|"
    r"first generation|engineer\w*|nurse|a doctor|lawyer|teacher|developer|programmer|architect|"
    r"midwife|mechanic|farmer|my own business|intern(?:ship)?|volunteer\w*|speak|fluent|native|"
    r"propose to|as a (?:kid|child)|growing up|when i was (?:little|young|a kid|\w+)$|"
    r"on my own|alone)\b"
    r"|มะเร็ง|ลูคีเมีย|ป่วย|โรค|พิการ|ผ่าตัด|อุบัติเหตุ|โรงพยาบาล|เสียชีวิต|เสียเมื่อ|จากไป|งานศพ|เกิด|คลอด|"
    r"ตั้งครรภ์|แต่งงาน|หมั้น|หย่า|สามี|ภรรยา|แฟน|มีลูก|ลูกสาว|ลูกชาย|ลูกคน|พี่คนโต|น้องคนเล็ก|กำพร้า|ซึมเศร้า|"
    r"เลิกบุหรี่|เลิกเหล้า|แพ้|ศาสนา|อิสลาม|พุทธ|คริสต์|โบสถ์|บวช|มังสวิรัติ|พูดภาษา|อาสา|เรียนต่อ|ปริญญา|"
    r"มหาวิทยาลัย|เรียนจบ|วิศวกร|พยาบาล|หมอ|ครู|ทหาร|ชาวนา|โปรแกรมเมอร์|นักพัฒนา|ตอนเด็ก|คนเดียว|ลาออก|"
    r"ออทิสติก|ลูกครึ่ง|ธุรกิจ"
)
# What people fill their lives with, rather than what they consume: doing, making, learning.
PASTIME = (
    r"\b(?:hik\w+|climb\w*|bik(?:e|es|ing)|cycling|rid(?:e|ing)|danc\w+|ballroom|choreograph\w*|"
    r"paint\w*|draw\w*|sketch\w*|photograph\w*|music\w*|guitar|piano|violin|cello|flute|trumpet|"
    r"drums|instruments?|sing\w*|choir|band|theat(?:re|er)|acting|sports?|soccer|football|"
    r"basketball|volleyball|tennis|golf|frisbee|swim\w*|running|marathons?|crossfit|gym|exercis\w+|"
    r"ski\w*|surf\w*|skat\w+|martial arts|yoga|chess|writ(?:e|ing)|poe\w+|read(?:ing)?|books|"
    r"travel\w*|camping|fishing|outdoors?|nature|mountains?|animals?|dogs?|cats?|birds|horses?|"
    r"cook\w*|bak(?:e|ing)|garden\w*|arts?|artist|cod(?:e|ing)|program\w*|animation|animat\w+|"
    r"modell?ing|design\w*|build(?:ing)?|creat\w+|mak(?:e|ing) (?:\w+ ){0,3}(?:things|stuff)|"
    r"craft\w*|carv\w+|restor\w+|sew\w*|knit\w*|gam(?:er|ing)|teach\w*|tutor\w*|learn\w*|languages?|"
    r"cultures?|science|computers?|biology|maths?|mathematics|physics|chemistry|psychology|"
    r"sociology|history|philosophy|astronomy|technology|engineering|helping|friends and family|"
    r"family and friends)\b"
    r"|กีตาร์|เปียโน|ดนตรี|ขิม|วาด|ร้องเพลง|เต้น|ปีนเขา|เดินป่า|จักรยาน|ถ่ายรูป|ว่ายน้ำ|ฟุตบอล|บอล|กีฬา|วิ่ง|"
    r"เขียน|อ่านหนังสือ|ทำอาหาร|ทำขนม|ท่องเที่ยว|เดินทาง|ดูดาว|ธรรมชาติ|ปลูก|เรียนรู้|ศิลปะ|โยคะ|ประวัติศาสตร์|"
    r"คณิต|วิทยาศาสตร์|สัตว์"
)
# What is eaten, smelt or seen: told often, seldom missed.
CONSUMED = (
    r"\b(?:foods?|eat\w*|ice|cream|chocolate|candy|pizzas?|pastas?|spaghetti|sushi|tuna|salmon|"
    r"fish|steaks?|meat|chicken|bacon|butter|cheese|bread|pies?|cakes?|cookies?|brownies?|donuts?|"
    r"cereal|oats|oatmeal|grits|chips|fries|burgers?|hamburgers?|tacos?|potato(?:es)?|noodles|"
    r"ramen|rice|soup|salad|sandwich\w*|beans|eggs?|fruit|apples?|lemons?|lemonade|raisins|"
    r"celery|milk|soda|coke|cola|juice|tea|coffee|drinks?|vanilla|strawberry|mint|flavou?rs?|sauce|"
    r"jelly|crackers|snacks?|breakfast|lunch|dinner|taste|delicious|smells?|colou?rs?|lavender|"
    r"hats?|shirts?|alarms?|headphones|weather|rain|heat|warm|cold|sun)\b"
    r"|กิน|อาหาร|ขนม|ของหวาน|ชานม|ชาเขียว|กาแฟ|ข้าว|ก๋วยเตี๋ยว|ส้มตำ|ไก่|หมู|ผักชี|กลิ่น|สี(?:แดง|ม่วง|ฟ้า|เขียว|"
    r"ชมพู|ดำ|ขาว)|อากาศ|ฝน|หนาว|ร้อน"
)
# Talk of the moment, of the chat itself, and of what was never met with.
SMALL = (
    r"\bnever (?:even |actually |really |ever )?(?:heard|seen|had|met|thought|noticed|tried|"
    r"done)\b|ไม่เคย(?:ได้ยิน|เห็น|เจอ|ดู|ลอง)|"
    r"\b(?:chats?|chatting|this (?:site|app|page)|wifi|refresh\w*|busy|hungry|tired|bored|sleepy|"
    r"the (?:song|show|movie|game|scene|ending)|(?:talk|run|see|meet|chat) (?:to|into|with)? ?you|"
    r"sign off|get (?:to bed|some)|(?:have|need|going|want) to (?:go|run|leave|sleep|eat|bed)|"
    r"stuck|waiting for)\b"
    r"|ง่วง|หิว|เบื่อ|เหนื่อย|ไปนอน|ไปกิน|ไปก่อน|555"
)
# A sentence whose subject is another, unless it tells what they are (STANDING).
OF_ANOTHER = (
    r"^(?:and |so |but |because )?(?:my|our) (?:whole |entire |\w+ )?(?:moms?|mum|mother|dad|"
    r"father|parents?|brothers?|sisters?|siblings?|grand\w+|uncles?|aunts?|cousins?|roommates?|friends?|"
    r"family|dogs?|cats?|puppy|kitten)\b"
    r"|^(?:แม่|พ่อ|พี่|น้อง|เพื่อน|ยาย|ตา|ย่า|ปู่|หมา|แมว)"
)
STANDING = (
    r"\b(?:is|was|are|were) (?:an?|the|from|in|called|named)\b|\b(?:lives?|works?|worked|names?)\b"
    r"|\b(?:i|im|ive)\b|ชื่อ|เป็น|ทำงาน|อยู่ที่"
)
# What only the moment knows the meaning of.
POINTING = (
    r"\b(?:it|its|this|these|those|them|there|they|your?)\b|\bthat$"
    r"|(?:อัน|คน|เรื่อง|ตัว|รูป|ตรง|ที่)?(?:นี้|นั้น|โน้น)(?:\s|$|แล้ว|แหละ|ค่ะ|ครับ)|(?:^|\s|ชอบ|เอา|ให้|ทำ)มัน(?:\s|$)"
)
# Sentences that end before they say anything.
UNFINISHED = (
    r"^(?:\w+ )?my favou?rite (?:\w+ ?){0,3}$"
    r"|\b(?:is|are|was|probably|definitely|because|like|and)$"
)
# Marks of strong and of mild feeling.
STRONG = (
    r"(?i:\b(?:died|dead|death|devastated|heartbroken|terrified|cried|crying|depressed|depression|"
    r"suicidal|grateful|thankful|proud|miss(?:ed)?|scared|afraid|lonely|ashamed|hopeless|abused|"
    r"grief|tears|passionate|obsessed|dream of|happiest|best thing|worst thing|saddest|"
    r"almost died|hurts?|pressure|inspiring)\b)|[😭😢💔🥺😡]"
    r"|ร้องไห้|เสียใจ|คิดถึง|กลัว|ภูมิใจ|เหงา|เศร้า|เกลียด|ซึมเศร้า|เจ็บปวด|ทรมาน|ซาบซึ้ง|ใจสลาย|เครียด"
)
MILD = (
    r"(?i:\b(?:happy|sad|excited|amazing|awesome|terrible|so much)\b)|!"
    r"|[\x{1F300}-\x{1FAFF}\x{2764}]|<3|\b[A-Z]{4,}\b|ดีใจ|มีความสุข|ที่สุด|สุดๆ|มากๆ"
)
# An answer that shows feeling.
MOVED = (
    r"[!😭😢❤🥺]|\b(?:wow+|oh no|sorry|congrat\w*|amazing|beautiful|terrible|awful|awesome|sad|"
    r"inspiring|incredible|love that)\b|ว้าว|เสียใจด้วย|ยินดี|สู้ๆ|เก่ง|น่ารัก|ดีมาก|โห|สุดยอด"
)
# A name within a sentence, or a number.
NAME = r"[^.!?\n]\s+[A-Z][a-z]{2,}|\d+"
