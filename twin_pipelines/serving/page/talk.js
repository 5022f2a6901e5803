// Everything the page asks the server, with the token of the address it was opened by.

const KEPT = "twin.token";

/** A request that was turned away, or did not arrive (status 0); its message is for the reader. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Take the token out of the address, so that it stays in no history, and keep it for this tab. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return false;
  keepToken(given);
  history.replaceState(null, "", location.pathname);
  return true;
}

export function keepToken(token) {
  sessionStorage.setItem(KEPT, token.trim());
}

async function asked(method, path, body, signal) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem(KEPT) ?? ""}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error?.message ?? `${answer.status} ${answer.statusText}`);
}

/** The JSON that the server answers; null for an answer without a body. */
export async function ask(method, path, body) {
  const words = await (await asked(method, path, body)).text();
  return words ? JSON.parse(words) : null;
}

/**
 * Ask for an answer and hear it piece by piece. Yields the events of the stream as objects; throws
 * Refused, also for an error in the middle of it, and AbortError when the signal says stop.
 */
export async function* answers(body, signal) {
  const answer = await asked("POST", "/v1/chat/completions", { ...body, stream: true }, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  while (!ended) {
    const { value, done } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "");
    });
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (!data) continue;
      ended = data === "[DONE]";
      if (ended) break;
      const event = JSON.parse(data);
      if (event.error) throw new Refused(500, event.error.message);
      yield event;
    }
  }
  if (!ended) throw new Refused(0, "");
}
