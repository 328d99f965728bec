"""How much memory it takes to read a model: the peak above the process without it, in copies of its float32 weights.

    python benchmarks/reading.py [--millions 150] [--head causal_lm] [--file float32] [--dtype float32] [--tied]

A Llama of random weights is written to a temporary folder in the type ``--file`` and read by ``from_source``, to be
stored as ``--dtype``, in a process of its own; in another one it is loaded from the checkpoint that was saved. 1.0 is
the weights alone. Of what comes on top the pages of the file that is read (half a copy where it is bfloat16) can be
taken back by the system; the second number leaves out all pages of files, which are the weights themselves where they
are used as they are in the file. The code measured is that of the working directory. Linux alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, VOCABULARY = 1024, 32_000

_READ = """
import re, sys, threading, time
import torch, transformers
from fairshrink.models import checkpoint
torch.set_num_threads(1)

def memory(kind):  # of this program alone; what getrusage says begins with the parent's
    return 1024 * int(re.search(kind + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1])

def watch():
    global own
    while True:
        own = max(own, memory("RssAnon"))
        time.sleep(0.002)

folder, saved, head, dtype = sys.argv[1:]
before, before_own = memory("VmHWM"), memory("RssAnon")
own = before_own
threading.Thread(target=watch, daemon=True).start()
if head:
    labels = ("no", "yes") if head == "classification" else ()
    cp = checkpoint.from_source(folder, head=head, dtype=dtype, labels=labels, trained=head == "classification")
else:
    cp = checkpoint.load(saved)
print(memory("VmHWM") - before, own - before_own, 4 * sum(each.numel() for each in cp.model.parameters()))
if head:
    checkpoint.save(cp, saved)
"""


def main() -> None:
    """Print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=150, help="weights of the model")
    parser.add_argument("--head", default="causal_lm", choices=["causal_lm", "encoder", "classification"])
    parser.add_argument("--file", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--tied", action="store_true", help="head and embeddings are one matrix")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "published", options.millions, options.file, tied=options.tied)
        for what, head in (("read", options.head), ("loaded again", "")):
            peak, own, weights = _measured(Path(folder), head, options.dtype)
            kind = f"{weights / 4e6:.0f} M weights, {options.head}, {'tied' if options.tied else 'untied'}"
            types = f"file in {options.file}, stored as {options.dtype}"
            print(
                f"{kind}, {types}, {what}: {peak / weights:.2f} copies resident at most ({peak / 1e6:.0f} MB), "
                f"{own / weights:.2f} but for pages of files",
                flush=True,
            )


def _measured(folder: Path, head: str, dtype: str) -> tuple[int, int, int]:
    given = [str(folder / "published"), str(folder / "saved"), head, dtype]
    done = subprocess.run([sys.executable, "-c", _READ, *given], stdout=subprocess.PIPE, text=True, check=True)
    peak, own, weights = map(int, done.stdout.split())
    return peak, own, weights


def _write(folder: Path, millions: float, dtype: str, *, tied: bool) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer, models

    of_layer = 4 * WIDTH * WIDTH + 3 * WIDTH * 4 * WIDTH
    outside = (1 if tied else 2) * VOCABULARY * WIDTH
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=max(1, round((millions * 1e6 - outside) / of_layer)),
        num_attention_heads=16,
        tie_word_embeddings=tied,
    )
    transformers.LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<s>": 0, "<unk>": 1}, unk_token="<unk>"))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="<s>", unk_token="<unk>"
    ).save_pretrained(folder)


if __name__ == "__main__":
    main()
