"""Which models can be used for which kinds of task, as a page: docs/models.md."""

from __future__ import annotations

from fairshrink import registry
from fairshrink.models.support import ARCHITECTURES, Architecture
from fairshrink.study.abilities import TASK_HEADS_OF_FAMILY, WAYS

_INTRO = """# Models

A model is a folder with `config.json`, `model.safetensors` (in one file or several, with an index) and a fast tokenizer
(`tokenizer.json`), or a GGUF file. The `model_type` in `config.json` says which architecture it is:
"""
_AFTER = """
[tests/models/test_architectures.py](../tests/models/test_architectures.py) holds every row to the same:
log-probabilities, hidden states and logits equal those of plain transformers to 1e-5 in float32, padding included;
losses and gradients are the maker's own; what is saved and loaded again is the same to the bit; fine-tuning reaches
every layer. Every metric of embeddings, likelihoods, logits or attention applies to every architecture that has the
head for it. Which compressions apply: [compressions by architecture](models_compressions.md).

## Which metrics a model can take
{metrics}
A study is refused before any job where a metric names a model or a task that cannot give what it needs, or where one of
its settings does not suit a model: the message says which metrics the model can take. So is a masked language model
whose tokenizer has no mask token, a causal one whose tokenizer has no token that begins or ends a text, `chat_template`
without a chat template. What a local folder's files say is known at once; of a model that is downloaded it is
looked at when it has arrived, before any training. `fairshrink score` goes by the same rules.

## Read as its maker computes it

When a model has been read and before anything else is done with it, the outputs of two short texts are compared with
those of the model that transformers makes of the same folder. A difference is an error that says what differs. It costs
less than a second for 135 million parameters, and holds for soft caps and scales of logits, for sliding windows, for
whatever a new architecture does. Logits come from the model's own forward pass, of which only the transformer's answer
is replaced by the hidden states of the positions that are asked for. A GGUF file is not read a second time: for it the
two halves of the forward pass are compared with the whole.

- **Missing weights.** What the file lacks of a task head is initialized from the split's seed if the task fine-tunes
  it. Where nothing trains it, it is an error that names it, as is any other missing weight. A pooler that no metric
  uses is not asked for.
- **Head and embeddings.** If the file has a matrix for each and they differ, both are kept, whatever
  `tie_word_embeddings` says.
- **Padding.** Batches are filled up with the `pad_token_id` of `config.json`, or else with a token of the tokenizer
  that the model has an embedding of. A token in a text that the model does not know is an error.
- **Start of a text.** Before each text of which a causal model gives probabilities stands its beginning-of-sequence
  token, or where its tokenizer has none (Qwen) its end-of-sequence token: in `task_score`, `fidelity`, `stereoset` and
  `crows_pairs` alike, and before single words in `weat`. A tokenizer without either is an error.
- **Quantized checkpoints** (GPTQ, AWQ, compressed-tensors, bitsandbytes, ONNX) are rows beside the model that they were
  made from, by the method [`given`](gallery.md#given), which says what is decoded and how, and what onnxruntime
  computes instead. As a baseline under `models` they are refused, but for a GGUF file, which is de-quantized.
- **Code that comes with a model** is never run; only the architectures of transformers itself are read.
- **bfloat16** files are computed in float32, which is exact; `dtype: bfloat16` stores the checkpoints as they came.
"""


def markdown() -> str:
    """The page."""
    kinds = registry.names("tasks")
    lines = [
        f"| model | `model_type` | `family` | {' | '.join(f'`{kind}`' for kind in kinds)} | |",
        "|---" * (len(kinds) + 4) + "|",
    ]
    for name, each in ARCHITECTURES.items():
        cells = ["yes" if usable(each, kind) else "" for kind in kinds]
        lines.append(f"| {each.title} | `{name}` | {each.family} | {' | '.join(cells)} | {each.note} |")
    return "\n".join([_INTRO, *lines, _AFTER.replace("{metrics}", _metrics())])


def _metrics() -> str:
    """What a model has to give for each metric: the tasks that do."""
    lines = ["", "| metric | tasks whose models it scores |", "|---|---|"]
    for name in registry.names("metrics"):
        needed = registry.load("metrics", name).NEEDS
        lines.append(f"| `{name}` | {'; '.join(dict.fromkeys(WAYS[each] for each in sorted(needed)))} |")
    return "\n".join([*lines, ""])


def usable(architecture: Architecture, kind: str) -> bool:
    """Whether a study can give such a model a task of this kind."""
    head = registry.load("tasks", kind).HEAD
    return head in architecture.heads and head in TASK_HEADS_OF_FAMILY[architecture.family]
