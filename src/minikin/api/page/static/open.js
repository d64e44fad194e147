/** Opens what is at this address with the key of this browser session, which it asks for. */
import { h } from "./dom.js";
import { askForKey, keyHeaders } from "./key.js";

const NEEDED = "This page needs an API key.";
const WRONG = "The server does not accept this key.";

/** Show a page of the server in place of this one, and everything else as text. */
async function show(response) {
  const text = await response.text();
  if (!response.headers.get("content-type")?.startsWith("text/html")) {
    document.querySelector("main").append(h("pre", { tabIndex: 0 }, text));
    return;
  }
  if (response.redirected) history.replaceState(null, "", response.url);
  document.open();
  document.write(text);
  document.close();
}

for (;;) {
  const headers = keyHeaders();
  const response = await fetch(location.href, { headers: { accept: "text/html", ...headers } });
  if (response.status !== 401) {
    await show(response);
    break;
  }
  if (!(await askForKey(headers.authorization ? WRONG : NEEDED))) break;
}
