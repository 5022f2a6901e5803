// What the page says, in English and Thai. The first language of the browser that is one decides.

const TEXTS = {
  en: {
    skip: "Go to the message box",
    anew: "New chat",
    memories: "Memories",
    turns: "The chat",
    say: "Say something",
    send: "Send",
    stop: "Stop the answer",
    keys: "Shift+Enter: new line",
    other_language: "ไทย",
    greeting: (name) => (name ? `Say something to ${name}.` : "Say something."),
    honest: "You talk with an AI twin, made from chats of the past. It answers on this machine, and nothing you write leaves it unless its owner set another backend.",
    consent: "Learn from this chat",
    kept_off: "Kept only until the chat is over",
    kept_on: "From now on your words become part of its history",
    never_learns: "Off in its settings (serving.chat_consent)",
    remembered: "What it remembered",
    close: "Close",
    for_question: (question) => `for “${question}”`,
    nothing_yet: "Once it has answered, you see here what it remembered for that, and why.",
    nothing: "This answer was made without memories.",
    kinds: {
      pinned: "Pinned", core: "Always known", recalled: "Recalled", imagined: "Only imagined",
      session: "Earlier in this chat", said: "Said once",
    },
    pin: "Pin", unpin: "Unpin", correct: "Correct", forget: "Forget", undo: "Undo",
    pinned: "pinned", corrected: "Corrected", forgotten: "Forgotten: it is never recalled again.",
    right_memory: "What is true",
    good: "Good", bad: "Bad", thumbed: "Thank you, kept.",
    right_answer: "What it should have said",
    save: "Save", cancel: "Cancel", again: "Try again",
    left_out: (what) => `Left out: ${what}`,
    saved_answer: "Kept; it learns from it at the next training.",
    count: (number) => (number ? `${number} recalled` : "Memories"),
    always: (number) => `Always known · ${number}`,
    answers: "The twin answers", stopped: "stopped", answered: "The twin:",
    backends: {
      champion: "the twin", previous: "the release before it", base: "the untuned model",
      memories: "its memories alone", guard: "a rule", ollama: "Ollama", llama_cpp: "llama.cpp", openai: "another model",
    },
    stands_in: (backend) => `Answered by ${backend}`,
    took_over: (backend) => `${backend} went on from here`,
    stranger: "This page is for the twin’s owner",
    open_address: "Open the whole address that twin serve or twin up printed, or enter the token of the state folder (serving/token).",
    token: "Token", enter: "Enter", denied: "That is not the token.",
    gone: "The server is gone; start twin serve and try again.",
    no_release: "Nobody can answer yet.",
    broke_off: "The answer broke off.",
  },
  th: {
    skip: "ไปที่ช่องข้อความ",
    anew: "แชตใหม่",
    memories: "ความทรงจำ",
    turns: "บทสนทนา",
    say: "พิมพ์ข้อความ",
    send: "ส่ง",
    stop: "หยุดคำตอบ",
    keys: "Shift+Enter ขึ้นบรรทัดใหม่",
    other_language: "English",
    greeting: (name) => (name ? `ทักทาย ${name} ได้เลย` : "ทักทายได้เลย"),
    honest: "คุณกำลังคุยกับฝาแฝด AI ที่สร้างจากแชตที่ผ่านมา มันตอบบนเครื่องนี้ สิ่งที่คุณเขียนไม่ออกไปไหน เว้นแต่เจ้าของตั้งให้ระบบอื่นตอบ",
    consent: "ให้เรียนรู้จากแชตนี้",
    kept_off: "เก็บไว้จนจบแชตเท่านั้น",
    kept_on: "คำพูดของคุณจะเป็นส่วนหนึ่งของประวัติ",
    never_learns: "ปิดอยู่ในการตั้งค่า (serving.chat_consent)",
    remembered: "สิ่งที่นึกขึ้นได้",
    close: "ปิด",
    for_question: (question) => `สำหรับ “${question}”`,
    nothing_yet: "เมื่อตอบแล้ว ที่นี่จะแสดงว่านึกถึงอะไร และเพราะอะไร",
    nothing: "คำตอบนี้ไม่ได้ใช้ความทรงจำ",
    kinds: {
      pinned: "ปักหมุด", core: "รู้อยู่เสมอ", recalled: "นึกขึ้นได้", imagined: "แค่จินตนาการ",
      session: "ก่อนหน้านี้ในแชตนี้", said: "เคยพูดไว้",
    },
    pin: "ปักหมุด", unpin: "เลิกปักหมุด", correct: "แก้ไข", forget: "ลืม", undo: "เลิกทำ",
    pinned: "ปักหมุดแล้ว", corrected: "แก้ไขแล้ว", forgotten: "ลืมแล้ว จะไม่นึกถึงอีก",
    right_memory: "ความจริงคือ",
    good: "ดี", bad: "ไม่ดี", thumbed: "ขอบคุณ บันทึกแล้ว",
    right_answer: "ควรตอบว่า",
    save: "บันทึก", cancel: "ยกเลิก", again: "ลองอีกครั้ง",
    left_out: (what) => `ไม่ได้พูดถึง: ${what}`,
    saved_answer: "บันทึกแล้ว จะเรียนรู้ในการฝึกครั้งต่อไป",
    count: (number) => (number ? `นึกได้ ${number} เรื่อง` : "ความทรงจำ"),
    always: (number) => `รู้อยู่เสมอ · ${number}`,
    answers: "กำลังตอบ", stopped: "หยุดแล้ว", answered: "คำตอบ:",
    backends: {
      champion: "ฝาแฝด", previous: "รุ่นก่อนหน้า", base: "โมเดลที่ยังไม่ฝึก",
      memories: "ความทรงจำล้วน ๆ", guard: "กฎ", ollama: "Ollama", llama_cpp: "llama.cpp", openai: "โมเดลอื่น",
    },
    stands_in: (backend) => `ตอบโดย${backend}`,
    took_over: (backend) => `${backend}ตอบต่อจากตรงนี้`,
    stranger: "หน้านี้สำหรับเจ้าของฝาแฝด",
    open_address: "เปิดที่อยู่ทั้งหมดที่ twin serve หรือ twin up พิมพ์ไว้ หรือใส่โทเค็นในโฟลเดอร์ (serving/token)",
    token: "โทเค็น", enter: "เข้า", denied: "โทเค็นไม่ถูกต้อง",
    gone: "ติดต่อเซิร์ฟเวอร์ไม่ได้ เริ่ม twin serve แล้วลองอีกครั้ง",
    no_release: "ยังไม่มีใครตอบได้",
    broke_off: "คำตอบขาดหายกลางทาง",
  },
};
const KEPT = "twin.language";

function chosen() {
  const wishes = [localStorage.getItem(KEPT), ...navigator.languages];
  const known = wishes.map((wish) => (wish ?? "").slice(0, 2)).find((wish) => wish in TEXTS);
  return known ?? "en";
}

let language = chosen();

/** A text of the page; one that takes arguments gets them. */
export function text(name, ...given) {
  const found = TEXTS[language][name];
  return typeof found === "function" ? found(...given) : found;
}

/** A text of a group, such as kinds; the name itself where the group does not know it. */
export function named(group, name) {
  return TEXTS[language][group][name] ?? name;
}

/** Write every text that stands in the markup, in the language in use. */
export function writeTexts() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = text(element.dataset.words);
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = text(element.dataset.placeholder);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
}

/** Go over to the other language, and keep to it. */
export function switchLanguage() {
  language = language === "en" ? "th" : "en";
  localStorage.setItem(KEPT, language);
  writeTexts();
}
