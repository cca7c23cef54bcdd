// The playground's first half: controls that compose a mask, and what is shown of it.
(() => {
  "use strict";
  const { element, button, step, address, masks, states } = PLAYGROUND;
  const { NUMBERS, CHOSEN, EMPTY, PRESETS, distances } = states;
  const LONG = 131072;
  const FEATURES = 64;

  let state = { ...EMPTY, ...PRESETS["Sliding window"] };
  const parts = {};

  const number = (value) => value.toLocaleString("en");
  const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
  const percent = (share) => `${(100 * share).toPrecision(3)} %`;

  function inUnits(value, units, step) {
    const place = Math.min(units.length - 1, Math.floor(Math.log(Math.max(value, 1)) / Math.log(step)));
    const shown = value / step ** place;
    return `${shown >= 100 ? Math.round(shown) : Number(shown.toPrecision(3))} ${units[place]}`;
  }

  // Takes the state that the address asks for, if it asks for one.
  function restore() {
    const asked = states.read(address.read());
    if (asked) {
      state = asked.state;
      parts.note.textContent = asked.changed.length ? `From the link, with ${asked.changed.join(", ")}.` : "";
    }
    show();
  }

  // ---- controls ----

  function change(news) {
    state = { ...state, ...news };
    parts.note.textContent = "";
    address.write(states.written(state));
    show();
  }

  function slider(name) {
    const { label, min, max, value, says } = NUMBERS[name];
    const range = element("input", { type: "range", min, max, id: `playground-${name}` });
    const output = element("output", { for: range.id });
    const row = element("div", { class: "control" });
    range.addEventListener("input", () => change({ [name]: range.valueAsNumber }));
    const words = element("span", { class: "name" }, label);
    if (says) words.title = says;
    if (CHOSEN.includes(name)) {
      const box = element("input", { type: "checkbox" });
      box.addEventListener("change", () => change({ [name]: box.checked ? range.valueAsNumber : null }));
      row.append(element("label", {}, box, words), range, output);
      range.setAttribute("aria-label", `${label}, size`);
      row.show = (now) => {
        box.checked = now !== null;
        row.classList.toggle("off", now === null);
      };
      if (says) row.append(element("small", {}, says));
    } else row.append(element("label", { for: range.id }, words), range, output);
    range.value = value;
    parts[name] = () => {
      const now = state[name];
      if (now !== null) range.value = now;
      output.value = now ?? "off";
      range.setAttribute("aria-valuetext", now ?? `off; ${range.value} when it is chosen`);
      row.show?.(now);
    };
    return row;
  }

  function causalBox() {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => change({ causal: box.checked }));
    parts.causal = () => (box.checked = state.causal);
    const label = element("label", {}, box, element("span", { class: "name" }, "causal"));
    return element("div", { class: "control" }, label, element("small", {}, "no key later than the query"));
  }

  function offsetsField() {
    const box = element("input", { type: "checkbox" });
    const field = element("input", { type: "text", inputmode: "numeric", "aria-label": "offsets besides 0", value: "4, 8", autocomplete: "off" });
    const read = () => {
      change({ offsets: box.checked ? distances(field.value) : null });
      const far = (field.value.match(/\d+/g) ?? []).filter((s) => box.checked && s > 63);
      if (far.length) parts.note.textContent = `Offsets go up to 63 here: ${far.join(", ")} is left out.`;
    };
    box.addEventListener("change", read);
    field.addEventListener("input", () => {
      box.checked = true;
      read();
    });
    parts.offsets = () => {
      box.checked = state.offsets !== null;
      row.classList.toggle("off", state.offsets === null);
      if (state.offsets && String(distances(field.value)) !== String(state.offsets)) field.value = state.offsets.join(", ");
    };
    const label = element("label", {}, box, element("span", { class: "name" }, "offsets"));
    const row = element("div", { class: "control offsets" }, label, field, element("small", {}, "keys so many places back, and 0"));
    return row;
  }

  function joinChoice() {
    const choice = element("select", { id: "playground-join" });
    choice.append(element("option", { value: "any" }, "any allows it"), element("option", { value: "every" }, "every one must"));
    choice.addEventListener("change", () => change({ join: choice.value }));
    parts.join = () => (choice.value = state.join);
    return element("div", { class: "control" }, element("label", { for: choice.id }, "of these five"), choice);
  }

  function presets() {
    const choices = Object.entries(PRESETS).map(([name, preset]) => button(name, () => change({ ...EMPTY, ...preset })));
    return element("fieldset", { class: "presets" }, element("legend", {}, "Begin with"), ...choices);
  }

  function controls() {
    return element(
      "div",
      { class: "controls" },
      element(
        "fieldset",
        {},
        element("legend", {}, "May a query read a key?"),
        slider("n"),
        causalBox(),
        slider("window"),
        slider("strided"),
        slider("every"),
        slider("same_block"),
        offsetsField(),
        joinChoice(),
        slider("sink"),
        slider("prefix"),
        slider("coarse"),
      ),
    );
  }

  // ---- pictures ----

  function drawTiles({ tiles }) {
    parts.tiles.innerHTML = PLAYGROUND.tileMap(tiles);
    const count = (state) => tiles.flat().filter((tile) => tile === state).length;
    const said = `${plural(tiles.length ** 2, "tile")} of ${state.tile} × ${state.tile}: ${count(2)} full, ${count(1)} partial, ${count(0)} empty.`;
    parts.tiles.setAttribute("aria-label", `Map of tiles. ${said}`);
    parts.tilesSaid.textContent = said;
  }

  function drawReach({ reached }) {
    const n = state.n;
    parts.reach.innerHTML = PLAYGROUND.reach(reached, n);
    const last = reached.at(-1);
    const count = last.filter(Boolean).length;
    const furthest = n - 1 - last.indexOf(true);
    const said = `Through ${plural(state.layers, "layer")} the last token can depend on ${count} of ${plural(n, "token")}, the furthest ${furthest} back.`;
    parts.reach.setAttribute("aria-label", `One row for each layer, the first below the output on top. ${said}`);
    parts.reachSaid.textContent = said;
  }

  // ---- pointing at a pair: by mouse, finger or arrow keys ----

  let pointed = null;

  function point(i, j, speak) {
    pointed = [i, j];
    const cell = 100 / state.n;
    Object.assign(parts.mark.style, { left: `${j * cell}%`, top: `${i * cell}%`, width: `${cell}%`, height: `${cell}%` });
    parts.mark.hidden = false;
    const allowed = parts.now.rows[i][j];
    const where = j === i ? "itself" : j < i ? `${i - j} back` : `${j - i} ahead`;
    parts.pair.textContent = `Query ${i} ${allowed ? "may" : "may not"} read key ${j}, ${where}${allowed && j > i ? ": a leak" : ""}.`;
    parts.pair.setAttribute("aria-live", speak ? "polite" : "off");
  }

  function pointing() {
    const under = ({ clientX, clientY }) => {
      const box = parts.matrix.getBoundingClientRect();
      const place = (x, start, length) => Math.min(Math.max(Math.floor(((x - start) / length) * state.n), 0), state.n - 1);
      return [place(clientY, box.top, box.height), place(clientX, box.left, box.width)];
    };
    parts.matrix.addEventListener("pointermove", (event) => point(...under(event), false));
    parts.matrix.addEventListener("click", (event) => point(...under(event), false));
    parts.matrix.addEventListener("keydown", (event) => {
      const way = step(event);
      if (!way) return;
      event.preventDefault(); // the page does not scroll
      const [i, j] = pointed ?? [0, 0];
      const [down, right] = pointed ? way : [0, 0];
      point(Math.min(Math.max(i + down, 0), state.n - 1), Math.min(Math.max(j + right, 0), state.n - 1), true);
    });
  }

  // ---- figures ----

  function tell({ facts }) {
    const { n } = state;
    const keys = facts.fewest === facts.most ? facts.most : `${facts.fewest} to ${facts.most}`;
    const fill = (name, here) => (parts[`here-${name}`].textContent = here);
    fill("pairs", `${number(facts.pairs)} of ${number(n * n)}`);
    fill("density", percent(facts.pairs / n ** 2));
    fill("keys", keys);
    fill("leaks", number(facts.leaks));
    fill("empty", facts.empty.length ? `${facts.empty.length}: ${facts.empty.slice(0, 6).join(", ")}${facts.empty.length > 6 ? " …" : ""}` : "0");
    fill("bytes", inUnits(n * n, ["B", "KiB"], 1024));
    fill("flops", inUnits(4 * FEATURES * facts.pairs, ["", "thousand", "million"], 1000));
    const leaks = facts.leaks ? `${plural(facts.leaks, "pair")} read the future` : "no query reads the future";
    const empty = facts.empty.length ? `${plural(facts.empty.length, "row")} without a key` : "no row is empty";
    parts.matrix.setAttribute(
      "aria-label",
      `Matrix of ${n} queries and ${n} keys: ${facts.pairs} pairs allowed, ${keys} in a row; ${leaks}; ${empty}. Arrow keys go from pair to pair.`,
    );
    return `${facts.pairs} of ${n * n} pairs; ${leaks}; ${empty}.`;
  }

  function tellLong(mask) {
    const { pairs, leaks, empty } = masks.totals(mask, LONG);
    const fill = (name, there) => (parts[`long-${name}`].textContent = there);
    fill("pairs", number(pairs));
    fill("density", percent(pairs / LONG ** 2));
    fill("keys", `${number(Number((pairs / LONG).toFixed(1)))} on average`);
    fill("leaks", number(leaks));
    fill("empty", number(empty));
    fill("bytes", inUnits(LONG ** 2, ["B", "KiB", "MiB", "GiB"], 1024));
    fill("flops", inUnits(4 * FEATURES * pairs, ["", "thousand", "million", "billion", "trillion"], 1000));
  }

  function figures() {
    const rows = {
      pairs: "pairs",
      density: "density",
      keys: "keys in a row",
      leaks: "leaks",
      empty: "empty rows",
      bytes: "the mask written down, a byte a pair",
      flops: `operations of a head of ${FEATURES} features`,
    };
    const cell = (name) => (parts[name] = element("td", {}, "–"));
    return element(
      "table",
      {},
      element("thead", {}, element("tr", {}, element("td"), (parts.hereHead = element("th", { scope: "col" })), element("th", { scope: "col" }, `${number(LONG)} tokens`))),
      element("tbody", {}, ...Object.entries(rows).map(([name, words]) => element("tr", {}, element("th", { scope: "row" }, words), cell(`here-${name}`), cell(`long-${name}`)))),
    );
  }

  // ---- taking it along ----

  async function copy(text, words) {
    try {
      await navigator.clipboard.writeText(text);
      parts.note.textContent = `${words} copied.`;
    } catch {
      parts.note.textContent = `This browser lets no page copy: take it from ${words === "Link" ? "the address bar" : "the line above"} by hand.`;
    }
  }

  function link() {
    address.write(states.written(state));
    address.settle();
    return location.href;
  }

  // Python's lines for a notebook.
  function lines(python) {
    const names = [...new Set(python.match(/[a-z_]{2,}/g))].sort();
    return `from lib.masks import ${names.join(", ")}\n\nmask = ${python}\n`;
  }

  // ---- the page ----

  let waiting = null;
  let counting = null;

  function show() {
    ["n", "causal", "window", "strided", "every", "same_block", "offsets", "join", "sink", "prefix", "coarse", "tile", "layers"].forEach((name) => parts[name]());
    const mask = masks.compose(state);
    const rows = masks.cells(mask.rule, state.n);
    parts.now = { mask, rows, facts: masks.facts(rows), tiles: masks.tiles(rows, state.tile), reached: masks.reached(rows, state.layers) };
    parts.python.textContent = mask.python;
    parts.hereHead.textContent = plural(state.n, "token");
    [parts.mark.hidden, pointed, parts.pair.textContent] = [true, null, "Point at a pair, or use arrow keys."];
    parts.pair.setAttribute("aria-live", "off");
    parts.matrix.innerHTML = PLAYGROUND.matrix(rows, parts.now.facts.empty);
    parts.matrix.append(parts.mark);
    drawTiles(parts.now);
    drawReach(parts.now);
    const said = tell(parts.now);
    // A screen reader hears of a change when the controls rest.
    clearTimeout(waiting);
    waiting = setTimeout(() => (parts.spoken.textContent = said), 700);
    // After the pictures; where the rule repeats itself late, once the controls rest.
    clearTimeout(counting);
    counting = setTimeout(() => tellLong(mask), mask.period > 300 ? 250 : 0);
  }

  const picture = (name, role) => (parts[name] = element("div", { class: "picture", role }));
  const words = (name) => (parts[name] = element("p", { class: "said" }));

  function start() {
    const place = document.getElementById("playground-masks");
    if (!place) return;
    parts.mark = element("span", { class: "mark" });
    const matrix = picture("matrix", "application");
    matrix.tabIndex = 0;
    parts.python = element("code");
    parts.note = element("p", { class: "note", role: "status" });
    parts.spoken = element("p", { class: "spoken", "aria-live": "polite" });
    place.innerHTML = PLAYGROUND.patterns;
    place.append(
      presets(),
      element("div", { class: "mask" }, element("p", { class: "axes", "aria-hidden": "true" }, "query i ↓, key j →"), matrix, words("pair")),
      controls(),
      element(
        "div",
        { class: "taking" },
        element("p", { class: "expression" }, "mask = ", parts.python),
        element(
          "p",
          { class: "buttons" },
          button("Copy for a notebook", () => copy(lines(parts.python.textContent), "Python")),
          button("Copy the link", () => copy(link(), "Link")),
        ),
        parts.note,
        parts.spoken,
      ),
      element("div", { class: "reach" }, slider("layers"), element("p", { class: "axes", "aria-hidden": "true" }, "layer ↓, token →"), picture("reach", "img"), words("reachSaid")),
      element("div", { class: "tiles" }, slider("tile"), element("p", { class: "axes", "aria-hidden": "true" }, "queries ↓, keys →"), picture("tiles", "img"), words("tilesSaid")),
      element("div", { class: "figures" }, figures()),
    );
    pointing();
    restore();
    addEventListener("hashchange", restore);
  }

  PLAYGROUND.rule = () => parts.now.mask.rule;
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
