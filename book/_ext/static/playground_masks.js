// What the playground computes, without a page: masks composed by hand, what they allow, and what they cost.
// No rule stands here. PLAYGROUND.kinds has them, as `lib.masks` says them (book/_ext/masking_book/playground.py).
PLAYGROUND.masks = (() => {
  "use strict";
  const { kinds } = PLAYGROUND;

  // A mask is its rule, and the expression that `lib` prints for it; `binds`: how tightly it binds there.
  const written = (value) => (Array.isArray(value) ? `{${value.join(", ")}}` : value);
  const named = (name, ...given) => ({
    python: given.length ? `${name}(${given.map(written).join(", ")})` : name,
    binds: 3,
    rule: kinds[name](...given),
  });
  const bracketed = (mask, binds) => (mask.binds >= binds ? mask.python : `(${mask.python})`);
  const joined = (kind, sign, binds) => (left, right) => ({
    python: `${bracketed(left, binds)} ${sign} ${bracketed(right, binds + 1)}`,
    binds,
    rule: kinds[kind](left.rule, right.rule),
  });
  const [and, or] = [joined("And", "&", 2), joined("Or", "|", 1)];
  const coarse = (mask, size) => ({
    python: `coarse(${mask.python}, ${size})`,
    binds: 3,
    rule: kinds.coarse(mask.rule, size, size),
  });

  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  const multiple = (a, b) => (a * b) / divisor(a, b);

  // The mask of a state of the controls; what is not chosen is null.
  function compose({ causal, window, strided, every, same_block, offsets, join, sink, prefix, coarse: size }) {
    const distances = offsets && [0, ...offsets];
    const given = { window, strided, every: every && [every, every - 1], same_block, offsets: offsets && [distances] };
    const pieces = Object.entries(given)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => named(name, ...[value].flat(1)));
    let mask = pieces.length ? pieces.reduce(join === "every" ? and : or) : null;
    if (sink !== null) mask = mask ? or(mask, named("sink", sink)) : named("sink", sink);
    if (causal) mask = mask ? and(named("causal"), mask) : named("causal");
    mask ??= named("full");
    if (prefix !== null) mask = or(mask, named("prefix", prefix));
    const whole = size === null ? mask : coarse(mask, size);
    return {
      ...whole,
      ofBlocks: mask.rule,
      block: size ?? 1,
      // How the rule of blocks repeats itself, and from which distance and place on.
      period: [strided, every, same_block].reduce((a, b) => multiple(a, b ?? 1), 1),
      settled: Math.max(window ?? 0, same_block ?? 0, every ?? 0, ...(distances ?? [0])) + Math.max(sink ?? 0, prefix ?? 0) + 1,
    };
  }

  // The cells of n queries and n keys: rows of booleans.
  const cells = (rule, n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => rule(i, j)));

  // What a reader wants to know of them.
  function facts(rows) {
    const keys = rows.map((row) => row.filter(Boolean).length);
    return {
      pairs: keys.reduce((sum, count) => sum + count, 0),
      leaks: rows.reduce((sum, row, i) => sum + row.filter((allowed, j) => allowed && j > i).length, 0),
      empty: keys.flatMap((count, i) => (count ? [] : [i])),
      fewest: Math.min(...keys),
      most: Math.max(...keys),
    };
  }

  // Rows of tiles of size × size pairs: 0 empty, 1 partial, 2 full.
  function tiles(rows, size) {
    const starts = rows.map((_, i) => i).filter((i) => i % size === 0);
    return starts.map((top) =>
      starts.map((left) => {
        const inside = rows.slice(top, top + size).flatMap((row) => row.slice(left, left + size));
        return inside.every(Boolean) ? 2 : inside.some(Boolean) ? 1 : 0;
      }),
    );
  }

  // The positions that reach the last token through 1, 2, … layers; each layer keeps what it had.
  function reached(rows, layers) {
    let now = rows.map((_, j) => j === rows.length - 1);
    return Array.from({ length: layers }, () => (now = now.map((has, j) => has || rows.some((row, i) => now[i] && row[j]))));
  }

  // The pairs, leaks and empty rows among n tokens, exactly, however large n is. Token k adds what it reads of the past
  // and who of the past reads it. Once k has left behind every distance and place that the rule names, each of the two
  // is as much larger than a period before as it was then.
  function totals(mask, n) {
    const { ofBlocks: rule, block, period, settled } = mask;
    const blocks = Math.ceil(n / block);
    const added = (count) => {
      const counts = new Float64Array(blocks);
      for (let k = 0; k < blocks; k++) counts[k] = k < settled + 2 * period ? count(k) : 2 * counts[k - period] - counts[k - 2 * period];
      return counts;
    };
    // The last block may be short: the pairs that it lacks go from its row and its column, in which it stands twice.
    const lacking = blocks * block - n;
    const inTokens = (counts, itself) =>
      block ** 2 * counts.reduce((a, b) => a + b, 0) - block * lacking * (counts[blocks - 1] + itself) + lacking ** 2 * itself;
    const itself = rule(blocks - 1, blocks - 1) ? 1 : 0;
    const past = inTokens(added((k) => count(k + 1, (j) => rule(k, j))), itself);
    const future = inTokens(added((k) => count(k, (i) => rule(i, k))), 0);
    return { pairs: past + future, leaks: future + leaksWithin(mask, n), empty: emptyRows(mask, n) };
  }

  function count(n, holds) {
    let sum = 0;
    for (let k = 0; k < n; k++) if (holds(k)) sum++;
    return sum;
  }

  // The leaks within the blocks that may read themselves.
  function leaksWithin({ ofBlocks, block }, n) {
    let sum = 0;
    for (let start = 0; block > 1 && start < n; start += block) {
      const size = Math.min(block, n - start);
      if (ofBlocks(start / block, start / block)) sum += (size * (size - 1)) / 2;
    }
    return sum;
  }

  // How many queries may read nothing. Away from both ends of the text, rows repeat themselves.
  function emptyRows({ ofBlocks, block, period, settled }, n) {
    const blocks = Math.ceil(n / block);
    const near = settled + period;
    const empty = new Uint8Array(blocks);
    let count = 0;
    for (let i = 0; i < blocks; i++) {
      const within = i >= near + period && i < blocks - near;
      empty[i] = within ? empty[i - period] : isEmpty(ofBlocks, i, blocks, near);
      count += empty[i] * Math.min(block, n - i * block);
    }
    return count;
  }

  // A key further away than `near` has one like it that is nearer, or stands among the first.
  function isEmpty(rule, i, n, near) {
    for (let j = Math.max(0, i - near); j < Math.min(n, i + near + 1); j++) if (rule(i, j)) return false;
    for (let j = 0; j < Math.min(n, near); j++) if (rule(i, j)) return false;
    return true;
  }

  return { compose, cells, facts, tiles, reached, totals };
})();
