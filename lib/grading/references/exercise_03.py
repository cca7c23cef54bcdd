"""Points, reference answers and known mistakes of exercise 03.

Generated from solutions/03_masks_in_floating_point.ipynb by `python -m lib exercises`; edit that notebook instead.
"""

# fmt: off
# ruff: noqa: E501, F401 (rows of tables are lines; some names serve the checks)

import numpy as np

from lib.grading.known import mistake
from lib.numpy_attention import softmax

CHAPTER = "03_masks_in_floating_point"
TITLE = "Masks in floating point"
TITLES = {
    "3.1": "From memory: a softmax that survives",
    "3.2": "How much is enough?",
    "3.3": "Break it with an input: three programs that hide by a number",
    "3.4": "Find the bug: the sum of two masks",
    "3.5": "Who has nothing to read?",
    "3.6": "Diagnosis: four programs that train without a complaint",
}
POINTS = {
    "3.1": 2,
    "3.2": 2,
    "3.3": 3,
    "3.4": 2,
    "3.5": 1,
    "3.6": 2,
}


def safe_softmax(scores, allowed):
    """The weights of the allowed keys, row by row.

    >>> safe_softmax(np.array([[0.0, 0.0, 9.0]]), np.array([[True, True, False]]))
    array([[0.5, 0.5, 0. ]])
    """
    masked = np.where(allowed, scores, -np.inf)
    largest = masked.max(axis=-1, keepdims=True)
    # A row without a key has the largest score −∞, and −∞ − (−∞) is NaN: shift by a finite number.
    exponentials = np.exp(masked - np.where(np.isneginf(largest), 0, largest))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def textbook(masked):
    exponentials = np.exp(masked - masked.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def hide(scores, allowed, number=-np.inf):
    return np.where(allowed, scores, number)


def renormalised(scores, allowed):
    weights = textbook(scores) * allowed
    return weights / weights.sum(axis=-1, keepdims=True)


def shifted_by_the_loudest(scores, allowed):
    masked = hide(scores, allowed)
    exponentials = np.exp(masked - max(masked.max(), -1e300))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def tiny_sums(scores, allowed):
    masked = hide(scores, allowed, -1e9)
    weights = np.exp(masked - masked.max(axis=-1, keepdims=True)) * allowed
    return weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)


def not_shifted(scores, allowed):
    exponentials = np.exp(hide(scores, allowed))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


