// The chat page: what is said, the answers as they are written, and the state of the server.

import { Answer } from "./answers.js";
import { refreshPanel, showMemories, startPanel } from "./memories.js";
import { button, made, markLanguage } from "./parts.js";
import { answers, ask, keepToken, takeToken } from "./talk.js";
import { switchLanguage, text, writeTexts } from "./words.js";

const CHAT = "twin.chat";
const NEAR = 80; // pixels from the end within which the chat follows what is written
const AGAIN = 3000; // milliseconds
const at = (id) => document.getElementById(id);
const [turns, scroll, say, composer] = ["turns", "scroll", "say", "composer"].map(at);
const [consent, notice, stranger, spoken] = ["consent", "notice", "stranger", "spoken"].map(at);

const state = {
  chat: sessionStorage.getItem(CHAT) ?? "",
  kept: true, // whether the server keeps the chat; else it is sent whole each time
  said: [], // the turns as messages
  answers: [],
  mayLearn: true,
  subject: "",
  looking: 0, // timer until the server is looked at again
  stopping: null, // AbortController of the answer that is being written
};

function tellNotice(words) {
  notice.textContent = words;
  notice.hidden = !words;
}

function showConsent() {
  consent.disabled = !state.mayLearn;
  if (!state.mayLearn) consent.checked = false;
  const kept = consent.checked ? "kept_on" : "kept_off";
  at("kept").textContent = text(state.mayLearn ? kept : "never_learns");
}

function showTexts() {
  writeTexts();
  at("language").textContent = text("other_language");
  at("language").lang = document.documentElement.lang === "en" ? "th" : "en";
  at("name").textContent = state.subject || "Twin";
  at("greeting").textContent = text("greeting", state.subject);
  document.title = state.subject ? `${state.subject} · Twin` : "Twin";
  showConsent();
  for (const answer of state.answers) answer.refresh();
  refreshPanel();
}

function follow(always = false) {
  const left = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
  if (always || left < NEAR) scroll.scrollTop = scroll.scrollHeight;
}

function grow() {
  say.style.height = "auto";
  say.style.height = `${say.scrollHeight}px`;
  at("send").disabled = !say.value.trim();
}

/** Write on, where that brings up no keyboard over half of the screen. */
function focusSay() {
  if (!matchMedia("(pointer: coarse)").matches) say.focus();
}

function busy(controller) {
  state.stopping = controller;
  at("send").hidden = Boolean(controller);
  at("stop").hidden = !controller;
}

function addOwn(words) {
  const turn = made("li", "you words", words);
  turn.dir = "auto";
  markLanguage(turn, words);
  turns.append(turn);
  return turn;
}

function begin(chat) {
  state.chat = chat;
  state.kept = true;
  state.said = [];
  state.answers = [];
  consent.checked = false; // it was given to the last chat only
  showConsent();
  sessionStorage.setItem(CHAT, chat);
  turns.replaceChildren();
  showMemories(null);
}

function addAnswer(question) {
  const answer = new Answer(question);
  turns.append(answer.element);
  state.answers.push(answer);
  return answer;
}

/** Take a piece of the stream; returns what it says of the answer, in its last events. */
function hear(event, answer, told) {
  const twin = event.twin ?? {};
  if (twin.fell_back) answer.takenOver(twin.fell_back);
  const piece = event.choices?.[0]?.delta?.content;
  if (piece) {
    const near = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
    answer.add(piece);
    if (near) follow(true);
  }
  return { ...told, ...twin };
}

function wishes() {
  const asked = { chat: state.chat, memories: true };
  if (state.mayLearn) asked.consent = consent.checked;
  return asked;
}

/** Say something and hear the answer; what could not be asked can be asked again. */
async function talk(words) {
  const own = addOwn(words);
  const answer = addAnswer(words);
  follow(true);
  spoken.textContent = text("answers");
  state.said.push({ role: "user", content: words });
  const stopping = new AbortController();
  busy(stopping);
  let told = {};
  try {
    const messages = state.kept ? state.said.slice(-1) : state.said;
    const asked = { model: "twin", messages, twin: wishes() };
    for await (const event of answers(asked, stopping.signal)) told = hear(event, answer, told);
    spoken.textContent = `${text("answered")} ${answer.words}`;
    end(answer, told);
  } catch (error) {
    fail(error, own, answer, told);
  } finally {
    busy(null);
    grow();
    follow();
  }
}

