"""Which compressions work on which architectures, as a page: docs/models_compressions.md."""

from __future__ import annotations

from typing import get_args

from fairshrink import registry
from fairshrink.contracts import Part
from fairshrink.models.architecture.families import FAMILIES, Family, refusals
from fairshrink.models.support import ARCHITECTURES

_INTRO = """# Compressions by architecture

Which methods of the [gallery](gallery.md) can be applied to which architectures, by the `model_type` in a model's
`config.json`. Everything else is refused with the reason.
[tests/compression/test_architectures.py](../tests/compression/test_architectures.py) applies every compression to
every architecture and compares it with a slow definition; `benchmarks/architectures.py` prints the full
product of methods, architectures and task heads.

- **Linear layers** are those of the blocks; with `scope: all` also those of the task head and around the embeddings.
  Word embeddings and decoders tied to them are changed only by methods with the setting `embeddings`, if it is true;
  position embeddings never are. Where query, key and value, or gate and up, are stored as
  one matrix, each is a matrix of its own for methods that go matrix by matrix, such as `magnitude_layerwise`; the
  scope `attention` is all of query, key and value. GPT-2's transposed layers (`Conv1D`) count as linear; as codes of
  few bits they are stored like all others, with a scale for each output.
- **Heads** are removed from the matrices, from normalizations that belong to single heads, from relative positions
  and from ALiBi slopes, so that a model computes what it computes with the outputs of these heads multiplied by 0.
  Where query heads share keys and values, a key and value head goes with its query heads. A model with one key and
  value head in each layer keeps all heads.
- Low rank and codebooks take a matrix as it is stored, query, key and value together where they are one.
- **Layers** that are removed leave a model of the same architecture, whose `config.json` says what it has left; the
  first one stays, because some architectures compute there what all others use. **Neurons** of feed-forward layers
  are removed from gate, up and down alike, in each layer as many as the method says.
- Layers that share their weights (ALBERT) are pruned, quantized and counted once; a head is removed from all of them.
- "All" methods are those that fit the model's task head: where transformers has no classifier (Cohere, Granite, T5),
  there is none to train on shuffled labels.
"""
_STORED = {
    "stacked": "query, key and value in one matrix",
    "per_head": "query, key and value in one matrix, head by head",
}


def markdown() -> str:
    """The page."""
    families = sorted({registry.modules("compression").family(name) for name in registry.names("compression")})
    lines = [f"| architecture | `model_type` | {' | '.join(families)} | layers |", "|---" * (len(families) + 3) + "|"]
    for kind, each in ARCHITECTURES.items():
        cells = [_cell(family, kind) for family in families]
        lines.append(f"| {each.title} | `{kind}` | {' | '.join(cells)} | {_layers(kind)} |")
    parts = get_args(Part)
    why = {reason for kind in FAMILIES for part in parts for reason in refusals({"model_type": kind}, part)}
    return "\n".join([_INTRO, *lines, "", *(f"- {reason}." for reason in sorted(why))]) + "\n"


def _cell(family: str, kind: str) -> str:
    """Whether all methods of a family work on an architecture, or which do not."""
    modules = registry.modules("compression")
    names = [name for name in modules.names() if modules.family(name) == family]
    refused = [name for name in names if refusals({"model_type": kind}, part_of(name))]
    if not refused:
        return "all"
    return "none" if refused == names else "all but " + ", ".join(f"`{name}`" for name in refused)


def part_of(method: str) -> Part:
    """What a method treats."""
    module = registry.load("compression", method)
    return getattr(module, "REMOVES", "linears")


def _layers(kind: str) -> str:
    """How an architecture stores its layers, where that is unusual."""
    family: Family = FAMILIES[kind][0]
    return "; ".join(
        filter(
            None,
            (
                _STORED.get(family.fused, ""),
                "gate and up in one matrix" if family.gate and family.gate == family.up else "",
                "shared by all blocks of a group" if family.blocks.count("*") > 1 else "",
            ),
        )
    )
