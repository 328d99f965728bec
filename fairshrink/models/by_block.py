"""Running a model one block at a time, each with the inputs that the blocks before it give as they are now.

Every pass is the model's *own* forward pass, in which blocks that are done answer with what is known of their outputs
and everything after the wanted block is left out. So masks, positions and whatever else an architecture hands to its
blocks are what it makes them, without a list of architectures, and each block is computed only when it is its turn.
Between passes the last block's answer to each text is kept, and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference.forward import hidden_states

Inputs = dict[str, torch.Tensor]
Answer = Callable[[Callable[[], Any]], Any]


class _ReachedError(Exception):
    """The last wanted block has answered; nothing after it is computed."""


class ByBlock:
    """A model and batches of texts that are on their way through it.

    ``stages``: names of the blocks that are treated together, in the order in which texts pass through them: one
    block, or several that take turns (ALBERT's groups). ``mask``: the attention mask [n, length] of the texts that are
    being run.
    """

    stages: list[list[str]]
    mask: torch.Tensor

    def __init__(self, model: torch.nn.Module, batches: Sequence[Inputs]) -> None:
        self._model, self._batches = model, batches
        self._modules = {block.name: model.get_submodule(block.name) for block in blocks(model)}
        self._answers: list[Any] = [None] * len(batches)
        stages = _stages(self._order())
        self.stages = [names for names, _ in stages]
        self._ends = [0, *(calls for _, calls in stages)]

    def before(self) -> None:
        """Compute what comes before the first block, for all batches."""
        for number in range(len(self._batches)):
            self._pass(number, 0, 0)

    def compute(self, stage: int) -> None:
        """Compute the blocks of a stage, whose inputs are known, for all batches."""
        for number in range(len(self._batches)):
            self._pass(number, self._ends[stage], self._ends[stage + 1])

    def advance(self, stage: int) -> None:
        """The same, and keep their answers: the inputs of the next stage are known."""
        for number in range(len(self._batches)):
            self._answers[number] = self._pass(number, self._ends[stage], self._ends[stage + 1])

    def after(self) -> None:
        """Compute what comes after the last block, the task head included, when all stages are over.

        One text at a time, because the logits of a language model are larger than its hidden states.
        """
        options = {"use_cache": False} if "use_cache" in self._model.config else {}
        for inputs, known in zip(self._batches, self._answers, strict=True):
            for row in range(len(inputs["input_ids"])):
                one = {name: value[row : row + 1] for name, value in inputs.items()}
                self.mask = one["attention_mask"]
                with self._answering(partial(_known, _of_text(known, row))):
                    self._model(**one, **options)

    def _order(self) -> list[str]:
        """The blocks as a text passes through them."""
        called: list[str] = []
        handles = [
            module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
            for name, module in self._modules.items()
        ]
        try:
            with torch.no_grad():
                hidden_states(self._model, {name: value[:1] for name, value in self._batches[0].items()})
        finally:
            for handle in handles:
                handle.remove()
        return called

    def _pass(self, number: int, done: int, stop: int) -> Any:
        """The last answer to a batch, after ``stop`` calls of blocks, of which the first ``done`` are known."""
        inputs, known, last, count = self._batches[number], self._answers[number], None, 0

        def answer(compute: Callable[[], Any]) -> Any:
            nonlocal count, last
            if count < stop:
                count += 1
                if count <= done:
                    return known
                last = compute()
            if count == stop:
                raise _ReachedError
            return last

        self.mask = inputs["attention_mask"]
        with self._answering(answer), contextlib.suppress(_ReachedError):
            hidden_states(self._model, inputs)
        return last

    @contextlib.contextmanager
    def _answering(self, answer: Answer) -> Iterator[None]:
        """``answer(compute)`` instead of each block, without gradients."""

        def instead(own: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **kw: answer(lambda: own(*args, **kw))

        for module in self._modules.values():
            module.forward = instead(module.forward)
        try:
            with torch.no_grad():
                yield
        finally:
            for module in self._modules.values():
                del module.forward


def _stages(called: Sequence[str]) -> list[tuple[list[str], int]]:
    """Blocks that are called in turns together, with the number of calls up to their last."""
    last = {name: at for at, name in enumerate(called)}
    stages: list[tuple[list[str], int]] = []
    current: list[str] = []
    for at, name in enumerate(called):
        current += [] if name in current else [name]
        if at == max(last[each] for each in current):
            stages.append((current, at + 1))
            current = []
    return stages


def _of_text(answer: Any, row: int) -> Any:
    """What a block has answered to one text of a batch: a tensor, or a tuple that begins with the hidden states."""
    hidden = answer[0] if isinstance(answer, tuple) else answer
    return (hidden[row : row + 1], *answer[1:]) if isinstance(answer, tuple) else hidden[row : row + 1]


def _known(answer: Any, compute: Callable[[], Any]) -> Any:
    return answer
