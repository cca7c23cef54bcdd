"""Points, reference answers and known mistakes of exercise 10.

Generated from solutions/10_capstone.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.masks import causal, coarse, window
from lib.probe import causality_probe
from lib.tiles import EMPTY, n_pairs, receptive_field

CHAPTER = "10_capstone"
TITLE = "Capstone: is this model causal?"
TITLES = {
    "10.1": "Find",
    "10.2": "Repair",
    "10.3": "Design",
}
POINTS = {
    "10.1": 5,
    "10.2": 5,
    "10.3": 5,
}


def loss_on_dice(model, steps=80):
    """The loss, in nats, that a model reports on texts of dice after training on others."""
    import torch
    from torch.nn.functional import cross_entropy

    dice = torch.Generator().manual_seed(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def loss(batch):
        ids = torch.randint(11, (batch, 18), generator=dice)
        return cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    for _ in range(steps):
        optimizer.zero_grad()
        loss(32).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return loss(200).item()


TEXT = np.random.default_rng(10).integers(11, size=(2, 18))  # two texts of 18 tokens


findings = {
    "Local": "mask rule",
    "Mixer": "convolution",
    "Norm": "statistic over time",
    "Routed": "selection",
    "Phase": "length",
}


KINDS = (
    "mask rule", "convolution", "statistic over time", "selection", "length",
    "softmax axis", "target shift", "cache", "polarity", "dropout",
)  # fmt: skip
LEAKS = {
    "Local": "mask rule",
    "Mixer": "convolution",
    "Norm": "statistic over time",
    "Routed": "selection",
    "Phase": "length",
}
# What is sound, and why.
SOUND = {
    "Trail": "the sum that it divides ends at the token itself",
    "Eight": "its scale is that of one token alone",
    "FeedForward": "it takes each token for itself, and Trail, which is sound",
    "LayerNorm": "it takes mean and variance over the numbers of one token",
    "Embedding": "it looks up each token for itself",
    "Linear": "it takes each token for itself",
    "attend": "it reads what `allowed` allows, and each row of its softmax is one query's",
}
# Other names under which one meets the parts.
PATHS = {
    "e": "Embedding", "r": "Eight", "p": "Phase", "n1": "LayerNorm", "n2": "LayerNorm", "n3": "Norm", "a": "Local",
    "a.mix": "Mixer", "mix": "Mixer", "a.mix.kernel": "Mixer", "Conv1d": "Mixer", "a.qkv": "Linear", "b": "Routed",
    "b.qkv": "Linear", "BatchNorm1d": "Norm", "f": "FeedForward", "f.trail": "Trail", "f.up": "Linear",
    "f.down": "Linear", "out": "Linear",
}  # fmt: skip


def part_named(name):
    """The class of the file that is meant; an empty text when there is none."""
    known = {known.casefold(): known for known in (*LEAKS, *SOUND)} | PATHS
    known |= {path.casefold(): part for path, part in PATHS.items()}
    return known.get(name.casefold(), "")


def kind_named(words):
    """The kind that begins like these words; an empty text unless it is one alone."""
    words = words.casefold().replace("_", " ")
    fits = [kind for kind in KINDS if words and kind.startswith(words)]
    return fits[0] if len(fits) == 1 else ""


def said_of(findings):
    """How many points the findings are worth, and what the learner reads when it is not 5."""
    for name, kind in findings.items():
        if name.casefold() == "decoder":
            return 0, "The Decoder as a whole leaks, that is so. Name its parts."
        if not part_named(name):
            return 0, f"The file has no class `{name}`."
        if not kind_named(kind):
            return 0, f"`{kind}` is none of the ten kinds: {', '.join(KINDS)}."
    found = {part_named(name): kind_named(kind) for name, kind in findings.items()}
    right = [part for part in found if LEAKS.get(part) == found[part]]
    accused = [part for part in found if part in SOUND]
    return max(0, len(right) - len(accused)), said_of_parts(found, right, accused)


def said_of_parts(found, right, accused):
    """How many are right, and what to look at next."""
    other = [part for part in found if part in LEAKS and part not in right]
    missing = [part for part in LEAKS if part not in found]
    told = f"Right, part and kind: {len(right)} of {len(found)}."
    if accused:
        why = SOUND[accused[0]]
        return f"{told} `{accused[0]}` does not leak: {why}. Probe it alone."
    if other:
        return f"{told} `{other[0]}` leaks in another way: by which line of it does a later token reach an output?"
    if missing == ["Phase"]:
        return f"{told} One is missing. At one length the rest of the model is causal; have you cut the text?"
    if missing == ["Norm"]:
        return f"{told} One is missing. It leaks in one of the two modes alone: have you asked in both?"
    are = "is" if len(missing) == 1 else "are"
    return (
        f"{told} {len(missing)} {are} missing. In which modes have you looked, at which lengths, and at which parts "
        "alone? `causality_probe(part, x)` takes floats x of shape (2, 18, 16)."
    )


def repaired():
    """A new decoder without leaks."""
    import torch
    from torch import nn
    from torch.nn.functional import pad

    from lib import capstone
    from lib.capstone import BLOCK, KEEP, WINDOW, Decoder, attend

    class Phase(capstone.Phase):
        def forward(self, x):
            t = torch.arange(x.shape[1])[:, None]
            return x + torch.sin(self.rate * t / 16)  # no length

    class Mixer(capstone.Mixer):
        def forward(self, x):
            return self.kernel(pad(x.mT, (2, 0))).mT  # all zeros on the left

    class Local(capstone.Local):
        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            t = torch.arange(x.shape[1])
            back = t[:, None] - t
            return attend(q, self.mix(k), v, (back >= 0) & (back < WINDOW))

    class Routed(capstone.Routed):
        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            t = torch.arange(x.shape[1])
            means = torch.stack([part.mean(1) for part in k.split(BLOCK, 1)], 1)
            blocks, own = torch.arange(means.shape[1]), t[:, None] // BLOCK
            # The own block is read without a score; the finished ones compete.
            scores = (q @ means.mT).masked_fill(blocks >= own, -torch.inf)
            best = scores.topk(min(KEEP - 1, len(blocks)), dim=-1).indices
            kept = torch.zeros_like(scores).bool().scatter(-1, best, True)
            kept = kept & (blocks < own) | (blocks == own)
            allowed = kept.repeat_interleave(BLOCK, -1)[..., : len(t)]
            return attend(q, k, v, allowed & (t <= t[:, None]))

    model = Decoder()
    width = model.e.embedding_dim
    model.p, model.a, model.b = Phase(width), Local(width), Routed(width)
    model.a.mix, model.n3 = Mixer(width), nn.LayerNorm(width)
    return model


NAMED = ("e", "a", "b", "f", "out")
BLOCK, KEEP, WINDOW = 4, 2, 6


def influence(model, text, training, seeds):
    """Which output of a model that answers in numbers moves with which token, in one mode."""
    return causality_probe(
        lambda ids: model.outputs(ids, training=training),
        text,
        vocabulary=11,
        scales=(1.0,),
        seeds=seeds,
    )


def leaks_of(probe):
    return (probe.matrix > 0) & ~probe.allowed


def what_is_lost(probe):
    """Why this is no model that reads what it may; an empty text when it is."""
    i, j = np.indices(probe.matrix.shape)
    lost = probe.unread
    near = lost & (i - j < WINDOW)
    if not near.any() and lost.sum() <= 16:
        return ""
    i, j = np.argwhere(near if near.any() else lost)[0]
    return (
        f"Output {i} does not move with token {j}, which it may read; of {probe.allowed.sum()} such pairs {lost.sum()} "
        "are lost. What reads nothing leaks nothing: repair the parts, and let them read."
    )


def where_positions_are_lost(model, text):
    """Why tokens are not told apart by their places; an empty text when they are."""
    alike = model.outputs(np.zeros_like(text[:1]))[0]
    if not np.allclose(alike[9], alike[10], atol=1e-6):
        return ""
    return "In a text of equal tokens outputs 9 and 10 are the same: the model has lost its positions."


def shape_of(leaks):
    """A sentence on where the leaks lie."""
    i, j = np.nonzero(leaks)
    if len(i) == len(leaks) * (len(leaks) - 1) // 2:
        return "every one: something is taken over the whole text."
    if (j == i + 1).all():
        return (
            "each moves with the very next token: who takes a neighbour on the right?"
        )
    if (i // BLOCK == j // BLOCK).all():
        return (
            f"all within blocks of {BLOCK}: what is decided there by blocks, and not by tokens?"
            " Or: who asks a block before it is complete?"
        )
    return "in several ways at once. Probe the parts one by one."


def width_of_window(slopes):
    """What is wrong with the tokens that `a` reads; an empty text when nothing is."""
    i, j = np.indices(slopes.shape)
    back = i - j
    if (far := slopes & (back >= WINDOW + 2)).any():
        i, j = np.argwhere(far)[0]
        return f"In `a` output {i} reads token {j}, which is further back than the window and its convolution reach."
    # A query with one key gives it all its weight, and reads its own value alone.
    if (near := ~slopes & (back >= 0) & (back < WINDOW)).any():
        i, j = np.argwhere(near)[0]
        return f"In `a` output {i} does not read token {j}, which is in its window."
    return ""


def blocks_that_are_read(slopes):
    """What is wrong with the number of blocks that `b` reads; an empty text when nothing is."""
    n = len(slopes)
    earlier = slopes & np.tri(
        n, k=-1, dtype=bool
    )  # its own token the query knows anyway
    for i in range(n):
        if i % BLOCK:
            count = len(set(np.flatnonzero(earlier[i]) // BLOCK))
            if count != (wanted := min(KEEP, i // BLOCK + 1)):
                return f"In `b` query {i} reads {count} blocks; expected {wanted}."
    return ""


def what_does_not_learn(model):
    """Which part has not the parameters that it had, or does not learn; an empty text when all do."""
    from lib.capstone import Decoder
    from lib.models import Vocabulary, drawer, lookup

    before = Decoder()
    for part in NAMED:
        sizes = sorted(tuple(p.shape) for p in getattr(before, part).parameters())
        if model.sizes(part) != sizes:
            return f"`{part}` has parameters of other sizes: {model.sizes(part)}; expected {sizes}."
    small = Vocabulary(keys=2, values=2)
    texts = lookup(32, 18, pairs=2, questions=2, vocabulary=small, generator=drawer(0))
    losses, idle = model.trained(texts.tokens.numpy(), texts.targets.numpy(), steps=5)
    for part in NAMED:
        if part in idle:
            return f"In training no gradient reaches the weights of `{part}`."
    if not losses[-1] < losses[0]:
        return f"In five steps of training on one batch the loss does not fall: {losses[0]:.3f}, then {losses[-1]:.3f}."
    return ""


def no_model(model, text):
    """Why its outputs are none; an empty text when they are."""
    for training in (False, True):
        outputs = model.outputs(text, training=training)
        if outputs.shape != (*text.shape, 11):
            return f"The model gives outputs of shape {outputs.shape}; expected {(*text.shape, 11)}."
        finite = np.isfinite(outputs).all(axis=(0, 2))
        if not finite.all():
            return f"Output {np.argmin(finite)} is no finite number. May each query read a key, itself at least?"
    if (taken := model.taken_by("e", text[:1])) != text.shape[1]:
        return f"`e` is given {taken} tokens for a text of {text.shape[1]}: a model makes one pass over its text."
    return ""


def examined(model, text, seeds=(0, 1)):
    """What is wrong with a model, by what is looked at, and the leaks drawn, by mode; no text where nothing is."""
    from lib.grading.pictures import mask_text
    from lib.probe import prefix_probe

    why = dict.fromkeys(("model", "eval", "train", "length", "learns", "width"), "")
    if fault := no_model(model, text):
        return why | {"model": fault}, {}
    probes = {
        "eval": influence(model, text, False, seeds),
        "train": influence(model, text, True, seeds[:1]),
    }
    why["model"] = what_is_lost(probes["eval"]) or where_positions_are_lost(model, text)
    leaks = {mode: leaks_of(probe) for mode, probe in probes.items()}
    drawn = {mode: mask_text(leak) for mode, leak in leaks.items()}
    for mode, alone in (
        ("eval", ""),
        ("train", "" if leaks["eval"].any() else " alone"),
    ):
        if not probes[mode].causal:
            forbidden = (~probes[mode].allowed).sum()
            told = (
                f"In {mode} mode{alone} {leaks[mode].sum()} of {forbidden} pairs leak"
            )
            why[mode] = f"{told}, {shape_of(leaks[mode])}"
    cut = prefix_probe(model.outputs, text)
    if not cut.causal:
        why["length"] = (
            f"When the text is cut, {len(cut.leaks)} of its outputs move. The tokens that are left are the same: what "
            "does a part know of a text besides its tokens?"
        )
    if any(why.values()):
        return why | {"learns": "First the leaks.", "width": "First the leaks."}, drawn
    why["learns"] = what_does_not_learn(model)
    x = np.random.default_rng(0).normal(size=(text.shape[1], 16))
    why["width"] = why["learns"] or (
        width_of_window(model.slopes("a", x))
        or blocks_that_are_read(model.slopes("b", x))
    )
    return why, drawn


N, TILE = 131_072, 128


def pairs_share(mask):
    """The share of the n (n + 1) / 2 causal pairs that a layer computes."""
    return n_pairs(mask, N) / (N * (N + 1) / 2)


def live_share(mask):
    """The share of the blocks of 128 tokens that a query after token N still reads."""
    later = mask.tiles(N, 2 * N, TILE).states[:, : N // TILE]
    return (later != EMPTY).any(axis=0).mean()


def of_each(stack, share):
    """The share of every layer; equal masks are counted once."""
    known = {mask: share(mask) for mask in set(stack)}
    return [known[mask] for mask in stack]


def measured(stack):
    """Pairs and live memory in percent, and of how many tokens the last output hears."""
    pairs, live = (100 * np.mean(of_each(stack, f)) for f in (pairs_share, live_share))
    heard = len(receptive_field(stack, N - 1, N))
    return f"pairs {pairs:.2f} %, live {live:.2f} %, the last output hears of {heard:,} tokens"


def stack():
    """The masks of six layers for 131,072 tokens, the first layer first."""
    from lib.masks import every, sink

    near = coarse(window(5), TILE)  # the running block and the four before it
    collect = coarse(every(8, 7) & window(64), TILE)
    spread = coarse(every(64, 63) | sink(1), TILE)
    low, middle, high = near, near | collect, near | spread
    return [causal & mask for mask in [low, low, middle, low, low, high]]


ROWS = (127, 128, 4_095, 65_535, N - 129, N - 1)


def illegal(stack):
    """Why the stack must not be built; an empty text when it may."""
    ahead = sum(of_each(stack, lambda mask: n_pairs(mask & ~causal, N)))
    if ahead:
        return f"{ahead:,} pairs look ahead. A rule about blocks knows no order within a block: `causal &` does."
    near = causal & window(512)
    lost = of_each(stack, lambda mask: n_pairs(near & ~mask, N))
    if any(lost):
        layer = next(layer for layer, count in enumerate(lost) if count)
        return f"Layer {layer} does not read all of the last 512 tokens: {lost[layer]:,} pairs are missing."
    return ""


def out_of_range(stack, rows):
    """An output that does not hear of all, and what to think of; an empty text when all of the rows do."""
    for i in rows:
        heard = receptive_field(stack, i, N)
        if len(heard) < i + 1:
            lost = np.setdiff1d(np.arange(i + 1), heard)[-1]
            told = f"Output {i:,} hears of {len(heard):,} of {i + 1:,} tokens, and not of token {lost:,}."
            if len(receptive_field(stack[::-1], i, N)) == i + 1:
                return (
                    f"{told} The same masks in the reverse order reach all: a layer hands on what those below it have "
                    "gathered."
                )
            return f"{told} Follow that token: which layer carries it how far, and who carries it on?"
    return ""


def over(what, shares, limit):
    """Which layer costs most, when the average is above the limit in percent; an empty text when it is not."""
    percent = 100 * np.array(shares)
    layer, alike = np.argmax(percent), np.ptp(percent) == 0
    if percent.mean() <= limit:
        return ""
    told = f"The {what} is {percent.mean():.2f} % on average, above {limit} %. "
    if alike:
        return told + "All layers cost the same. Must they be alike?"
    return told + f"Layer {layer} alone has {percent[layer]:.2f} %."


def scattered_in(stack):
    """Which layer has pairs in so many tiles that no kernel could skip the rest; an empty text when none has."""
    from lib.tiles import PARTIAL

    shares = of_each(
        stack, lambda mask: (mask.tiles(N, size=TILE).states == PARTIAL).mean()
    )
    layer = int(np.argmax(shares))
    if shares[layer] <= 0.1:
        return ""
    return (
        f"The pairs of layer {layer} lie scattered over {shares[layer]:.0%} of all tiles of {TILE} × {TILE} pairs, and "
        "a kernel skips whole tiles alone."
    )


def assessed(stack, rows=ROWS):
    """What is wrong with a stack, by what it is judged by; an empty text where nothing is."""
    if fault := illegal(stack):
        return {"legal": fault}
    alive = of_each(stack, live_share)
    live, tight_live = (over("live memory", alive, limit) for limit in (1.5, 1.0))
    pairs = tight_pairs = scattered_in(stack)
    if not pairs:
        shares = of_each(stack, pairs_share)
        pairs, tight_pairs = (
            over("share of pairs", shares, limit) for limit in (2.0, 1.5)
        )
    range_fault = out_of_range(stack, rows)
    tighter = tight_pairs or tight_live
    return {
        "legal": "",
        "range": range_fault,
        "pairs": pairs,
        "live": live,
        "tighter": "First the range." if range_fault else tighter,
    }
