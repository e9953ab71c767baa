"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, text, label) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (tag === "button") element.type = "button";
    if (label) element.setAttribute("aria-label", label);
    return element;
  };

  // The menu is always there beside the text, and folded above it on narrow screens.
  const menu = document.querySelector("nav details");
  const narrow = matchMedia("(max-width: 60rem)");
  const fold = () => { menu.open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  menu.addEventListener("click", event => {
    if (narrow.matches && event.target.closest("a")) menu.open = false;
  });
  fold();

  // A link unfolds what it leads to.
  const reveal = () => {
    const goal = document.getElementById(location.hash.slice(1));
    const folded = [];
    for (let box = goal; box; box = box.parentElement) {
      if (box.tagName === "DETAILS" && !box.open) folded.push(box);
    }
    for (const box of folded) box.open = true;
    if (folded.length) goal.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Sections with folded parts can be unfolded as a whole.
  for (const section of all("main > section")) {
    const parts = all("details.part", section);
    if (parts.every(part => part.open)) continue;
    const button = make("button", "Unfold all");
    button.addEventListener("click", () => {
      const open = parts.some(part => !part.open);
      for (const part of parts) part.open = open;
      button.textContent = open ? "Fold all" : "Unfold all";
    });
    section.querySelector("h2").after(button);
  }

  // Paper has no folds.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("main details:not([open])");
    for (const box of opened) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of opened) box.open = false;
  });

  // Boxes without anything to scroll are no stops of the Tab key.
  const sizes = new ResizeObserver(entries => {
    for (const {target} of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of all(".scroll")) sizes.observe(box);

  // Figures can be seen alone, in their own size or larger.
  const dialog = document.createElement("dialog");
  const close = make("button", "Close");
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  dialog.append(close, box);
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
  for (const image of all("figure .scroll > img")) {
    const figure = image.closest("figure");
    const title = image.parentElement.getAttribute("aria-label");
    const button = make("button", "Enlarge", `Enlarge the figure: ${title}`);
    button.className = "enlarge";
    button.addEventListener("click", () => {
      const copy = image.cloneNode();
      copy.loading = "eager";
      box.replaceChildren(copy);
      box.setAttribute("aria-label", title);
      dialog.setAttribute("aria-label", title);
      dialog.showModal();
    });
    figure.querySelector("figcaption").append(" ", button);
  }

  // The text of methods can be taken into a manuscript.
  for (const prose of all(".prose")) {
    const button = make("button", "Copy the text");
    const said = make("span", "");
    said.setAttribute("role", "status");
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(prose);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    };
    button.addEventListener("click", async () => {
      let done = false;
      try {
        await navigator.clipboard.writeText(prose.innerText);
        done = true;
      } catch {
        select();
        done = document.execCommand("copy");
      }
      said.textContent = done ? "Copied." : "Selected: copy it with Ctrl+C or \u2318C.";
    });
    const line = make("p", "");
    line.className = "copy";
    line.append(button, " ", said);
    prose.before(line);
  }
})();
