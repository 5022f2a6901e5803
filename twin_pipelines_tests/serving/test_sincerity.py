"""Whoever sincerely asks whether they talk with a machine is told; nobody else is."""

from __future__ import annotations

import pytest

from twin_pipelines.serving.sincerity import asks_for_the_truth

SINCERE = [
    "are you a bot?",
    "Are you human?",
    "are you real",
    "r u a robot",
    "wait, are you actually a real person?",
    "Am I talking to a real person or an AI?",
    "am i chatting with a bot rn",
    "is this a bot?",
    "Is this an AI",
    "is this really you?",
    "you're a bot, right?",
    "You are an AI, aren't you?",
    "u r not human are u?",
    "Be honest with me. Are you an AI or a human?",
    "human or bot?",
    "are you a large language model?",
    "are you ChatGPT?",
    "are you just a computer program?",
    "Are you an AI twin",
    "Aren't you a chatbot?",
    "Is there a real human typing?",
    "who am I really talking to",
    "hi! how are you? also are you a real human being or not",
    "are you really Sue or a bot?",
    "What are you really?",
    "You are not a robot but a real person right?",
    "Hello, is this a real person this time?",
    "Hmm? Am I interacting with a bot?",
    "So you really are a robot?",
    "คุณเป็นบอทหรือเปล่า",
    "เธอเป็น AI ใช่ไหม",
    "นี่คนหรือบอท",
    "คุณเป็นคนจริงๆ หรือเปล่าคะ",
    "กำลังคุยกับ AI อยู่หรือเปล่า",
    "คุยกับคนจริงหรือบอทกันแน่",
    "พี่เป็นมนุษย์ไหมครับ",
    "เป็นบอทปะ",
    "นี่ตัวจริงไหม",
    "แกเป็นหุ่นยนต์เหรอ",
    "คุณมีตัวตนจริงๆ ไหม",
]
NOT_ASKED = [
    "are you a morning person?",
    "are you a dog person or a cat person?",
    "Are you a people person?",
    "are you a real fan of them?",
    "are you human enough to say sorry to her",
    "are you the person who called yesterday?",
    "do you like robots?",
    "I work with machines all day",
    "is it real gold?",
    "is this a good restaurant?",
    'she texted "are you a bot?" and I laughed',
    "he asked me are you a robot and I laughed",
    "my boss said: are you a machine? because I type so fast",
    "I am talking to my mom",
    "talking to people is hard",
    "are you there?",
    "are you really going to the party?",
    "is this your dog?",
    "is that the man you like",
    "what are you doing?",
    "bots are everywhere now",
    "I built a chatbot at work. It is fun.",
    "are you a girl or a guy?",
    "And you were talking to people?",
    "So what are you really good at?",
    "is it really cool?",
    "you're a computer science major right?",
    "what if you never knew you were talking to a computer?",
    "I've just been chatting with people.",
    "is it an automatic gun?",
    "คุณเป็นคนเชียงใหม่เหรอ",
    "เธอเป็นคนใจดีไหม",
    "คุณเป็นคนไทยหรือเปล่า",
    "แม่ถามว่าเป็นบอทหรือเปล่า",
    "วันนี้มีคนเยอะไหม",
    "ชอบหุ่นยนต์ไหม",
    "กินข้าวหรือยัง",
    "คุยกับแม่หรือยัง",
    "",
    "?",
]


@pytest.mark.parametrize("words", SINCERE)
def test_a_sincere_question_is_recognised(words: str) -> None:
    assert asks_for_the_truth(words)


@pytest.mark.parametrize("words", NOT_ASKED)
def test_what_only_looks_alike_is_not(words: str) -> None:
    assert not asks_for_the_truth(words)


def test_the_end_of_a_very_long_message_counts() -> None:
    assert asks_for_the_truth("so anyway. " * 2_000 + "are you a bot?")
