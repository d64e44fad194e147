/** Requests to the server that this page comes from. */
import { askForKey, keyHeaders } from "./key.js";

/** The address of the server, with a slash at its end. */
export const SERVER = new URL("../", import.meta.url).href;

/** The JSON at a path. Throws an Error with the server's message. */
export async function fetchJson(path) {
  return (await answered(path, {})).json();
}

/** The JSON that the server answers to a POST without a body. Throws an Error with its message. */
export async function post(path) {
  return (await answered(path, { method: "POST" })).json();
}

/** The chunks of a streamed chat completion. Throws an Error with the server's message. */
export async function* streamed(body, headers, signal) {
  const response = await answered("v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  let rest = "";
  for await (const text of texts(response.body)) {
    const events = (rest + text).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      yield chunk;
    }
  }
  throw new Error("The connection ended before the answer was complete.");
}

async function* texts(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function answered(path, options) {
  for (;;) {
    const headers = { ...options.headers, ...keyHeaders() };
    const response = await fetch(SERVER + path, { ...options, headers }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. Is it still running?");
    });
    if (response.ok) return response;
    const { message, code } = await failure(response);
    const needsKey = response.status === 401 || code === "admin_key_needed";
    if (!needsKey || !(await askForKey(message))) throw new Error(message);
  }
}

async function failure(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { message: `The server answered with status ${response.status}.` };
  }
}
