"""Which quantized folders can be decoded, by the ``quantization_config`` in their config.json; without torch.

Each reason ends with a remedy after "; ", as in other mistakes of a study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

METHODS = ("awq", "bitsandbytes", "compressed-tensors", "gptq")
WHOLE = (2, 4, 8)
"""Bits of which a word of 32 holds a whole number."""
FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")
_ELSE = "give a checkpoint of GPTQ, AWQ, compressed-tensors or bitsandbytes, a GGUF file or the dense model"


def refusals(said: object) -> Iterator[str]:
    """Why weights that are stored in this way cannot be decoded."""
    if not isinstance(said, Mapping):
        yield f"its quantization_config is no object of keys and values; {_ELSE}"
        return
    method = said.get("quant_method")
    if method == "gptq":
        yield from _gptq(said)
    elif method == "awq":
        yield from _awq(said)
    elif method == "compressed-tensors":
        yield from _compressed_tensors(said)
    elif method == "bitsandbytes":
        kind = said.get("bnb_4bit_quant_type", "fp4")
        if said.get("load_in_4bit") and kind not in ("nf4", "fp4"):
            yield f"its 4-bit weights of bitsandbytes are {kind}, and nf4 and fp4 can be read; {_ELSE}"
    else:
        yield f"its weights are stored quantized ({method}), which cannot be decoded here; {_ELSE}"


def rounds_activations(said: Mapping[str, Any]) -> bool:
    """Whether the library of its maker rounds activations too, which is not done where weights are decoded."""
    groups = said.get("config_groups") or {}
    return bool(said.get("load_in_8bit")) or any(each.get("input_activations") for each in groups.values())


def _gptq(said: Mapping[str, Any]) -> Iterator[str]:
    if said.get("bits") not in WHOLE:
        yield f"its weights have {said.get('bits')} bits, and GPTQ can be read with 2, 4 and 8; {_ELSE}"
    form = said.get("checkpoint_format", "gptq")
    if form not in ("gptq", "gptq_v2"):
        yield f"its checkpoint_format is {form}, a layout for one kind of GPU; take the same model as gptq or gptq_v2"


def _awq(said: Mapping[str, Any]) -> Iterator[str]:
    version = str(said.get("version", "gemm")).lower()
    if said.get("bits", 4) != 4 or version != "gemm":
        yield f"it is AWQ of {said.get('bits', 4)} bits, version {version}, and 4 bits of gemm can be read; {_ELSE}"


def _compressed_tensors(said: Mapping[str, Any]) -> Iterator[str]:
    groups = said.get("config_groups")
    if said.get("format") not in FORMATS or not isinstance(groups, Mapping) or not groups:
        yield f"its format is {said.get('format')}, and {', '.join(FORMATS)} can be read; {_ELSE}"
        return
    bits = {(each.get("weights") or {}).get("num_bits") for each in groups.values() if isinstance(each, Mapping)}
    if said["format"] == "pack-quantized" and (len(bits) > 1 or not bits <= set(WHOLE)):
        yield f"its layers have {', '.join(map(str, sorted(bits, key=str)))} bits, and one of 2, 4, 8 is read; {_ELSE}"