mistakes_3_1 = [
    mistake("safe_softmax", "0/0 in a row without a key", "All is well, but for the row in which nothing is allowed: its largest score is −∞, and −∞ − (−∞) is NaN. Shift such a row by a finite number, and mind that its sum is 0.", bug="nan_row")(lambda scores, allowed: textbook(hide(scores, allowed))),
    mistake("safe_softmax", "an empty row shared out evenly", "Where all keys are hidden, your row shares its weight out among the hidden keys. If you fill in the lowest number of the format: equal scores have equal weights, however low they are. Only −∞ is below every score, and such a row must be 0.", bug="uniform_empty_row")(lambda scores, allowed: textbook(hide(scores, allowed, np.finfo(np.float32).min))),
    mistake("safe_softmax", "large negative number for −∞", "You fill in a large negative number. Here an allowed score is lower still, so the hidden key gets the weight. Only −∞ is below every score.", bug="large_negative_number")(lambda scores, allowed: textbook(hide(scores, allowed, -1e9))),
    mistake("safe_softmax", "−∞ added", "You add −∞. A hidden score may be infinite or NaN itself, and ∞ − ∞ is NaN, as is everything that NaN is added to. Replace the hidden score.")(lambda scores, allowed: textbook(scores + np.where(allowed, 0, -np.inf))),
    mistake("safe_softmax", "−∞ added, and NaN swept away", "You add −∞. A hidden score may be infinite or NaN itself, and then the whole row is NaN, and 0 after the sweeping. Replace the hidden score.")(lambda scores, allowed: np.nan_to_num(textbook(scores + np.where(allowed, 0, -np.inf)))),
    mistake("safe_softmax", "one shift for all rows", "You subtract the largest score of the whole table. In a row that is far below it, every exponential is rounded to 0. Each row needs a shift of its own: `keepdims=True` keeps one number for each row.")(lambda scores, allowed: np.nan_to_num(shifted_by_the_loudest(scores, allowed))),
    mistake("safe_softmax", "−10⁹ filled in, then times the mask", "Here an allowed score lies below the number that you fill in, and is rounded to 0 beside it. Only −∞ is below every score.")(lambda scores, allowed: tiny_sums(scores, allowed)),
    mistake("safe_softmax", "scores times the mask", "A score times 0 is 0, and e⁰ = 1: every hidden key still takes part (and ∞ · 0 is NaN). A hidden score must become −∞.", bug="multiplicative_mask")(lambda scores, allowed: textbook(scores * allowed)),
    mistake("safe_softmax", "scores set to zero", "A score of 0 is not silence: e⁰ = 1, so every hidden key still takes part. A hidden score must become −∞.", bug="zeroed_scores")(lambda scores, allowed: textbook(hide(scores, allowed, 0.0))),
    mistake("safe_softmax", "masked after the softmax", "The hidden weights are 0, but the hidden keys were in the sum: your rows do not sum to 1. Hide before the exponential.", bug="masked_after_the_softmax")(lambda scores, allowed: textbook(scores) * allowed),
    mistake("safe_softmax", "hidden too late", "Beside a loud hidden score the allowed exponentials have all vanished, and 0/0 is left: the hidden scores still take part in the softmax, or in the largest score that you subtract. Hide them first.", bug="renormalised_after_the_softmax")(lambda scores, allowed: renormalised(scores, allowed)),
    mistake("safe_softmax", "overflow", "exp of a large score overflows to ∞, exp of a very negative one is 0, and ∞/∞ and 0/0 are no weights. Subtract the largest allowed score of the row first.")(lambda scores, allowed: not_shifted(scores, allowed)),
    mistake("safe_softmax", "one shift for all rows", "You subtract the largest score of the whole table. In a row that is far below it, every exponential is rounded to 0. Each row needs a shift of its own: `keepdims=True` keeps one number for each row.")(lambda scores, allowed: shifted_by_the_loudest(scores, allowed)),
    mistake("safe_softmax", "mask turned around", "You hide what is allowed. Here True means may attend.", bug="inverted_mask")(lambda scores, allowed: textbook(hide(scores, ~allowed))),
    mistake("safe_softmax", "along the other axis", "Your columns sum to 1. The weights of one query, a row, share out 1 among its keys.", bug="softmax_over_the_queries")(lambda scores, allowed: textbook(hide(scores, allowed).T).T),
    mistake("safe_softmax", "mask added as a number", "Added to numbers, True is 1 and False is 0: the allowed keys gain a factor e, and nothing is hidden.", bug="boolean_mask_added")(lambda scores, allowed: textbook(scores + allowed)),
    mistake("safe_softmax", "nothing hidden", "The mask plays no part here: this is the softmax of all scores.", bug="mask_thrown_away")(lambda scores, allowed: textbook(scores)),
]


def enough_for_quarters(lead):
    """The smallest C in a format whose smallest number above 0 is 1/4."""
    return next(C for C in range(1000) if np.exp(float(lead - C)) <= 1 / 8)


def enough(dtype, lead=0.0):
    """The smallest whole number that hides a key whose score leads the best allowed one by `lead`.

    >>> enough("float16") % 1 == 0
    True
    """
    smallest = np.float64(np.finfo(dtype).smallest_subnormal)
    # From half of the smallest number on e^(lead − C) is rounded to 0. Halve the logarithm: half of 2^−1074 is 0.
    return int(np.ceil(lead - (np.log(smallest) - np.log(2))))


def digits_of(dtype):
    info = np.finfo(dtype)
    return {
        name: float(getattr(info, name))
        for name in ("tiny", "smallest_subnormal", "eps", "max")
    }


def rounded_up(number):
    return int(np.ceil(number))


THRESHOLD = {
    "float16": 25 * np.log(2),
    "float32": 150 * np.log(2),
    "float64": 1075 * np.log(2),
}


