"""A tiny checkpoint of every architecture that fairshrink knows, with another task head in each turn."""

import copy
from functools import cache

import zoo

from fairshrink.models import task_heads
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.support import ARCHITECTURES

ALL = (*zoo.ENCODERS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS)


@cache
def checkpoint(name: str, head: str) -> Checkpoint:
    """The architecture's model with the weights of `zoo`; not to be changed."""
    published = zoo.built(name, head, with_decoder=False)
    model = task_heads.build(published.config, head)
    model.load_state_dict({key: value for key, value in published.state_dict().items() if key in model.state_dict()})
    return Checkpoint(model, zoo._ALL[name].tokenizer(), head, zoo.LABELS if head == "classification" else ())


def built(name: str, turn: int) -> Checkpoint:
    """A copy of the architecture's model, with another task head in each turn."""
    heads = ARCHITECTURES[name].heads
    return copy.deepcopy(checkpoint(name, heads[(ALL.index(name) + turn) % len(heads)]))
