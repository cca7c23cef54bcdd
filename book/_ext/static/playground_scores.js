// The playground's second half: scores to type in, a mask to paint, and four ways to apply the one to the other. The
// weights follow at once. The address holds them too: scores=1,0.5;…, may=10;11, form=zeroed.
(() => {
  "use strict";
  const { element, button, step, address, shades, dark, kinds } = PLAYGROUND;

  // A row without a key has no weights: zeros, as everywhere in the course.
  function softmax(scores) {
    const largest = Math.max(...scores);
    if (largest === -Infinity) return scores.map(() => 0);
    const powers = scores.map((score) => Math.exp(score - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  // The four forms of chapter 2, row by row.
  const FORMS = {
    infinite: ["−∞ before the softmax", (scores, may) => softmax(scores.map((score, j) => (may[j] ? score : -Infinity)))],
    zeroed: ["scores zeroed", (scores, may) => softmax(scores.map((score, j) => (may[j] ? score : 0)))],
    multiplied: ["scores multiplied by the mask", (scores, may) => softmax(scores.map((score, j) => score * may[j]))],
    after: ["weights masked after the softmax", (scores, may) => softmax(scores).map((weight, j) => weight * may[j])],
  };

  const square = (n, value) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => value(i, j)));
  const causal = kinds.causal();
  // Beyond the document's scores: some numbers to begin with.
  const more = (i, j) => ((3 * i + 5 * j + i * j) % 9) / 5 - 0.4;

  let state = { scores: PLAYGROUND.scores, may: square(3, causal), form: "infinite" };
  const parts = {};

  // ---- the address ----

  const toAddress = () =>
    address.write({
      scores: state.scores.map((row) => row.join(",")).join(";"),
      may: state.may.map((row) => row.map(Number).join("")).join(";"),
      form: state.form,
    });

  function fromAddress() {
    const asked = address.read();
    if (!asked?.has("scores")) return;
    const scores = asked.get("scores").split(";").map((row) => row.split(",").map(Number));
    const may = (asked.get("may") ?? "").split(";").map((row) => [...row].map((cell) => cell === "1"));
    const n = scores.length;
    const fits = (rows) => rows.length === n && rows.every((row) => row.length === n);
    const right = n >= 3 && n <= 8 && fits(scores) && scores.flat().every(Number.isFinite) && asked.get("form") in FORMS;
    if (right) state = { scores, may: fits(may) ? may : square(n, causal), form: asked.get("form") };
    if (!right || !fits(may)) parts.note.textContent = "The link's scores and mask do not fit each other: some are not taken from it.";
  }

  // ---- what is told ----

  // In a large table there is room for two decimals.
  const fixed = (value) => value.toFixed(state.scores.length > 5 ? 2 : 3);
  const apply = () => state.scores.map((row, i) => FORMS[state.form][1](row, state.may[i]));

  function change(news) {
    state = { ...state, ...news };
    toAddress();
    show();
  }

  function show() {
    nameCells();
    const weights = apply();
    parts.weights.replaceChildren(head(["leaked", "sum"]), ...weights.map((row, i) => weightRow(row, i)));
    const leaked = weights.map((row, i) => row.reduce((sum, weight, j) => sum + (state.may[i][j] ? 0 : weight), 0));
    const sums = weights.map((row) => row.reduce((a, b) => a + b, 0));
    const empty = state.may.flatMap((row, i) => (row.some(Boolean) ? [] : [i]));
    const notes = [
      leaked.some((mass) => mass > 0)
        ? `On hidden keys lies ${fixed(Math.max(...leaked))} of row ${leaked.indexOf(Math.max(...leaked))}, more than of any other.`
        : "Nothing lies on a hidden key.",
    ];
    const short = sums.flatMap((sum, i) => (Math.abs(sum - 1) > 1e-9 && !empty.includes(i) ? [i] : []));
    if (short.length) notes.push(`${short.length === 1 ? "Row" : "Rows"} ${short.join(", ")} no longer sum${short.length === 1 ? "s" : ""} to 1.`);
    if (empty.length) notes.push(`Without a key: ${empty.length === 1 ? "row" : "rows"} ${empty.join(", ")}.`);
    // It is read out: only where it says something new.
    if (parts.said.textContent !== notes.join(" ")) parts.said.textContent = notes.join(" ");
  }

  function weightRow(row, i) {
    const made = element("tr", {}, element("th", { scope: "row" }, String(i)));
    let leaked = 0;
    row.forEach((weight, j) => {
      const may = state.may[i][j];
      const cell = element("td", { class: may ? "may" : "hidden" }, element("span", {}, fixed(weight)));
      if (may) {
        cell.style.background = shades[Math.round(weight * (shades.length - 1))];
        cell.style.color = weight > dark ? "white" : "";
      } else if (weight > 0) {
        leaked += weight;
        cell.classList.add("leak");
        cell.append(element("b", {}, "leak"));
      }
      made.append(cell);
    });
    made.append(element("td", { class: "sum" }, fixed(leaked)), element("td", { class: "sum" }, fixed(row.reduce((a, b) => a + b, 0))));
    return made;
  }

  function head(further = []) {
    const columns = [...state.scores.keys()].map(String).concat(further);
    return element("tr", {}, element("td"), ...columns.map((name) => element("th", { scope: "col" }, name)));
  }

  // ---- what is typed and painted ----

  function fillScores() {
    const rows = state.scores.map((row, i) =>
      element("tr", {}, element("th", { scope: "row" }, String(i)), ...row.map((score, j) => element("td", {}, scoreField(score, i, j)))));
    parts.scores.replaceChildren(head(), ...rows);
  }

  function scoreField(score, i, j) {
    const field = element("input", { type: "text", inputmode: "text", value: Number(score.toFixed(3)), "aria-label": `score of query ${i} for key ${j}`, autocomplete: "off" });
    field.addEventListener("input", () => {
      const given = Number(field.value.trim().replace("−", "-").replace(",", ".") || Number.NaN);
      const right = Number.isFinite(given);
      field.setAttribute("aria-invalid", String(!right));
      parts.note.textContent = right ? "" : `A score is a number, and "${field.value}" is none: the weights keep ${state.scores[i][j]}.`;
      if (!right) return;
      change({ scores: state.scores.map((row, r) => row.map((old, c) => (r === i && c === j ? given : old))) });
    });
    return field;
  }

  const says = (i, j) => `query ${i} ${state.may[i][j] ? "may" : "may not"} read key ${j}`;

  function fillMask() {
    const n = state.scores.length;
    const cells = square(n, (i, j) => element("button", { type: "button", tabindex: i + j ? -1 : 0, "data-i": i, "data-j": j }));
    const rows = cells.map((row, i) => element("tr", {}, element("th", { scope: "row" }, String(i)), ...row.map((cell) => element("td", {}, cell))));
    parts.mask.replaceChildren(head(), ...rows);
    parts.cells = cells;
  }

  function nameCells() {
    parts.cells.forEach((row, i) => row.forEach((cell, j) => {
      cell.setAttribute("aria-pressed", String(state.may[i][j]));
      cell.setAttribute("aria-label", says(i, j));
    }));
  }

  function paint(cell, value) {
    const [i, j] = [Number(cell.dataset.i), Number(cell.dataset.j)];
    if (state.may[i][j] === value) return;
    change({ may: state.may.map((row, r) => row.map((old, c) => (r === i && c === j ? value : old))) });
  }

  // A press turns a cell over; a pointer that is drawn on paints with the same colour. Arrow keys go from cell to cell.
  function painting() {
    let colour = null;
    const cellAt = ({ clientX, clientY }) => document.elementFromPoint(clientX, clientY)?.closest("#playground-scores button[data-i]");
    parts.mask.addEventListener("pointerdown", (event) => {
      const cell = event.target.closest("button");
      if (!cell) return;
      colour = cell.getAttribute("aria-pressed") !== "true";
      paint(cell, colour);
    });
    addEventListener("pointermove", (event) => {
      const cell = colour !== null && cellAt(event);
      if (cell) paint(cell, colour);
    });
    ["pointerup", "pointercancel"].forEach((end) => addEventListener(end, () => (colour = null)));
    parts.mask.addEventListener("click", (event) => {
      const cell = event.target.closest("button");
      // A pointer has painted it already; keys and screen readers press without one.
      if (cell && event.detail === 0) paint(cell, cell.getAttribute("aria-pressed") !== "true");
    });
    parts.mask.addEventListener("keydown", (event) => {
      const cell = event.target.closest("button");
      const way = step(event);
      if (!cell || !way) return;
      event.preventDefault(); // the page does not scroll
      const [down, right] = way;
      const next = parts.cells[Number(cell.dataset.i) + down]?.[Number(cell.dataset.j) + right];
      if (!next) return;
      parts.cells.flat().forEach((other) => (other.tabIndex = other === next ? 0 : -1));
      next.focus();
    });
  }

  function resize(n) {
    const { scores, may } = state;
    state = {
      ...state,
      scores: square(n, (i, j) => scores[i]?.[j] ?? Number(more(i, j).toFixed(1))),
      may: square(n, (i, j) => may[i]?.[j] ?? causal(i, j)),
    };
    toAddress();
    fill();
  }

  function fill() {
    parts.size.value = state.scores.length;
    parts.form.value = state.form;
    fillScores();
    fillMask();
    show();
  }

  function start() {
    const place = document.getElementById("playground-scores");
    if (!place) return;
    const table = (name, words) => {
      parts[name] = element("table", { class: name }, element("caption", {}, words));
      const body = element("tbody");
      parts[name].append(body);
      const whole = parts[name];
      parts[name] = body;
      return element("div", { class: "matrix" }, whole);
    };
    parts.size = element("select", { id: "playground-size" }, ...[3, 4, 5, 6, 7, 8].map((n) => element("option", { value: n }, `${n} × ${n}`)));
    parts.size.addEventListener("change", () => resize(Number(parts.size.value)));
    parts.form = element("select", { id: "playground-form" }, ...Object.entries(FORMS).map(([name, [words]]) => element("option", { value: name }, words)));
    parts.form.addEventListener("change", () => change({ form: parts.form.value }));
    const take = (rule) => change({ may: square(state.scores.length, rule) });
    parts.note = element("p", { class: "note", role: "status" });
    parts.said = element("p", { class: "said", "aria-live": "polite" });
    place.replaceChildren(
      element(
        "div",
        { class: "choices" },
        element("label", { for: "playground-size" }, "Size"),
        parts.size,
        element("label", { for: "playground-form" }, "The mask is applied as"),
        parts.form,
        button("Causal mask", () => take(causal)),
        button("The mask above", () => take(PLAYGROUND.rule())),
      ),
      element(
        "div",
        { class: "row" },
        table("scores", "scores: type"),
        table("mask", "mask: paint"),
        table("weights", "weights"),
      ),
      parts.said,
      parts.note,
    );
    painting();
    fromAddress();
    fill();
    addEventListener("hashchange", () => {
      fromAddress();
      fill();
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
