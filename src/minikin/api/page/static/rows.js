/** A table whose rows stay the same elements while their cells change, so that a button keeps its focus. */
import { h } from "./dom.js";

export class Rows {
  /**
   * `columns` are `{title, isNumber}`, the last may hold buttons. `none` is shown without rows.
   * `label` names the table.
   */
  constructor(element, columns, { none, label }) {
    this.columns = columns;
    this.body = h("tbody");
    this.rows = new Map();
    this.none = h("p", { className: "none" }, none);
    this.table = h("table", { "aria-label": label, hidden: true }, h("thead", {}, h("tr", {}, columns.map(({ title, isNumber }) => h("th", { scope: "col", className: isNumber ? "number" : "" }, title || h("span", { className: "hidden-text" }, "Action"))))), this.body);
    element.replaceChildren(this.none, this.table);
  }

  /** Show rows of `{id, cells, action}`. `action` makes the last cell's element, once for its `state`. */
  show(rows) {
    const gone = new Set(this.rows.keys());
    for (const row of rows) {
      gone.delete(row.id);
      this.update(row);
    }
    for (const id of gone) {
      this.rows.get(id).element.remove();
      this.rows.delete(id);
    }
    this.none.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
  }

  update({ id, cells, state = null, action }) {
    let row = this.rows.get(id);
    if (!row) {
      const made = this.columns.map(({ isNumber }) => h("td", { className: isNumber ? "number" : "" }));
      row = { element: h("tr", {}, made), cells: made, state: undefined };
      this.rows.set(id, row);
      this.body.append(row.element);
    }
    cells.forEach((text, at) => {
      const shown = String(text);
      if (row.cells[at].textContent !== shown) row.cells[at].textContent = shown;
    });
    if (row.state !== state) row.cells.at(-1).replaceChildren(...[action()].filter(Boolean));
    row.state = state;
  }
}