mistakes_3_2 = [
    mistake("enough", "smallest normal number", "`tiny` is the smallest normal number. Below it a format still has subnormal numbers, with fewer and fewer digits, and a weight of that size is not 0.")(lambda dtype, lead=0.0: rounded_up(lead - np.log(digits_of(dtype)["tiny"]))),
    mistake("enough", "the half in the format itself", "2 over the smallest number is too large for the format, and half of it is 0 there: both logarithms are infinite. Subtract logarithms instead, in float64.")(lambda dtype, lead=0.0: np.ceil(lead + np.log(2 / np.finfo(dtype).smallest_subnormal))),
    mistake("enough", "smallest normal number", "`tiny` is the smallest normal number. Below it a format still has subnormal numbers, with fewer and fewer digits, and a weight of that size is not 0.")(lambda dtype, lead=0.0: rounded_up(lead + np.log(2) - np.log(digits_of(dtype)["tiny"]))),
    mistake("enough", "lead not rounded", "Asked is a whole number. Add the lead first, and round up once.")(lambda dtype, lead=0.0: rounded_up(THRESHOLD[dtype]) + lead),
    mistake("enough", "half forgotten", "Here the weight equals the smallest number. What lies between its half and itself is rounded up to it, and so is not 0 yet.")(lambda dtype, lead=0.0: rounded_up(lead - np.log(digits_of(dtype)["smallest_subnormal"]))),
    mistake("enough", "no longer seen beside 1", "`eps` tells what is lost when it is added to 1. The hidden weight need not be added to be there: it stands alone in its column.")(lambda dtype, lead=0.0: rounded_up(lead - np.log(digits_of(dtype)["eps"]))),
    mistake("enough", "the largest number", "You ask for the largest number of the format. What counts here is the smallest, for the weight is small.")(lambda dtype, lead=0.0: rounded_up(lead + np.log(digits_of(dtype)["max"]))),
    mistake("enough", "lead forgotten", "That is enough for a hidden key with the score 0. One that leads by more needs more.")(lambda dtype, lead=0.0: rounded_up(THRESHOLD[dtype])),
    mistake("enough", "lead subtracted", "A hidden key with a larger score needs a larger C, not a smaller one.")(lambda dtype, lead=0.0: rounded_up(THRESHOLD[dtype] - lead)),
    mistake("enough", "powers of 2", "You counted powers of 2. Softmax takes powers of e.")(lambda dtype, lead=0.0: rounded_up(lead + THRESHOLD[dtype] / np.log(2))),
    mistake("enough", "powers of 10", "You counted powers of 10. Softmax takes powers of e.")(lambda dtype, lead=0.0: rounded_up(lead + THRESHOLD[dtype] / np.log(10))),
    mistake("enough", "rounded down", "Just below the threshold the weight is still rounded to the smallest number. The smallest whole number that is enough lies above it.")(lambda dtype, lead=0.0: int(lead + THRESHOLD[dtype])),
    mistake("enough", "not rounded", "That is where the weight becomes 0. Asked is the smallest whole number that is enough.")(lambda dtype, lead=0.0: lead + THRESHOLD[dtype]),
    mistake("enough", "one format for all", "That is right in float32. Another format has another smallest number.")(lambda dtype, lead=0.0: rounded_up(lead + THRESHOLD["float32"])),
    mistake("enough", "computed in float64", "That is right in float64, in which Python and NumPy compute if nobody asks. Make the number one of the format before you take its exponential, or the softmax.")(lambda dtype, lead=0.0: rounded_up(lead + THRESHOLD["float64"])),
]


def added_in_float32(scores):
    """Weights of two keys. Key 1 is hidden: −10⁹ is added to its score, in float32."""
    return softmax(np.float32(scores) + np.float32([0, -1e9]))


def filled(scores):
    """Weights of two keys. Key 1 is hidden: its score is replaced by −10⁴, in float64."""
    return softmax(np.where([True, False], scores, -1e4))


def added(scores, allowed):
    """Weights of some keys. Where `allowed` is False, −10⁴ is added, in float64."""
    return softmax(scores + np.where(allowed, 0, -1e4))


# In float32 the hidden score becomes 6 · 10⁸ − 10⁹, which is more than −6 · 10⁸.
beats_added_in_float32 = np.array([-6e8, 6e8])
# The hidden score is gone. Weights of 1/4 and 3/4: the scores differ by ln 3.
beats_filled = np.array([-1e4 - np.log(3), 0.0])
# No key is allowed: all scores are lowered alike, which no softmax sees.
beats_added = (np.array([1.0, 2.0]), np.array([False, False]))


