// One answer of the twin: written while it arrives, then who answered, thumbs and correction.

import { isFound, openPanel, showMemories } from "./memories.js";
import { button, made, markLanguage } from "./parts.js";
import { ask } from "./talk.js";
import { named, text } from "./words.js";

const OWN = "champion";

/** Which kind of backend a name such as ollama:MODEL says. */
function called(backend) {
  return named("backends", backend.split(":")[0]);
}

/** An answer on the page. `told` is what the server said of it: backend, release, chat, place. */
export class Answer {
  constructor(question) {
    this.question = question;
    this.memories = [];
    this.words = "";
    this.told = {};
    this.element = made("li", "twin");
    this.said = made("div", "words");
    this.said.dir = "auto";
    this.element.append(this.said);
    this.element.setAttribute("aria-busy", "true");
  }

  add(piece) {
    this.words += piece;
    this.said.append(piece);
    markLanguage(this.said, this.words);
  }

  /** Another backend goes on: what stands so far stays, and a line says who follows. */
  takenOver(fell) {
    this.note(`${text("took_over", called(fell.to))}${fell.why ? ` (${fell.why})` : ""}`);
  }

  note(words) {
    const line = made("p", "problem", words);
    line.setAttribute("role", "status");
    this.element.append(line);
  }

  /** The answer is complete, as far as it goes; of one that was stopped nothing is told. */
  end(told, stopped = false) {
    this.told = told;
    this.memories = told.memories ?? [];
    this.element.removeAttribute("aria-busy");
    if (told.problem) this.note(told.problem);
    for (const one of told.tried ?? []) if (one.why) this.note(one.why);
    if (told.guarded?.length) this.note(text("left_out", told.guarded.join(", ")));
    if (this.words || stopped || told.backend) this.element.append(this.meta());
  }

  meta() {
    const { backend, release, place, thumb } = this.told;
    const row = made("div", "meta");
    const source = made("span", "source dim");
    if (backend && backend !== OWN) {
      source.append(made("span", "stands-in", text("stands_in", called(backend))), " ");
    }
    const model = backend?.includes(":") ? backend : ""; // as in ollama:MODEL
    source.append(release || (backend ? model : text("stopped")));
    row.append(source);
    if (this.memories.length) {
      const show = () => {
        showMemories(this);
        openPanel();
      };
      row.append(button(text("count", this.memories.filter(isFound).length), show, "quiet recalled"));
    }
    if (Number.isInteger(place)) {
      row.append(this.thumb("good", 1, thumb), this.thumb("bad", -1, thumb));
      row.append(button(text("correct"), () => this.correct(), "quiet correct"));
    }
    return row;
  }

  /** Write what stands below it anew, in another language. */
  refresh() {
    this.element.querySelector(".meta")?.replaceWith(this.meta());
  }

  thumb(name, value, present) {
    const one = button(text(name), () => this.judge(value), `quiet ${name}`);
    one.setAttribute("aria-pressed", String(present === value));
    return one;
  }

  async judge(value) {
    const { chat, place, thumb } = this.told;
    const wished = thumb === value ? null : value;
    await this.tell("/twin/thumb", { chat, place, thumb: wished }, () => {
      this.told.thumb = wished;
      this.refresh();
      this.element.querySelector(value === 1 ? ".good" : ".bad").focus();
    });
  }

  correct() {
    if (this.element.querySelector("form")) return;
    const form = made("form", "writing");
    const label = made("label", "", text("right_answer"));
    const field = made("textarea");
    field.id = label.htmlFor = `instead-${crypto.randomUUID()}`;
    field.maxLength = 4000;
    field.dir = "auto";
    field.value = this.instead ?? this.words;
    const save = button(text("save"), () => {}, "firm");
    save.type = "submit";
    const leave = () => {
      form.remove();
      this.element.querySelector(".meta .correct").focus();
    };
    const buttons = made("div", "row");
    buttons.append(save, button(text("cancel"), leave));
    form.append(label, field, buttons);
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      leave();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const right = field.value.trim();
      if (!right || right === this.words.trim()) return leave();
      const { chat, place } = this.told;
      return this.tell("/twin/correct", { chat, place, text: right }, () => {
        this.corrected(right);
        leave();
      });
    });
    this.element.append(form);
    field.focus();
    field.select();
  }

  corrected(right) {
    this.instead = right;
    this.element.querySelector(".instead")?.remove();
    const block = made("div", "instead");
    const words = made("p", "words", right);
    words.dir = "auto";
    markLanguage(words, right);
    const kept = made("p", "note", text("saved_answer"));
    kept.setAttribute("role", "status");
    block.append(words, kept);
    this.element.querySelector(".meta").before(block);
  }

  async tell(path, body, then) {
    this.element.querySelector(".problem.late")?.remove();
    try {
      await ask("POST", path, body);
      then();
    } catch (error) {
      this.note(error.message || text("gone"));
      this.element.lastElementChild.classList.add("late");
    }
  }
}
