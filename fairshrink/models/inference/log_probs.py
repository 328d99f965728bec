"""Log-probabilities of tokens that language models give, of one model or of two at once.

Every function sorts by length, batches to a token budget and computes only the logits it needs; results are in the
order of the inputs. In float32 a batched result equals one computed alone to within 1e-4. With
``checkpoint.precision == "bf16"`` the transformer runs under bfloat16 autocast, while language-model heads and
log-softmax stay in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from fairshrink.errors import UserError
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference import packed_rows, shared_prefixes, summed_words
from fairshrink.models.inference.batching import batches, check_sequences, collate, token_budget
from fairshrink.models.inference.forward import hidden_states, output_inputs, token_logits
from fairshrink.models.inference.last_block import last_block, states_at
from fairshrink.models.inference.packed_texts import can_pack, layout
from fairshrink.models.inference.remembered import remembered
from fairshrink.models.inference.running import arithmetic, computing, require_head, rounds, threads
from fairshrink.models.inference.shared_prefixes import Row
from fairshrink.models.inference.summed_words import Change

# Rows of vocabulary logits in memory at a time, where they are not summed word by word: 256 x 50,000 float32 are 50 MB.
# Measured: 512 are slower (caches).
HEAD_ROWS = 256
# The same for two models in float64, with what is computed from them: 64 x 50,000 are 26 MB a matrix.
COMPARED_ROWS = 64
Reduce = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Log-probabilities of a checkpoint and of its baseline [rows, vocabulary], target tokens [rows] -> [rows, k]."""


@remembered
def masked_log_probs(
    cp: Checkpoint, sequences: Sequence[Sequence[int]], positions: Sequence[int], targets: Sequence[int]
) -> np.ndarray:
    """log p(targets[i] at positions[i] | sequences[i]), natural logarithm, [n].

    The caller puts the mask token into the sequences, or leaves it out. Identical sequences are computed once, so many
    positions of one sequence cost one forward pass.
    """
    require_head(cp, ("masked_lm",))
    wanted: dict[tuple[int, ...], list[int]] = {}
    for row, ids in enumerate(sequences):
        wanted.setdefault(tuple(ids), []).append(row)
    unique, asked = list(wanted), np.zeros(len(sequences), dtype=int)
    states: list[torch.Tensor] = []
    with computing(cp):
        for batch in rounds(cp, unique, padded=not can_pack(cp)):
            rows = [row for i in batch for row in wanted[unique[i]]]
            texts = [k for k, i in enumerate(batch) for _ in wanted[unique[i]]]
            places = list(zip(texts, [positions[row] for row in rows], strict=True))
            number = {place: i for i, place in enumerate(dict.fromkeys(places), sum(map(len, states)))}
            states.append(_states(cp, [unique[i] for i in batch], *zip(*number, strict=True)))
            asked[rows] = [number[place] for place in places]
        if not states:
            return np.zeros(0)
        return _log_probs(cp, torch.cat(states), torch.tensor(targets, dtype=torch.long), torch.from_numpy(asked))


