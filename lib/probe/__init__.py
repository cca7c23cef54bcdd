"""Probes: does an output move when an input changes that it must not see? (Chapter 4, "2 The probe")

>>> import numpy as np
>>> from lib.masks import causal
>>> from lib.numpy_attention import attention
>>> x = np.random.default_rng(0).normal(size=(6, 4))
>>> print(causality_probe(lambda x: attention(x, x, x, causal), x))
No output moved with an input that it must not read (15 pairs, 18 changes each; 6 tokens on axis 0 of (6, 4)).
>>> probe = causality_probe(lambda x: attention(x, x, x), x)  # the mask is forgotten
>>> probe.causal, len(probe.leaks), (0, 5) in probe.leaks
(False, 15, True)

The verdict comes from finite changes of one token at a time, small and large, so every route by which a
token can reach an output counts: values, scores, the denominator of the softmax, statistics of a batch, a
choice of the k best. A leak that is found is there; that none is found is strong evidence and no proof.
Out of its sight are a leak below the tolerance, one that only far larger numbers or a rare id set off, and one
that a parameter still multiplies by 0. Some models begin with such parameters: probe them after some training.

Three questions, three probes. `causality_probe`: which output moves with which input? `prefix_probe`: is the
function of a prefix the prefix of the function? `decoding_probe`: do calls with a cache give what one call gives?

A function takes one array, so whatever it needs besides is wrapped:
``causality_probe(lambda x: attention(x @ W_Q, x @ W_K, x @ W_V, causal), x)``.
"""

from lib.probe.causality import causality_probe
from lib.probe.decoding import decoding_probe
from lib.probe.prefixes import prefix_probe
from lib.probe.results import DecodingDifference, Influence, PrefixDifference
from lib.probe.rounding import TOLERANCE
from lib.probe.taken import Taken

__all__ = [
    "TOLERANCE",
    "DecodingDifference",
    "Influence",
    "PrefixDifference",
    "Taken",
    "causality_probe",
    "decoding_probe",
    "prefix_probe",
]
