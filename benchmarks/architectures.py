"""Every method on every architecture with every task head.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/architectures.py

takes minutes (names of architectures as arguments choose some). It prints a table with one row for each architecture
and task head: "." where the method runs, changes the outputs and loads again to equal ones, "-" where it is not for
this task head, "no" where it is refused because of the architecture, "x" where something went wrong, which is said
below. The exit status is 1 if anything did. `make test` has each method once on each architecture, compared with its
definition.
"""

import copy
import sys
import tempfile
from pathlib import Path

import torch
import zoo
from compression_case import compress, context, few_of, logits, reread, task

from fairshrink import registry
from fairshrink.contracts import ALL_HEADS, CONTROLS, DOSE
from fairshrink.errors import UserError
from fairshrink.models import task_heads
from fairshrink.models.architecture.families import refusals
from fairshrink.models.checkpoint import Checkpoint

RIGHT = (".", "-", "no")
TRAINED = ("iterative_magnitude", "quantization_aware_training")
"""Methods of tasks that a model is fine-tuned on."""
UNTIED = "embedding_tying"
"""A method of models whose output layer has weights of its own."""
CACHED = ("kv_cache", "kv_cache_channel")
"""Methods of models with a cache of keys and values."""
GIVEN = "given"
"""A method that brings a model of its own."""
UNCHANGED = ("noise_floor",)
"""Methods that change how a model is computed and not what it is."""


def main() -> int:
    """Print the table."""
    names = sys.argv[1:] or [*zoo.ENCODERS, *zoo.CAUSAL, *zoo.ENCODER_DECODERS]
    methods = [name for name in registry.names("compression") if name not in (DOSE, GIVEN)]
    print(f"{'':34}" + " ".join(methods))
    wrong = []
    for name in names:
        for head in filter(lambda head: zoo.has_class(name, head), ALL_HEADS):
            found = {method: result(name, head, method) for method in methods}
            mistakes = {method: each for method, each in found.items() if each not in RIGHT}
            wrong += [f"{name}, {head}, {method}: {each}" for method, each in mistakes.items()]
            cells = " ".join(f"{each if each in RIGHT else 'x':{len(method)}}" for method, each in found.items())
            print(f"{name:18}{head:16}{cells}", flush=True)
    print("\n".join(["", *wrong]))
    return int(bool(wrong))


def result(name: str, head: str, method: str) -> str:
    """What became of a method."""
    module = registry.load("compression", method)
    trained = head in ("masked_lm", "regression", "classification")
    needs_training = method in TRAINED or getattr(module, "STORED", False)
    if method in CACHED and head != "causal_lm":
        return "-"
    if head not in getattr(module, "HEADS", ALL_HEADS) or (needs_training and not trained):
        return "-"
    if module.NEEDS_TASK and head == "encoder":
        return "-"
    before = checkpoint(name, head)
    output = before.model.get_output_embeddings()
    if method == UNTIED and (output is None or output.weight is before.model.get_input_embeddings().weight):
        return "-"
    with tempfile.TemporaryDirectory() as folder:
        kind = head if module.NEEDS_TASK else "classification"
        settings = {"train_items": 8} if trained and module.NEEDS_TASK else {}
        about = context(task(Path(folder), kind, **settings), source=lambda *_: copy.deepcopy(before))
        try:
            after = compress(method, copy.deepcopy(before), about, **few_of(method))
        except UserError as error:
            part = getattr(module, "REMOVES", "linears")
            return "no" if refusals(before.model.config.to_dict(), part) else f"refused: {error}"
        except Exception as error:  # what goes wrong is the result
            return repr(error)
        if method not in UNCHANGED and torch.equal(logits(after), logits(before)):
            return "the outputs are the same"
        fixed = registry.modules("compression").family(method) == CONTROLS and module.OUTPUTS_ONLY
        if not fixed and not torch.equal(logits(reread(after, Path(folder) / "after")), logits(after)):
            return "another model is loaded"
    return "."


def checkpoint(name: str, head: str) -> Checkpoint:
    """A checkpoint of the architecture, with the layers that fairshrink gives it and the weights of a published one."""
    published = zoo.built(name, head, with_decoder=False)
    model = task_heads.build(published.config, head)
    model.load_state_dict({key: value for key, value in published.state_dict().items() if key in model.state_dict()})
    return Checkpoint(model, zoo._ALL[name].tokenizer(), head, zoo.LABELS if head == "classification" else ())


if __name__ == "__main__":
    sys.exit(main())
