#include "tools/tuning_report/sections.h"

namespace flashmask::tuning_report {

// Without it the page shows the same; it sorts and filters tables, shows tips at once and unfolds what a link leads to.
// It is written without '<' and '&', so that the page is well-formed XML.
std::string_view page_script() {
  return R"(
"use strict";
const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
const make = (name, text) => Object.assign(document.createElement(name), { textContent: text || "" });

for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  const body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = cell.dataset.v || cell.textContent;
    return text === "-" ? "" : text;
  };
  heads.forEach((head, column) => {
    const button = make("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
      const rows = Array.from(body.rows).sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        if (x === "" || y === "") return (x === "" ? 1 : 0) - (y === "" ? 1 : 0);
        const difference = Number(x) - Number(y);
        return order * (Number.isNaN(difference) ? x.localeCompare(y, "en", { numeric: true }) : difference);
      });
      body.append(...rows);
    });
  });
  if (body.rows.length > 5) {
    const filter = make("input");
    filter.type = "search";
    filter.placeholder = "filter rows";
    filter.setAttribute("aria-label", "filter the rows of the table");
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(" ");
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
    const tools = make("div");
    tools.className = "tools";
    tools.append(filter);
    table.parentElement.before(tools);
  }
}

const tip = make("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
for (const title of all(".plot title")) {
  title.parentElement.dataset.tip = title.textContent;
  title.remove();
}
const show = (event) => {
  const target = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = target === null;
  if (target === null) return;
  tip.textContent = target.dataset.tip;
  const place = (at, size, room) => Math.max(4, at + 14 + size > room ? at - 14 - size : at + 14);
  tip.style.left = place(event.clientX, tip.offsetWidth, innerWidth) + "px";
  tip.style.top = place(event.clientY, tip.offsetHeight, innerHeight) + "px";
};
for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);
document.addEventListener("scroll", () => { tip.hidden = true; }, true);

const problems = all("details.problem");
if (problems.length > 1) {
  const tools = make("div");
  tools.className = "tools";
  for (const [name, open] of [["unfold all problems", true], ["fold all", false]]) {
    const button = make("button", name);
    button.addEventListener("click", () => { for (const problem of problems) problem.open = open; });
    tools.append(button);
  }
  problems[0].before(tools);
}
const unfold = () => {
  const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
  const problem = target ? target.closest("details") : null;
  if (problem === null) return;
  problem.open = true;
  problem.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
)";
}

// `sha256-` and the digest in Base64, as a browser's console or tests/tuning_report/page_check.py tells it.
std::string_view page_script_digest() {
  return "sha256-FmSnBuHdvWj43YoUwmF4JW3ro1FLkoFZbDEI/JWcJuI=";
}

}  // namespace flashmask::tuning_report
