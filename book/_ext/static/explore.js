// Moves the sliders of a published page. Every state was drawn when the book was built (lib/explore/page.py),
// so moving a slider only swaps one picture for another: no kernel, no server, nothing to fetch but pictures.
(() => {
  "use strict";
  const folder = new URL("explore/", document.currentScript.src);

  function enliven(figure) {
    const { labels, states, grid } = JSON.parse(figure.querySelector("script").textContent);
    const image = figure.querySelector("img");
    const sliders = [...figure.querySelectorAll("input")];
    const outputs = figure.querySelectorAll("output");

    // The states are listed with the last control moving fastest.
    const current = () =>
      states[sliders.reduce((index, slider, i) => index * labels[i].length + slider.valueAsNumber, 0)];
    const point = grid ? layGrid(figure, image, grid, current()[2]) : () => "";

    const move = () => {
      sliders.forEach((slider, i) => {
        outputs[i].value = labels[i][slider.value];
        slider.setAttribute("aria-valuetext", outputs[i].value);
      });
      const [file, alt, cells] = current();
      image.src = new URL(file, folder);
      image.alt = alt;
      figure.querySelector(".explore-read-out").textContent = `${alt} ${point(cells)}`.trim();
    };
    const preload = () => states.forEach(([file]) => (new Image().src = new URL(file, folder)));

    const controls = figure.querySelector(".explore-controls");
    controls.addEventListener("input", move);
    controls.addEventListener("pointerdown", preload, { once: true });
    controls.addEventListener("focusin", preload, { once: true });
    controls.hidden = false;
  }

  // Lays a grid of empty cells over the picture. The one that is pointed at gets a frame, and its sentence stands
  // below: a mouse points as long as it is there, a click, a finger or an arrow key until the next one.
  // A screen reader meets an ordinary grid, whose cells are named by their sentences.
  // Returns a function that takes the cells of another picture and says what the chosen one says there.
  function layGrid(figure, image, name, first) {
    const sentence = figure.querySelector(".explore-cell");
    const hint = sentence.textContent;
    const frame = element("div", { class: "explore-picture" });
    const grid = element("div", { class: "explore-cells", role: "grid", "aria-label": name });
    image.replaceWith(frame);
    frame.append(image, grid);
    const rows = first.says.map((says) => {
      const row = element("div", { role: "row" });
      grid.append(row);
      row.append(...says.map(() => element("div", { role: "gridcell", tabindex: -1 })));
      return [...row.children];
    });
    let chosen = null;
    let hovered = null;

    const words = (cell) => cell.getAttribute("aria-label");
    const speak = () => {
      const now = hovered ?? chosen;
      rows.flat().forEach((cell) => cell.classList.toggle("pointed", cell === now));
      // No line ends within a formula.
      sentence.textContent = now ? words(now).replace(/ ([=·]) /g, "\u00a0$1\u00a0") : hint;
    };
    const fill = ({ box, says }) => {
      ["left", "top", "width", "height"].forEach((side, i) => (grid.style[side] = `${100 * box[i]}%`));
      rows.forEach((row, i) => row.forEach((cell, j) => cell.setAttribute("aria-label", says[i][j])));
      speak();
      return chosen ? words(chosen) : "";
    };

    // One cell at a time is reached by Tab; the arrow keys go on from there.
    rows[0][0].tabIndex = 0;
    grid.addEventListener("focusin", ({ target }) => {
      rows.flat().forEach((cell) => (cell.tabIndex = cell === target ? 0 : -1));
      [chosen, hovered] = [target, null];
      speak();
    });
    grid.addEventListener("click", ({ target }) => target.focus({ preventScroll: true }));
    grid.addEventListener("pointerover", ({ target, pointerType }) => {
      hovered = pointerType === "mouse" && target.matches("[role=gridcell]") ? target : null;
      speak();
    });
    grid.addEventListener("pointerleave", () => {
      hovered = null;
      speak();
    });
    const ways = {
      ArrowUp: (i, j) => [i - 1, j],
      ArrowDown: (i, j) => [i + 1, j],
      ArrowLeft: (i, j) => [i, j - 1],
      ArrowRight: (i, j) => [i, j + 1],
      Home: (i) => [i, 0],
      End: (i) => [i, rows[i].length - 1],
    };
    grid.addEventListener("keydown", (event) => {
      if (!(event.key in ways) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault(); // the page does not scroll
      const i = rows.findIndex((row) => row.includes(chosen));
      const [row, column] = ways[event.key](i, rows[i].indexOf(chosen));
      rows[row]?.[column]?.focus();
    });
    fill(first);
    sentence.hidden = false;
    return fill;
  }

  function element(tag, attributes) {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    return made;
  }

  const start = () => document.querySelectorAll("figure.explore").forEach(enliven);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