def suspect_mask(real):
    """To be added to the scores: no future and no padding, or so its author believes."""
    n, lowest = len(real), np.finfo(np.float32).min
    future = np.where(np.tri(n, dtype=bool), np.float32(0), lowest)
    padding = np.where(real, np.float32(0), lowest)
    with np.errstate(over="ignore"):  # PyTorch says nothing either
        return future + padding


def reads_future(real):
    """Whether each query, under the suspect and with all scores 0, reads a later real token.

    >>> reads_future(np.array([True, True, False]))
    array([False, False, False])
    """
    nothing_yet = np.cumsum(real) == 0  # no real token up to this one: the row is empty
    return nothing_yet & np.any(real)  # and then each real token is in the future


def one_mask(real):
    """The mask of the future and of padding, to be added to the scores.

    >>> one_mask(np.array([True, True, False]))
    array([[  0., -inf, -inf],
           [  0.,   0., -inf],
           [  0.,   0., -inf]], dtype=float32)
    """
    allowed = (
        np.tri(len(real), dtype=bool) & real
    )  # join as booleans, then convert once
    return np.where(allowed, np.float32(0), np.float32(-np.inf))


def joined(real):
    return np.tri(len(real), dtype=bool) & real


def to_add(allowed, number=-np.inf):
    return np.where(allowed, np.float32(0), np.float32(number))


LOWEST = np.finfo(np.float32).min


mistakes_3_4 = [
    mistake("reads_future", "no row at all", "No NaN comes up, but that is no proof. Take the softmax of `suspect_mask(real)` for a text whose first tokens are padding, and look at row 0.")(lambda real: np.zeros(len(real), dtype=bool)),
    mistake("reads_future", "rows of padding", "Not every padded query: one that stands after a real token may read it, and then gives nothing to what is hidden.")(lambda real: ~real),
    mistake("reads_future", "empty rows, though nothing follows", "These rows are empty, rightly. But in a text without a real token there is none to read.")(lambda real: np.cumsum(real) == 0),
    mistake("reads_future", "only rows with a key hidden twice", "A row need not have a −∞ in it. Where all keys are hidden once, all scores are equal too, and the row reads every token.")(lambda real: (np.cumsum(real) == 0) & np.any(real) & ((~np.tri(len(real), dtype=bool) & ~real).any(axis=1))),
    mistake("reads_future", "rows with a key hidden twice", "These rows hold a −∞. That does no harm while one key is allowed, which then takes all the weight.")(lambda real: (~np.tri(len(real), dtype=bool) & ~real).any(axis=1)),
    mistake("reads_future", "numbers of rows", "These are numbers of rows, it seems. Asked is one boolean for each query.")(lambda real: np.flatnonzero((np.cumsum(real) == 0) & np.any(real))),
    mistake("reads_future", "every row that has a real future", "Each of these has a real token after it, but most of them hide it: while one key is allowed, the lowest number is low enough.")(lambda real: (~np.tri(len(real), dtype=bool) & real).any(axis=1)),
    mistake("one_mask", "bug still there", "This is the sum as it was: what is hidden once is a number, what is hidden twice −∞. Join the two masks while they are booleans.", bug="lowest_number_added_twice")(lambda real: suspect_mask(real)),
    mistake("one_mask", "cut off at the lowest number", "Now all hidden keys are equal, and a row without an allowed key shares its weight out among all of them, the future included. Only −∞ hides there too.", bug="uniform_empty_row")(lambda real: np.maximum(suspect_mask(real), LOWEST)),
    mistake("one_mask", "large negative number for −∞", "You put a number in place of −∞. A row without an allowed key shares its weight out among all keys.", bug="uniform_empty_row")(lambda real: to_add(joined(real), -1e9)),
    mistake("one_mask", "padding alone", "This hides the padding and not the future.")(lambda real: to_add(joined(real) | real)),
    mistake("one_mask", "future alone", "This hides the future and not the padding.")(lambda real: to_add(np.tri(len(real)))),
    mistake("one_mask", "joined by or", "A key may be read if both masks allow it; here one is enough.", bug="and_for_or")(lambda real: to_add(np.tri(len(real), dtype=bool) | real)),
    mistake("one_mask", "padding on the side of the queries", "You hide the rows of padded queries. It is their keys, the columns, that nobody may read.", bug="padding_on_the_query_side")(lambda real: to_add(np.tri(len(real), dtype=bool) & real[:, None])),
    mistake("one_mask", "left as booleans", "These are booleans. Asked is what is added to the scores: 0 where the query may read, −∞ elsewhere.")(lambda real: joined(real)),
    mistake("one_mask", "ones and zeros", "Added to the scores, a 0 hides nothing and a 1 only helps a little. A hidden pair needs −∞.", bug="boolean_mask_added")(lambda real: joined(real).astype(np.float32)),
    mistake("one_mask", "multiplied by infinity", "0 · ∞ is NaN, so every allowed pair is lost. Choose one of two values, with `np.where`.")(lambda real: ~joined(real) * np.float32(-np.inf)),
    mistake("one_mask", "empty rows opened", "You let a row without a key read everything, its future too. It may read nothing.")(lambda real: to_add(joined(real) | ~joined(real).any(axis=1)[:, None])),
]