function end(answer, told) {
  state.said.push({ role: "assistant", content: answer.words });
  state.kept = Number.isInteger(told.place);
  if (told.may_learn !== undefined) state.mayLearn = told.may_learn;
  if (told.release) at("release").textContent = told.release;
  answer.end(told);
  showConsent();
  showMemories(answer);
}

function fail(error, own, answer, told) {
  const stopped = error.name === "AbortError";
  if (answer.words) state.said.push({ role: "assistant", content: answer.words });
  else state.said.pop();
  const { place: _, ...known } = told;
  answer.end(stopped ? {} : { release: text("broke_off"), ...known }, stopped);
  if (stopped) {
    spoken.textContent = text("stopped");
    return;
  }
  if (error.status === undefined) throw error;
  if (error.status === 401) enter();
  else answer.note(error.message || text("gone"));
  const again = button(text("again"), () => {
    own.remove();
    answer.element.remove();
    talk(own.textContent);
  });
  if (!answer.words) answer.element.append(again);
}

async function restore() {
  const found = await ask("GET", `/twin/chats/${state.chat}`).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  if (!found?.turns?.length || state.said.length) return;
  consent.checked = found.consented;
  let question = "";
  for (const turn of found.turns) {
    state.said.push({ role: turn.role, content: turn.content });
    if (turn.role === "user") {
      addOwn(turn.content);
      question = turn.content;
      continue;
    }
    const answer = addAnswer(question);
    answer.add(turn.content);
    const { place, backend, release, thumb } = turn;
    answer.end({ chat: state.chat, place, backend, release, thumb });
  }
  follow(true);
}

async function know() {
  const known = await ask("GET", "/twin/chats").catch((error) => {
    if (error.status !== 503) throw error; // without its database the twin answers all the same
    return {};
  });
  state.mayLearn = known.may_learn ?? true;
  state.subject = known.subject ?? "";
  await look();
}

/** Show who answers and what is wrong; look again while something is. */
async function look() {
  const told = await fetch("/readyz").catch(() => null);
  const ready = await told?.json();
  at("release").textContent = ready?.release ?? "";
  const problems = ready ? (ready.problems ?? []) : [text("gone")];
  tellNotice(problems.join(" "));
  clearTimeout(state.looking);
  if (problems.length) state.looking = setTimeout(look, AGAIN);
}

function enter() {
  if (!stranger.open) stranger.showModal();
}

/** Open the page with the token it has, or ask for one. */
async function open() {
  try {
    await ask("GET", "/v1/models");
    if (stranger.open) stranger.close();
    await know();
    if (resumes && !state.said.length) await restore();
    focusSay();
  } catch (error) {
    if (error.status === undefined) throw error;
    if (error.status === 401) return enter();
    tellNotice(error.message || text("gone"));
    notice.append(" ", button(text("again"), open));
  }
  showTexts();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = say.value.trim();
  if (!words || state.stopping) return;
  say.value = "";
  grow();
  talk(words);
});
say.addEventListener("input", grow);
say.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) state.stopping?.abort();
});
at("stop").addEventListener("click", () => {
  state.stopping?.abort();
  say.focus();
});
at("anew").addEventListener("click", () => {
  state.stopping?.abort();
  begin(crypto.randomUUID());
  focusSay();
});
at("language").addEventListener("click", () => {
  switchLanguage();
  showTexts();
});
consent.addEventListener("change", async () => {
  showConsent();
  if (!state.said.length || !state.kept) return;
  const wish = { consented: consent.checked };
  await ask("POST", `/twin/chats/${state.chat}/consent`, wish).catch((error) => {
    consent.checked = !consent.checked;
    showConsent();
    tellNotice(error.message || text("gone"));
  });
});
at("entrance").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(at("token").value);
  open().then(() => {
    at("denied").textContent = text("denied");
    at("denied").hidden = !stranger.open;
  });
});
stranger.addEventListener("cancel", (event) => event.preventDefault());
addEventListener("hashchange", () => {
  if (takeToken()) open();
});

const resumes = Boolean(state.chat);
if (!resumes) begin(crypto.randomUUID());
takeToken();
startPanel();
showTexts();
grow();
open();
