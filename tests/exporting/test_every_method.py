"""Every method of the registry, on an encoder and a causal model, as plain transformers finds it.

What the store holds loads right or not at all. What is exported loads to the same outputs, or the export is refused,
says why and leaves nothing.
"""

import copy
import dataclasses
import json

import pytest
import torch
import transformers
from compression_case import as_head, compress, context, few_of, logits, task, tiny
from gguf_files import plainly
from tiny import tiny_bert, tiny_llama
from zoo import AUTO

from fairshrink import registry
from fairshrink.contracts import CONTROLS
from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.study.jobs import PretrainedModel

KINDS = {"bert": "classification", "llama": "causal_lm"}
BUILD = {"bert": tiny_bert, "llama": tiny_llama}
KNOWN = registry.modules("compression")
METHODS = [name for name in KNOWN.names() if KNOWN.family(name) != CONTROLS or KNOWN[name].STORED]
NOT_FOR = {
    "bert": {"embedding_tying", "kv_cache", "kv_cache_channel"},  # no output layer, no cache
    # its task does not train
    "llama": {
        *("iterative_magnitude", "quantization_aware_training"),
        *("other_seed", "shuffled_labels", "trained_further"),
    },
}
DOSE = "dose"  # trains as the baseline does, on other rows, which need a table of their own
CASES = [(name, each) for name in KINDS for each in METHODS if each not in NOT_FOR[name] and each != DOSE]
REFUSED = {
    "int8_dynamic": "rounds its inputs to 8 bits",
    "int8_static": "rounds its inputs to 8 bits",
    "kv_cache": "rounded in its cache",
    "kv_cache_channel": "rounded in its cache",
}
"""What plain transformers has no place for, whatever the model."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The checkpoint that a method makes of a model, with fresh weights each time."""
    folder = tmp_path_factory.mktemp("models")
    tasks = {
        "bert": task(folder, "classification", learning_rate=1e-2, batch_size=8),
        "llama": task(folder, "causal_lm"),
    }
    others = {name: BUILD[name](kind, folder / f"{name}-of-others", seed=2) for name, kind in KINDS.items()}
    known: dict[tuple[str, str], Checkpoint] = {}

    def make(name: str, method: str) -> Checkpoint:
        if (name, method) not in known:
            untied = {"tie_word_embeddings": False} if method == "embedding_tying" else {}

            def fresh(seed: int = 0) -> Checkpoint:
                return tiny(name, folder, KINDS[name], **untied)

            cp = fresh()
            if method == "recovery":
                cp = compress("magnitude_layerwise", cp, sparsity=0.5)
            settings, brought = few_of(method), None
            if method == "given":
                settings = {"download": "others"}
                brought = PretrainedModel(str(others[name]), None, "float32", cp.head, cp.labels, {}, False)
            about = dataclasses.replace(context(tasks[name], source=fresh), brought=brought)
            known[name, method] = compress(method, cp, about, **settings)
        return copy.deepcopy(known[name, method])

    return make


@pytest.mark.parametrize(("name", "method"), CASES)
def test_what_is_stored_loads_right_or_not_at_all(name, method, made, tmp_path):
    cp = made(name, method)
    expected, states = logits(cp), logits(as_head(cp.model.base_model, cp))
    checkpoints.save(cp, tmp_path / "stored")
    for auto in (AUTO[cp.head], "AutoModel", "AutoModelForMaskedLM", type(cp.model).__name__):
        try:
            loaded = getattr(transformers, auto).from_pretrained(tmp_path / "stored").eval()
        except (OSError, ValueError):  # no weights there; no such class for the architecture
            continue
        if auto == "AutoModel":
            torch.testing.assert_close(logits(as_head(loaded, cp)), states, atol=1e-6, rtol=1e-5)
        elif auto != "AutoModelForMaskedLM":  # another head than its own is new, as it is for any model
            torch.testing.assert_close(logits(as_head(loaded, cp)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_what_is_exported_gives_the_same_outputs_or_is_refused(name, method, made, tmp_path):
    cp = made(name, method)
    expected = logits(cp)
    checkpoints.save(cp, tmp_path / "stored")
    (tmp_path / "stored" / "provenance.json").write_text(json.dumps({"key": "0123456789ab"}))
    if method in REFUSED:
        with pytest.raises(UserError, match=REFUSED[method]):
            exporting.export(tmp_path / "stored", tmp_path / "plain")
        assert [each.name for each in tmp_path.iterdir()] == ["stored"]
        return
    exporting.export(tmp_path / "stored", tmp_path / "plain")
    loaded, said = getattr(transformers, AUTO[cp.head]).from_pretrained(tmp_path / "plain", output_loading_info=True)
    assert not any(said[each] for each in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(logits(as_head(loaded.eval(), cp)), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("method", [method for name, method in CASES if name == "llama"])
def test_what_is_written_as_gguf_gives_the_same_outputs_or_is_refused(method, made, tmp_path):
    cp = made("llama", method)
    expected = logits(cp)
    checkpoints.save(cp, tmp_path / "stored")
    (tmp_path / "stored" / "provenance.json").write_text(json.dumps({"key": "0123456789ab"}))
    if method in REFUSED:
        with pytest.raises(UserError, match=REFUSED[method]):
            exporting.export(tmp_path / "stored", tmp_path / "file", form="gguf")
        assert [each.name for each in tmp_path.iterdir()] == ["stored"]
        return
    exporting.export(tmp_path / "stored", tmp_path / "file", form="gguf")
    torch.testing.assert_close(logits(as_head(plainly(tmp_path / "file"), cp)), expected, atol=1e-5, rtol=1e-5)
