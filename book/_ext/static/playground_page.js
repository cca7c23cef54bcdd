// What both halves of the playground share: pieces of a page, the address that holds the state, and the pictures.
Object.assign(PLAYGROUND, (() => {
  "use strict";
  const { colours } = PLAYGROUND;

  function element(tag, attributes = {}, ...content) {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...content);
    return made;
  }

  function button(words, action) {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", action);
    return made;
  }

  // Arrow keys: by how many rows and columns; undefined for any other key.
  function step({ key, altKey, ctrlKey, metaKey }) {
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    return altKey || ctrlKey || metaKey ? undefined : ways[key];
  }

  // ---- the address: #n=24&causal=1&window=5 ----

  let held = new URLSearchParams();
  let waiting = null;
  const address = {
    // What the address asks for; null where it asks for nothing, as after a link to a heading.
    read() {
      if (!location.hash.includes("=")) return null;
      held = new URLSearchParams(location.hash.slice(1));
      return held;
    },
    // Browsers allow few changes of the address a second, so it waits until the controls rest.
    write(entries) {
      Object.entries(entries).forEach(([name, value]) => (value === null ? held.delete(name) : held.set(name, value)));
      clearTimeout(waiting);
      waiting = setTimeout(address.settle, 250);
    },
    settle() {
      clearTimeout(waiting);
      if (String(held)) history.replaceState(null, "", `#${decodeURIComponent(held)}`);
    },
  };

  // ---- pictures: 480 units wide, hatched where a pair is forbidden ----

  const SIDE = 480;
  const picture = (body, height = SIDE) =>
    `<svg viewBox="-1 -1 ${SIDE + 2} ${height + 2}" aria-hidden="true" focusable="false">${body}</svg>`;
  const hatch = (id, lines, line, ground) =>
    `<pattern id="playground-${id}" width="8" height="8" patternUnits="userSpaceOnUse">` +
    `<rect width="8" height="8" fill="${ground}"/><path d="${lines}" stroke="${line}" fill="none"/></pattern>`;
  const RISING = "M0 8L8 0M-2 2L2 -2M6 10L10 6";
  const FALLING = "M0 0L8 8M-2 6L2 10M6 -2L10 2";
  const STYLES = {
    hidden: `fill="url(#playground-hidden)" stroke="${colours.faint}"`,
    partial: `fill="url(#playground-partial)" stroke="${colours.deep}"`,
    full: `fill="${colours.deep}" stroke="white"`,
    blank: `fill="white" stroke="${colours.faint}"`,
  };
  const patterns =
    `<svg width="0" height="0" aria-hidden="true"><defs>${hatch("hidden", RISING, colours.faint, "white")}` +
    `${hatch("partial", RISING + FALLING, colours.deep, colours.partial)}</defs></svg>`;
  const short = (x) => Number(x.toFixed(2));

  // Cells, one path for each style; `style(i, j)` names that of a cell, and cells are squares unless a height is given.
  function painted(rows, columns, style, height = SIDE / columns) {
    const width = SIDE / columns;
    const around = `h${short(width)}v${short(height)}h${-short(width)}z`;
    const paths = {};
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) (paths[style(i, j)] ??= []).push(`M${short(j * width)} ${short(i * height)}${around}`);
    }
    const line = columns > 32 ? 0.5 : 0.8;
    return Object.entries(paths)
      .map(([name, cells]) => `<path class="${name}" ${STYLES[name]} stroke-width="${line}" d="${cells.join("")}"/>`)
      .join("");
  }

  // A mask pair by pair, with a cross on each leak and a frame around each empty row.
  function matrix(rows, empty) {
    const cell = SIDE / rows.length;
    const arm = short(Math.min(cell * 0.26, 7));
    const cross = (i, j) => `M${short((j + 0.5) * cell - arm)} ${short((i + 0.5) * cell - arm)}l${2 * arm} ${2 * arm}m${-2 * arm} 0l${2 * arm} ${-2 * arm}`;
    const crosses = rows.flatMap((row, i) => row.flatMap((allowed, j) => (allowed && j > i ? [cross(i, j)] : []))).join("");
    const frames = empty.map((i) => `M1 ${short(i * cell + 1)}h${SIDE - 2}v${short(cell - 2)}h${2 - SIDE}z`).join("");
    const line = (drawn, colour, width) => (drawn ? `<path fill="none" stroke="${colour}" stroke-width="${width}" d="${drawn}"/>` : "");
    return picture(
      painted(rows.length, rows.length, (i, j) => (rows[i][j] ? "full" : "hidden")) +
        line(crosses, "white", 1.8 * arm * 0.5) + line(crosses, colours.accent, 0.5 * arm) + line(frames, colours.accent, 2.5),
    );
  }

  const TILES = ["hidden", "partial", "full"];
  const tileMap = (tiles) => picture(painted(tiles.length, tiles.length, (i, j) => TILES[tiles[i][j]]));

  // A row for each layer, high enough to be seen.
  function reach(layers, n) {
    const height = Math.max(SIDE / n, 16);
    return picture(painted(layers.length, n, (layer, j) => (layers[layer][j] ? "full" : "blank"), height), height * layers.length);
  }

  return { element, button, step, address, patterns, matrix, tileMap, reach };
})());
