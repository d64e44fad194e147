/** The list of conversations. */
import { button, h } from "./dom.js";

/** Fill `element`. `open(conversation)` and `begin()` switch, `remove(conversation)` deletes. */
export function drawList(element, conversations, { open, begin, remove }) {
  const rows = conversations.all.filter((each) => each.title).map((each) => h("li", {},
    button(each.title, () => open(each), { className: "open", title: each.title, "aria-current": each === conversations.current ? "true" : null }),
    button("×", () => remove(each), { className: "quiet", "aria-label": `Delete ${each.title}` })));
  element.replaceChildren(button("New conversation", begin, { className: "new" }), h("ul", {}, rows));
}
