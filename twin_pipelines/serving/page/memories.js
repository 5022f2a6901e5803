// The panel beside the chat: what an answer was made with, why, and what the owner does about it.

import { button, made, markLanguage } from "./parts.js";
import { ask } from "./talk.js";
import { named, text } from "./words.js";

const KEPT = "twin.panel";
const panel = document.getElementById("memories");
const list = document.getElementById("list");
const always = document.getElementById("always");
const about = document.getElementById("about");
const title = document.getElementById("memories-title");
const count = document.getElementById("count");
const wide = matchMedia("(min-width: 62rem)");
const decided = new Map(); // by reference: what the owner did about it since the page was opened
let shown = null; // the answer whose memories are shown

/** A line of the prompt in its parts: its days, who said it, and what is quoted. */
function parts(line) {
  const words = line.replace(/^- /, "");
  const found = words.match(/^(?:\(([^()]*)\) )?([^“]*)“([\s\S]*)”$/);
  const [days, who, quoted] = found ? found.slice(1) : ["", "", words];
  return { days: days ?? "", who, quoted };
}

/** Where a memory, or a turn that was said once, is found at the server; "" for what is neither. */
function path(memory) {
  if (memory.memory_ids?.[0]) return `/twin/memories/${memory.memory_ids[0]}`;
  if (memory.message_ids?.[0] && memory.kind !== "session") {
    return `/twin/messages/${memory.message_ids[0]}`;
  }
  return "";
}

async function act(memory, item, verb, change, body) {
  const where = path(memory);
  for (const one of item.querySelectorAll("button")) one.disabled = true;
  try {
    const told = await ask("POST", `${where}/${verb}`, body ?? {});
    const id = told?.memory?.memory_id;
    if (id && told.replaced) memory.memory_ids = [id];
    decided.set(path(memory), { ...decided.get(where), ...change });
    const fresh = card(memory);
    item.replaceWith(fresh);
    (fresh.querySelector(".acts button") ?? title).focus();
  } catch (error) {
    for (const one of item.querySelectorAll("button")) one.disabled = false;
    item.querySelector(".problem")?.remove();
    item.append(problem(error.message || text("gone")));
  }
}

function problem(words) {
  const line = made("p", "problem", words);
  line.setAttribute("role", "alert");
  return line;
}

function correction(memory, item, words) {
  const form = made("form", "writing");
  const label = made("label", "", text("right_memory"));
  const field = made("textarea");
  field.id = label.htmlFor = `right-${crypto.randomUUID()}`;
  field.value = words;
  field.maxLength = 4000;
  field.dir = "auto";
  const row = made("div", "row");
  const save = button(text("save"), () => {}, "firm");
  save.type = "submit";
  const leave = () => {
    const fresh = card(memory);
    item.replaceWith(fresh);
    fresh.querySelector(".correct").focus();
  };
  row.append(save, button(text("cancel"), leave));
  form.append(label, field, row);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    leave();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const right = field.value.trim();
    if (!right || right === words) return leave();
    const change = { content: right, pinned: true, note: text("corrected") };
    return act(memory, item, "correct", change, { text: right });
  });
  item.querySelector(".acts").replaceWith(form);
  field.focus();
}

function card(memory) {
  const done = decided.get(path(memory)) ?? {};
  const pinned = done.pinned ?? (memory.pinned || memory.kind === "pinned");
  const { days, who, quoted } = parts(memory.text);
  const words = done.content ?? quoted;
  const item = made("li", done.forgotten ? "memory gone" : "memory");
  const head = made("p", "kind");
  const heading = [named("kinds", memory.kind), days, who.replace(/: $/, "")];
  head.append(made("span", "", heading.filter(Boolean).join(" · ")));
  if (done.note) head.append(made("span", "pinned", done.note));
  else if (pinned && memory.kind !== "pinned") head.append(made("span", "pinned", text("pinned")));
  const said = made("p", "words", words);
  said.dir = "auto";
  markLanguage(said, words);
  item.append(head, said);
  if (done.forgotten) item.append(made("p", "why", text("forgotten")));
  else if (memory.why) item.append(made("p", "why", memory.why));
  const acts = made("div", "acts");
  const add = (name, run) => {
    const one = button(text(name), run, `quiet ${name}`);
    one.setAttribute("aria-label", `${text(name)}: ${words}`);
    acts.append(one);
  };
  const known = Boolean(memory.memory_ids?.[0]);
  if (!path(memory)) return item;
  if (done.forgotten) {
    add("undo", () => act(memory, item, "remember", { forgotten: false, note: "" }));
  } else {
    if (known && pinned) add("unpin", () => act(memory, item, "unpin", { pinned: false, note: "" }));
    if (known && !pinned) add("pin", () => act(memory, item, "pin", { pinned: true, note: "" }));
    if (known) add("correct", () => correction(memory, item, words));
    add("forget", () => act(memory, item, "forget", { forgotten: true, note: "" }));
  }
  item.append(acts);
  return item;
}

/** Show the memories of an answer ({question, memories, element}), or of none. */
export function showMemories(answer) {
  shown?.element?.classList.remove("shown");
  shown = answer;
  answer?.element.classList.add("shown");
  const memories = answer?.memories ?? [];
  const found = memories.filter(isFound);
  const known = memories.filter((memory) => !isFound(memory));
  list.replaceChildren(...found.map(card));
  always.hidden = !known.length;
  always.open = !found.length;
  always.querySelector("summary").textContent = text("always", known.length);
  always.querySelector("ul").replaceChildren(...known.map(card));
  count.textContent = found.length || "";
  const question = answer ? text("for_question", answer.question) : "";
  about.textContent = !answer ? text("nothing_yet") : memories.length ? question : text("nothing");
}

/** Whether a memory was found for the question; core memories stand in every prompt. */
export function isFound(memory) {
  return memory.kind !== "core";
}

function place(open) {
  if (panel.open) panel.close();
  if (!open) return;
  if (wide.matches) {
    panel.removeAttribute("closedby");
    panel.setAttribute("open", ""); // show() would take the focus away from what is being written
  } else {
    panel.setAttribute("closedby", "any");
    panel.showModal();
    title.focus();
  }
}

/** Open the panel, at once and by the reader's wish. */
export function openPanel() {
  place(true);
  if (wide.matches) localStorage.setItem(KEPT, "open");
}

/** Bring the panel to where it was last left; on a narrow screen it waits to be opened. */
export function startPanel() {
  const opener = document.getElementById("open");
  const close = () => {
    if (wide.matches) localStorage.setItem(KEPT, "closed");
    place(false);
    opener.focus();
  };
  document.getElementById("close").addEventListener("click", close);
  opener.addEventListener("click", () => (panel.open ? close() : openPanel()));
  const settle = () => place(wide.matches && localStorage.getItem(KEPT) !== "closed");
  wide.addEventListener("change", settle);
  settle();
  showMemories(null);
}

/** Write the panel anew, in another language. */
export function refreshPanel() {
  showMemories(shown);
}
