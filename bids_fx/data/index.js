"use strict";
// The table of participants can be sorted and filtered; without this script it is read as it is.
{
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const collator = new Intl.Collator("en", { numeric: true });
  const texts = new Map(rows.map((row) => [row, [...row.cells].map((cell) => cell.textContent.trim())]));

  const valueOf = (text) => parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
  const compare = (column, isNumber, sign) => (one, other) => {
    const [a, b] = [texts.get(one)[column], texts.get(other)[column]];
    // What is not there comes last, whichever way the others go.
    if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
    const order = isNumber ? valueOf(a) - valueOf(b) : collator.compare(a, b);
    return sign * order;
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isDown = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      rows.sort(compare(column, head.classList.contains("number"), isDown ? -1 : 1));
      body.append(...rows);
    });
  });

  const filters = document.getElementById("filters");
  const wanted = document.getElementById("wanted");
  const only = document.getElementById("only");
  const shown = document.getElementById("shown");
  const filter = () => {
    const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const row of rows) {
      const text = texts.get(row).join(" ").toLowerCase();
      row.hidden = (only.checked && !row.classList.contains("wrong")) || !words.every((word) => text.includes(word));
      number += row.hidden ? 0 : 1;
    }
    shown.textContent = `${number} of ${rows.length} shown`;
  };
  wanted.addEventListener("input", filter);
  only.addEventListener("change", filter);
  // A browser may have kept what was typed before the page was loaded again.
  filter();
  filters.hidden = false;
}
