// A table with many rows gets a filter box. A click on a column title sorts any table.
"use strict";

const MANY = 25;

// 128k, $0.40 / $1.60 and "free" sort as numbers, everything else as text, and a dash comes last.
function rank(text) {
  if (text === "free") return 0;
  const found = /^\$?([\d,]*\.?\d+)([kM]?)(?= |$)/.exec(text);
  if (!found) return NaN;
  return parseFloat(found[1].replaceAll(",", "")) * { "": 1, k: 1e3, M: 1e6 }[found[2]];
}

function compare(one, other, sign) {
  const blank = (text) => text === "—" || text === "";
  if (blank(one) || blank(other)) return blank(one) - blank(other);
  const [a, b] = [rank(one), rank(other)];
  if (isNaN(a) || isNaN(b)) return sign * (isNaN(a) - isNaN(b) || one.localeCompare(other));
  return sign * (a - b);
}

function sort(table, title) {
  const column = title.cellIndex;
  const sign = title.ariaSort === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
  title.ariaSort = sign > 0 ? "ascending" : "descending";
  const rows = [...table.tBodies[0].rows].map((row) => [row.cells[column].textContent, row]);
  rows.sort(([one], [other]) => compare(one, other, sign));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function addFilter(table) {
  const rows = [...table.tBodies[0].rows].map((row) => [
    row,
    [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" "),
  ]);
  const box = Object.assign(document.createElement("input"), { type: "search" });
  box.placeholder = box.ariaLabel = `Filter ${rows.length.toLocaleString("en")} rows, word by word`;
  const count = document.createElement("output");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/);
    let left = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      left += !row.hidden;
    }
    count.textContent = box.value ? `${left.toLocaleString("en")} found` : "";
  });
  const bar = Object.assign(document.createElement("p"), { className: "filter" });
  bar.append(box, count);
  table.parentElement.before(bar);
}

for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length >= MANY) addFilter(table);
  for (const title of table.tHead.rows[0].cells) {
    title.tabIndex = 0;
    title.addEventListener("click", () => sort(table, title));
    title.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort(table, title);
    });
  }
}