@remembered
def causal_log_probs(cp: Checkpoint, sequences: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """For each sequence s the values log p(s[t] | s[<t]) for t >= 1: len(s) - 1 of them.

    Whether s starts with a beginning-of-sequence token is the caller's choice: with it, the first real token has
    a probability too. Equal sequences are computed once, and so is what sequences have in common at their beginning
    where the architecture allows it, see `shared_prefixes`.
    """
    require_head(cp, ("causal_lm",))
    result = [np.zeros(0)] * len(sequences)
    if len(sequences):
        check_sequences(cp, sequences)
    # Nothing is asked of the state of a last token.
    read = {number: ids[:-1] for number, ids in enumerate(sequences) if len(ids) > 1}
    with computing(cp):
        for rows, packed in _alike(cp, read):
            for batch in rounds(cp, [row.ids for row in rows], padded=not packed):
                for number, values in _of_rows(cp, [rows[i] for i in batch], sequences, packed):
                    result[number] = values
    return result


def compared_log_probs(
    cp: Checkpoint,
    baseline: Checkpoint,
    sequences: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    reduce: Reduce,
) -> np.ndarray:
    """Values ``[questions, k]`` that ``reduce`` computes from two models' log-probabilities over the vocabulary.

    ``positions[i]`` are positions in ``sequences[i]``, ``targets[i]`` the token for each; every position is a question,
    and results are in this order. Both models get the same batches, but for one with a ``batch_share`` of its own,
    which gets them in parts. Log-probabilities are float64 and computed for COMPARED_ROWS questions at a time, for
    which ``reduce`` is called. A model that is its own baseline is run once.
    UserError for task heads other than language models', or if the two vocabularies differ in size.
    """
    require_head(cp, ("masked_lm", "causal_lm"))
    same = baseline.model is cp.model and (baseline.batch_share, baseline.threads) == (cp.batch_share, cp.threads)
    models = [cp] if same else [cp, baseline]
    budget = max(token_budget(each) for each in models)
    starts = np.cumsum([0, *map(len, positions)])
    found, places = [np.zeros((0, 0))], [np.zeros(0, dtype=int)]
    with arithmetic(cp), arithmetic(baseline):
        for batch in rounds(cp, sequences, budget, padded=not can_pack(cp)):
            at = torch.tensor([k for k, i in enumerate(batch) for _ in positions[i]], dtype=torch.long)
            place = torch.tensor([position for i in batch for position in positions[i]], dtype=torch.long)
            right = torch.tensor([token for i in batch for token in targets[i]], dtype=torch.long)
            chosen = [sequences[i] for i in batch]
            states = [_in_parts(each, chosen, at, place) for each in models]
            for rows in torch.arange(len(at)).split(COMPARED_ROWS):
                log_p = [_all_log_probs(each, mine[rows]) for each, mine in zip(models, states, strict=True)]
                if log_p[0].shape != log_p[-1].shape:
                    raise UserError("the vocabularies of a checkpoint and its baseline differ in size")
                found.append(reduce(log_p[0], log_p[-1], right[rows].to(log_p[0].device)).cpu().double().numpy())
            places += [np.arange(starts[i], starts[i + 1]) for i in batch]
    if len(found) == 1:
        return found[0]
    result = np.zeros((int(starts[-1]), found[-1].shape[1]))
    result[np.concatenate(places)] = np.concatenate(found[1:])
    return result


def _alike(cp: Checkpoint, texts: Mapping[int, Sequence[int]]) -> Iterator[tuple[list[Row], bool]]:
    """Rows that can be in one batch, and whether they are packed there or padded.

    Of the padded, those with branches are apart: others may be longer than a window of attention.
    """
    packed = {number: ids for number, ids in texts.items() if packed_rows.can_pack(cp, ids)}
    yield shared_prefixes.rows(cp, packed, token_budget(cp)), True
    others = shared_prefixes.rows(cp, {number: ids for number, ids in texts.items() if number not in packed})
    yield [row for row in others if row.branches], False
    yield [row for row in others if not row.branches], False


def _of_rows(
    cp: Checkpoint, rows: Sequence[Row], sequences: Sequence[Sequence[int]], packed: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of the rows' texts, and log-probabilities of the tokens after the first of these sequences.

    Either all of the rows have branches or none has, if they are not ``packed``.
    """
    if packed:
        hidden = packed_rows.states(cp.model, rows)
    else:
        inputs = _branching(cp, rows) if rows[0].branches else collate(cp, [row.ids for row in rows])
        padded = hidden_states(cp.model, inputs)
        hidden = torch.cat([each[: len(row.ids)] for each, row in zip(padded, rows, strict=True)])
    paths = shared_prefixes.paths(rows)
    # A state is asked for the tokens that follow it in its texts.
    states = torch.tensor([place for path in paths.values() for place in path])
    targets = torch.tensor([token for number in paths for token in sequences[number][1:]])
    values = _log_probs(cp, hidden, targets, states)
    return zip(paths, np.split(values, np.cumsum([len(path) for path in paths.values()])[:-1]), strict=True)


def _branching(cp: Checkpoint, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    return {name: value.to(cp.device) for name, value in shared_prefixes.inputs(cp.model, rows).items()}


def _in_parts(
    cp: Checkpoint, sequences: Sequence[Sequence[int]], at: torch.Tensor, place: torch.Tensor
) -> torch.Tensor:
    """Hidden states [questions, hidden size] at ``place[i]`` of sequence ``at[i]``, in the checkpoint's own batches."""
    with threads(cp):
        states, questions = [], []
        for rows in batches([len(ids) for ids in sequences], token_budget(cp), padded=not can_pack(cp)):
            number = {i: k for k, i in enumerate(rows)}
            mine = [question for question, i in enumerate(at.tolist()) if i in number]
            texts = [number[i] for i in at[mine].tolist()]
            states.append(_states(cp, [sequences[i] for i in rows], texts, place[mine].tolist()))
            questions += mine
        return torch.cat(states)[torch.tensor(questions, dtype=torch.long).argsort()]


@remembered
def _states(
    cp: Checkpoint, sequences: Sequence[Sequence[int]], texts: Sequence[int], places: Sequence[int]
) -> torch.Tensor:
    """Hidden states [questions, hidden size] at ``places[i]`` of sequence ``texts[i]``, in one batch."""
    inputs = collate(cp, sequences)
    lying = layout(inputs, cp.model.config.pad_token_id) if can_pack(cp) else None
    return states_at(cp.model, last_block(cp.model), inputs, texts, places, lying).float()


def _log_probs(cp: Checkpoint, states: torch.Tensor, targets: torch.Tensor, of: torch.Tensor) -> np.ndarray:
    """log p(targets[i] | states[of[i]]), [n]; each state goes through the vocabulary once."""
    result = np.zeros(len(targets))
    with torch.autocast(cp.device.type, enabled=False):
        changed = summed_words.change(cp.model, states[:1].float())
        size = summed_words.STATES if changed else HEAD_ROWS
        for start in range(0, len(states), size):
            mine = ((of >= start) & (of < start + size)).nonzero()[:, 0]
            asked, at, target = states[start : start + size].float(), of[mine] - start, targets[mine]
            values = _in_words(cp, changed, asked, target, at) if changed else _in_logits(cp, asked, target, at)
            result[mine.numpy()] = values.cpu().double().numpy()
    return result


def _in_words(
    cp: Checkpoint, changed: Change, states: torch.Tensor, targets: torch.Tensor, of: torch.Tensor
) -> torch.Tensor:
    rows = output_inputs(cp.model, states)
    return summed_words.log_probs(cp.model.get_output_embeddings(), changed, rows, targets, of)


def _in_logits(cp: Checkpoint, states: torch.Tensor, targets: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    logits = token_logits(cp.model, states).float()
    at, target = of.to(logits.device), targets.to(logits.device)
    return logits[at, target] - _log_sum_exp(logits)[at]


def _log_sum_exp(logits: torch.Tensor) -> torch.Tensor:
    """``logits.logsumexp(1)``, for which the logits are overwritten: no other matrix of their size is needed."""
    largest = torch.finfo(logits.dtype).max  # infinite ones are not subtracted from each other
    most = logits.amax(1, keepdim=True).clamp(-largest, largest)
    return most[:, 0] + logits.sub_(most).exp_().sum(1).log()


def _all_log_probs(cp: Checkpoint, states: torch.Tensor) -> torch.Tensor:
    with torch.autocast(cp.device.type, enabled=False):
        return token_logits(cp.model, states).double().log_softmax(1)
