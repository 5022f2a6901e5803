"""Words by which basic values are told: data, no code.

The ten values are those of Schwartz (1992, Universals in the content and structure of values, Adv.
Exp. Soc. Psychol. 25). That people who hold a value speak of it more was shown with word lists by
Ponizovskiy et al. (2020, Development and validation of the personal values dictionary, Eur. J.
Pers. 34); the short lists here are our own and were validated against nothing but themselves: a
value counts only as far as other people's earlier texts foretell it in their later ones.
"""

from __future__ import annotations

ENGLISH: dict[str, str] = {
    "self-direction": "free freedom independent independence choose choice choices curious "
    "creative creativity create creating idea ideas explore exploring own myself decide decided "
    "imagination original learn learning",
    "stimulation": "adventure adventures exciting excited excitement thrill new change changes "
    "surprise surprised travel traveling try trying wild risk risky daring different challenge",
    "hedonism": "fun enjoy enjoying enjoyed pleasure relax relaxing party parties delicious tasty "
    "lazy comfy chill treat yummy laugh laughing vacation sleep game games",
    "achievement": "success successful succeed achieve achieved achievement goal goals win winning "
    "won ambition ambitious best proud hard working career grade grades graduate earn improve",
    "power": "money rich wealth powerful power leader lead boss control status famous fame "
    "authority expensive business strong dominate influence",
    "security": "safe safety secure security stable stability health healthy clean protect order "
    "careful insurance danger dangerous worry home save savings",
    "conformity": "polite respect respectful manners rules rule obey proper appropriate behave "
    "duty responsible responsibility sorry please parents should supposed",
    "tradition": "tradition traditional traditions church god pray prayer faith religion religious "
    "bible temple buddha allah jesus holiday christmas culture custom family heritage",
    "benevolence": "help helping helped helpful friend friends friendship kind kindness care "
    "caring love support supportive loyal honest trust forgive share sharing family thankful",
    "universalism": "world people nature environment planet peace justice equal equality fair "
    "animals earth humanity society human understanding tolerance beautiful wisdom climate "
    "everyone",
}
THAI: dict[str, str] = {
    "self-direction": "อิสระ เลือกเอง ความคิด สร้างสรรค์ เรียนรู้ อยากรู้ ตัดสินใจ",
    "stimulation": "ผจญภัย ตื่นเต้น ท้าทาย ลองดู ของใหม่ แปลกใหม่ เที่ยว",
    "hedonism": "สนุก อร่อย สบาย ผ่อนคลาย ปาร์ตี้ ขี้เกียจ นอน เพลิน",
    "achievement": "สำเร็จ เป้าหมาย ชนะ ภูมิใจ เก่ง พยายาม ก้าวหน้า",
    "power": "เงิน รวย อำนาจ ผู้นำ หัวหน้า มีชื่อเสียง ธุรกิจ",
    "security": "ปลอดภัย มั่นคง สุขภาพ ระวัง ประกัน ออมเงิน",
    "conformity": "มารยาท เคารพ กฎ ระเบียบ หน้าที่ รับผิดชอบ เกรงใจ",
    "tradition": "ประเพณี วัด ทำบุญ พระ ศาสนา สวดมนต์ วัฒนธรรม",
    "benevolence": "ช่วย ห่วง ดูแล เพื่อน ใจดี ซื่อสัตย์ ให้อภัย ไว้ใจ",
    "universalism": "ธรรมชาติ โลก สังคม ยุติธรรม เท่าเทียม สันติ สัตว์ ผู้คน",
}
VALUES = tuple(ENGLISH)