def empty_rows(real, window):
    """Which queries of causal attention with a window of so many keys may read nothing.

    >>> empty_rows(np.array([True, False, False]), 2)
    array([False, False,  True])
    """
    seen = np.cumsum(real)  # real tokens up to and including each position
    before = np.concatenate([np.zeros(window, dtype=int), seen])[: len(real)]
    return seen == before  # none of them came within the window


def no_real_among(real, start, stop):
    """For each i, whether real[start(i) : stop(i)] has no real token."""
    return np.array([not real[start(i) : stop(i)].any() for i in range(len(real))])


mistakes_3_5 = [
    mistake("empty_rows", "rows of padding", "A padded query is not empty while a real token lies in its window.")(lambda real, window: ~real),
    mistake("empty_rows", "window forgotten", "This is right for a window that is wider than the text. Here an earlier real token may have dropped out of the window.")(lambda real, window: np.cumsum(real) == 0),
    mistake("empty_rows", "one key too many", "Your window has one key too many: `window` keys, the query's own included.", bug="window_one_too_wide")(lambda real, window: no_real_among(real, lambda i: max(0, i - window), lambda i: i + 1)),
    mistake("empty_rows", "one key too few", "Your window has one key too few: `window` keys, the query's own included.", bug="window_one_too_narrow")(lambda real, window: no_real_among(real, lambda i: max(0, i - window + 2), lambda i: i + 1)),
    mistake("empty_rows", "own key left out", "A query may read its own key too. In a slice the end is left out: it stops before it.", bug="own_position_left_out")(lambda real, window: no_real_among(real, lambda i: max(0, i - window + 1), lambda i: i)),
    mistake("empty_rows", "negative start of a slice", "Near the start of the text `i - window + 1` is negative, and a negative number counts from the end: that slice is empty.")(lambda real, window: no_real_among(real, lambda i: i - window + 1, lambda i: i + 1)),
    mistake("empty_rows", "window on both sides", "Your window looks ahead as well. A causal query reads its past and itself.", bug="two_sided_window")(lambda real, window: no_real_among(real, lambda i: max(0, i - window + 1), lambda i: i + window)),
    mistake("empty_rows", "everything before", "You look at what lies outside the window.")(lambda real, window: no_real_among(real, lambda i: 0, lambda i: max(0, i - window + 1))),
    mistake("empty_rows", "numbers of rows", "These are numbers of rows, it seems. Asked is one boolean for each query.")(lambda real, window: np.flatnonzero(no_real_among(real, lambda i: max(0, i - window + 1), lambda i: i + 1))),
    mistake("empty_rows", "inverted", "This is True where a query has something to read. Asked are those that have nothing.")(lambda real, window: ~no_real_among(real, lambda i: max(0, i - window + 1), lambda i: i + 1)),
]


def mask_of_the_text():
    """Causal, for six tokens whose first two are padding; True means may attend."""
    return np.tri(6, dtype=bool) & (np.arange(6) >= 2)


diagnosis = (1, 2, 5, 3)
