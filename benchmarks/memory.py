"""Peak memory and time of methods that calibrate on texts, relative to the model that they compress.

    PYTHONPATH=.:tests/helpers .venv/bin/python benchmarks/memory.py FOLDER MODEL.gguf wanda sparsegpt gptq awq

Each method runs in a process of its own on the model in float32, with 32 of the short sentences of the tests, of at
most 64 tokens. Memory is the highest resident set while the method runs, less what the process held before the model
was loaded, in multiples of the model's own bytes; 1 is the model itself. Time is in multiples of one forward pass over
the texts. Linux alone: the highest resident set is reset by /proc/self/clear_refs.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from compression_case import context, task

from fairshrink import registry
from fairshrink.compression._shared.calibration import calibration_texts, in_batches
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.forward import hidden_states

ONE = "--one"
ITEMS = {"calibration_items": 32, "calibration_length": 64}
SETTINGS = {"wanda": {"sparsity": 0.5}, "sparsegpt": {"sparsity": 0.5}}
MIB = 1024 * 1024


def main(arguments: list[str]) -> None:
    """Print a line for each method."""
    if arguments[0] == ONE:
        one(Path(arguments[1]), arguments[2])
        return
    folder, file, *methods = arguments
    with tempfile.TemporaryDirectory() as made:
        source = checkpoints.from_source(folder, head="causal_lm", gguf_file=file, trained=False)
        checkpoints.save(source, Path(made) / "model")
        del source
        for method in methods:
            subprocess.run([sys.executable, __file__, ONE, made, method], check=True)


def one(made: Path, method: str) -> None:
    """One method, in this process."""
    before = resident("VmRSS")
    cp = checkpoints.load(made / "model")
    size = sum(each.numel() * each.element_size() for each in cp.model.parameters())
    module, about = registry.load("compression", method), context(task(made, "causal_lm"))
    settings = module.Settings(**ITEMS, **SETTINGS.get(method, {}))
    batches = in_batches(cp, calibration_texts(cp, settings, about, method))
    began = time.perf_counter()
    with torch.inference_mode():
        for inputs in batches:
            hidden_states(cp.model, inputs)
    forward = time.perf_counter() - began
    Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    module.compress(cp, settings, about)
    took = time.perf_counter() - began
    peak = (resident("VmHWM") - before) / size
    print(
        f"{method:12} peak {peak:.2f} x the model ({size / MIB:,.0f} MiB), {took:.1f} s = {took / forward:.1f} forward "
        f"passes over {sum(each['input_ids'].numel() for each in batches):,} tokens",
        flush=True,
    )


def resident(name: str) -> int:
    """Bytes of this process's resident set: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main(sys.argv[1:])
