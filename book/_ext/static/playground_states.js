// The states of the playground's controls: what they can be, which ones a reader may begin with, and how the address of
// the page writes them, as #n=24&causal=1&window=5.
PLAYGROUND.states = (() => {
  "use strict";

  // Each control of a number: its range, its value when a reader first chooses it, and what it does.
  const NUMBERS = {
    n: { label: "tokens", min: 1, max: 64, value: 24 },
    window: { label: "window", min: 1, max: 64, value: 5, says: "keys closer than so many places" },
    strided: { label: "stride", min: 2, max: 12, value: 4, says: "keys a multiple of so many away" },
    every: { label: "every", min: 2, max: 12, value: 6, says: "the last key of every so many" },
    same_block: { label: "same block", min: 1, max: 16, value: 6, says: "keys of the query's own block" },
    sink: { label: "sink", min: 1, max: 16, value: 2, says: "and the first keys, if not later" },
    prefix: { label: "prefix", min: 1, max: 32, value: 6, says: "the first keys, even if later" },
    coarse: { label: "coarse", min: 2, max: 16, value: 4, says: "all of it, for blocks of tokens" },
    tile: { label: "tile of", min: 2, max: 16, value: 4 },
    layers: { label: "layers", min: 1, max: 8, value: 3 },
  };
  const CHOSEN = ["window", "strided", "every", "same_block", "sink", "prefix", "coarse"];
  const EMPTY = {
    n: 24, causal: true, window: null, strided: null, every: null, same_block: null, offsets: null, join: "any",
    sink: null, prefix: null, coarse: null, tile: 4, layers: 3,
  };
  const PRESETS = {
    "Causal": {},
    "Sliding window": { window: 5 },
    "Attention sinks": { window: 6, sink: 2 },
    "Longformer-like": { n: 32, causal: false, window: 4, sink: 2 },
    "BigBird-like": { n: 32, causal: false, window: 2, sink: 1, coarse: 4 },
    "Strided": { n: 36, window: 6, strided: 6, tile: 6, layers: 2 },
    "Fixed": { n: 36, same_block: 6, every: 6, tile: 6, layers: 2 },
    "Dilated window": { n: 32, window: 13, strided: 3, join: "every" },
    "Prefix LM": { prefix: 8 },
    "Block-causal (leaks)": { coarse: 6, tile: 6 },
  };

  // "4, 8" as numbers from 1 to 63, in order.
  const distances = (text) =>
    [...new Set((text.match(/\d+/g) ?? []).map(Number))].filter((s) => s >= 1 && s <= 63).sort((a, b) => a - b);

  const written = (state) => ({ ...state, causal: Number(state.causal) });

  // The state that an address asks for, or null; and what was changed in it to bring its numbers into their range.
  function read(asked) {
    if (!asked?.has("n")) return null;
    const changed = [];
    const whole = (name, { min, max }, text) => {
      const given = Number.parseInt(text, 10);
      const taken = Math.min(Math.max(Number.isNaN(given) ? min : given, min), max);
      if (String(taken) !== text) changed.push(`${name} ${taken} and not ${text}`);
      return taken;
    };
    const state = { ...EMPTY, causal: asked.get("causal") !== "0", join: asked.get("join") === "every" ? "every" : "any" };
    for (const [name, range] of Object.entries(NUMBERS)) {
      if (asked.has(name)) state[name] = whole(name, range, asked.get(name));
    }
    if (asked.has("offsets")) state.offsets = distances(asked.get("offsets"));
    return { state, changed };
  }

  return { NUMBERS, CHOSEN, EMPTY, PRESETS, distances, written, read };
})();
