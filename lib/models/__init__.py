"""Models that are small enough to be trained in a chapter, built on `lib.torch_attention`.

>>> model = Decoder(Vocabulary())
>>> curve = train(model, causal, lookup, steps=150)
>>> honest(model, causal, lookup(1000, generator=drawer(7))).accuracy > 0.98
True
"""

from lib.models.decoder import Block, Decoder, Encoder, EncoderDecoder
from lib.models.generating import caches, generate, greedy, sampling
from lib.models.layers import SelfAttention
from lib.models.long import LongAttention, long_stack
from lib.models.lookup import Stories, lookup, stories
from lib.models.scores import Score, accuracy_by_distance, honest, parallel
from lib.models.seeds import drawer, seeded
from lib.models.selecting import TopKAttention
from lib.models.sentences import WORDS, grammatical, sentences, spelled
from lib.models.stacks import local_global
from lib.models.texts import die, majority
from lib.models.training import train
from lib.models.vocabulary import NOTHING, Texts, Vocabulary

__all__ = [
    "NOTHING",
    "WORDS",
    "Block",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "LongAttention",
    "Score",
    "SelfAttention",
    "Stories",
    "Texts",
    "TopKAttention",
    "Vocabulary",
    "accuracy_by_distance",
    "caches",
    "die",
    "drawer",
    "generate",
    "grammatical",
    "greedy",
    "honest",
    "local_global",
    "long_stack",
    "lookup",
    "majority",
    "parallel",
    "sampling",
    "seeded",
    "sentences",
    "spelled",
    "stories",
    "train",
]
