"""What to do instead, for those who come with what other libraries take: the ends of error messages."""

from collections.abc import Iterable


def for_numbers(floats: bool) -> str:
    """What to do with numbers that are given for a mask: they are no booleans, and mean one of several things."""
    added = "if they are added to the scores, so that 0 means 'may attend', use lib.conventions.from_additive(mask); "
    return (
        f"{added if floats else ''}if 1 means 'may attend' for a query and a key, use mask == 1; if it is an "
        f"attention_mask (batch, keys) as tokenizers give it, use lib.conventions.from_attention_mask(mask)"
    )


# What attention can be told in other libraries, and how it is said here.
ELSEWHERE = {
    "is_causal": "give the mask causal of lib.masks; with n_q != n_k its queries are the last ones, and "
    "lib.conventions.top_left(causal, n_q, n_k) has them first",
    "dropout_p": "there is no dropout inside: drop some of attention_weights(q, k, mask), and multiply by v",
    "attn_mask": "give it as mask; from_sdpa, from_mha and from_additive of lib.conventions say what it means",
    "attention_mask": "give lib.conventions.from_attention_mask(attention_mask) as mask",
    "key_padding_mask": "give lib.conventions.from_key_padding_mask(key_padding_mask) as mask",
}


def refuse_options(options: Iterable[str]) -> None:
    """TypeError for the first of the options: one that attention knows elsewhere, or one that nobody knows."""
    for name in options:
        advice = "see help(attention) for those that it has"
        if name in ELSEWHERE:
            advice = f"if it is None, False or 0, leave it out; else {ELSEWHERE[name]}"
        raise TypeError(f"{name}: attention has no such option; {advice}")
