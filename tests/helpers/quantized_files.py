"""Writes models in the formats of quantization libraries, one number at a time, from the formats' own descriptions.

Each returns the dense weights that the file stands for, computed before anything is packed.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

GROUP = 16
AWQ_OUTPUTS = (0, 2, 4, 6, 1, 3, 5, 7)
"""The output, of eight, that is in each half byte of a word from the lowest on."""


def packed(numbers: list[int], bits: int) -> int:
    """A signed word of 32 bits with these numbers, the first in the lowest bits."""
    word = sum(number << (bits * place) for place, number in enumerate(numbers))
    return word - (1 << 32) if word >> 31 else word


def rows_packed(matrix: torch.Tensor, bits: int) -> torch.Tensor:
    """[n, k] to int32 [n, k x bits / 32]."""
    per = 32 // bits
    return torch.tensor(
        [[packed(row[at : at + per], bits) for at in range(0, len(row), per)] for row in matrix.tolist()],
        dtype=torch.int32,
    )


def linears(folder: Path) -> list[str]:
    """Names of the matrices in the blocks."""
    tensors = load_file(folder / "model.safetensors")
    return [name for name, value in tensors.items() if "layer" in name and value.ndim == 2]


def write(source: Path, target: Path, method: str, **options) -> dict[str, torch.Tensor]:
    """A copy of a tiny model whose matrices in the blocks are stored as ``method`` stores them."""
    shutil.copytree(source, target)
    tensors, dense = load_file(source / "model.safetensors"), {}
    config = json.loads((target / "config.json").read_text())
    for number, name in enumerate(linears(source)):
        draw = torch.Generator().manual_seed(number)
        parts, dense[name] = WRITERS[method](tensors.pop(name), draw, **options)
        tensors |= {name.removesuffix("weight") + part: value.contiguous() for part, value in parts.items()}
    config["quantization_config"] = said(method, **options)
    (target / "config.json").write_text(json.dumps(config))
    save_file(tensors, target / "model.safetensors")
    return dense


def said(method: str, **options) -> dict:
    """What the library writes into config.json."""
    if method == "gptq":
        return {"quant_method": "gptq", "bits": options["bits"], "group_size": GROUP, "desc_act": True} | (
            {"checkpoint_format": "gptq_v2"} if options.get("second") else {}
        )
    if method == "awq":
        return {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm", "zero_point": True}
    if method == "bitsandbytes":
        return {"quant_method": "bitsandbytes"} | (
            {"load_in_8bit": True}
            if options["bits"] == 8
            else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": options["double"]}
        )
    weights = {"num_bits": options["bits"], "group_size": GROUP, "strategy": "group", "type": "int"}
    form = "pack-quantized" if options["bits"] == 4 else "int-quantized"
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups}


def _drawn(weight, draw, bits, groups):
    """Codes [out, in], zero points and scales [out, groups], all drawn at random."""
    out, inputs = weight.shape
    codes = torch.randint(2**bits, (out, inputs), generator=draw)
    zeros = torch.randint(1, 2**bits, (out, groups), generator=draw)
    scales = (0.01 + 0.05 * torch.rand(out, groups, generator=draw)).half()
    return codes, zeros, scales


def _stand_for(codes, zeros, scales, group_of):
    dense = torch.empty(codes.shape)
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            group = group_of[column]
            dense[row, column] = (int(codes[row, column]) - int(zeros[row, group])) * float(scales[row, group])
    return dense


def _gptq(weight, draw, *, bits, second=False):
    inputs = weight.shape[1]
    groups = inputs // GROUP
    codes, zeros, scales = _drawn(weight, draw, bits, groups)
    group_of = torch.randperm(inputs, generator=draw) % groups
    parts = {
        "qweight": rows_packed(codes, bits).t(),
        "qzeros": rows_packed(zeros.t() - (0 if second else 1), bits),
        "scales": scales.t(),
        "g_idx": group_of.int(),
    }
    return parts, _stand_for(codes, zeros, scales, group_of.tolist())


def _awq(weight, draw):
    groups = weight.shape[1] // GROUP
    codes, zeros, scales = _drawn(weight, draw, 4, groups)

    def words(matrix):
        ordered = torch.empty_like(matrix)
        for column in range(matrix.shape[1]):
            ordered[:, column] = matrix[:, column - column % 8 + AWQ_OUTPUTS[column % 8]]
        return rows_packed(ordered, 4)

    parts = {"qweight": words(codes.t()), "qzeros": words(zeros.t()), "scales": scales.t()}
    return parts, _stand_for(codes, zeros, scales, [column // GROUP for column in range(weight.shape[1])])


def _compressed_tensors(weight, draw, *, bits, asymmetric=False):
    out, inputs = weight.shape
    groups = inputs // GROUP
    codes, zeros, scales = _drawn(weight, draw, bits, groups)
    half = 2 ** (bits - 1)
    codes, zeros = codes - half, (zeros - half if asymmetric else torch.zeros_like(zeros))
    parts = {"weight_scale": scales}
    if bits == 4:
        parts |= {"weight_packed": rows_packed(codes + half, 4), "weight_shape": torch.tensor([out, inputs])}
        if asymmetric:
            parts["weight_zero_point"] = rows_packed((zeros + half).t(), 4).t()
    else:
        parts["weight"] = codes.to(torch.int8)
        if asymmetric:
            parts["weight_zero_point"] = zeros.to(torch.int8)
    return parts, _stand_for(codes, zeros, scales, [column // GROUP for column in range(inputs)])


def _bitsandbytes(weight, draw, *, bits, double=False):
    out, inputs = weight.shape
    if bits == 8:
        codes = torch.randint(-127, 128, (out, inputs), generator=draw)
        largest = 0.1 + torch.rand(out, generator=draw)
        dense = torch.tensor(
            [[c * s / 127 for c in row] for row, s in zip(codes.tolist(), largest.tolist(), strict=True)]
        )
        return {"weight": codes.to(torch.int8), "SCB": largest, "weight_format": torch.tensor(0).byte()}, dense
    table = torch.linspace(-1, 1, 16)
    codes = torch.randint(16, (out * inputs,), generator=draw).tolist()
    scales = torch.rand(out * inputs // GROUP, generator=draw)
    parts = {"weight.absmax": scales, "weight.quant_map": table}
    state = {"quant_type": "nf4", "blocksize": GROUP, "dtype": "float16", "shape": [out, inputs]}
    if double:
        inner, factors = torch.linspace(-1, 1, 256), torch.rand(len(scales) // 32 + 1, generator=draw)
        small = torch.randint(256, (len(scales),), generator=draw)
        scales = torch.tensor(
            [float(inner[n]) * float(factors[at // 32]) + 0.25 for at, n in enumerate(small.tolist())]
        )
        parts |= {"weight.absmax": small.byte(), "weight.nested_absmax": factors, "weight.nested_quant_map": inner}
        state |= {"nested_blocksize": 32, "nested_offset": 0.25, "nested_dtype": "float32"}
    pairs = zip(codes[::2], codes[1::2], strict=True)
    parts["weight"] = torch.tensor([[16 * first + second] for first, second in pairs], dtype=torch.uint8)
    content = json.dumps(state).encode()
    parts["weight.quant_state.bitsandbytes__nf4"] = torch.tensor(list(content), dtype=torch.uint8)
    values = [float(table[code]) * float(scales[at // GROUP]) for at, code in enumerate(codes)]
    return parts, torch.tensor(values).view(out, inputs)


WRITERS = {
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed_tensors,
    "gptq": _gptq,
}
