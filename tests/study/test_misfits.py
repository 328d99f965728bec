"""Settings of compressions that no model, or not this one, can have are mistakes when the study is read."""

import json

import pytest
import yaml
from tiny_study import study, write_data

from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError

BERT = {"num_hidden_layers": 6, "num_attention_heads": 6, "hidden_size": 48, "intermediate_size": 72}
LLAMA = {"num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 3, "hidden_size": 48}
LLAMA |= {"intermediate_size": 72, "tie_word_embeddings": True}
ENCODER, CAUSAL = {"tasks": ["sentiment"]}, {"tasks": ["lm"]}
PRUNED = {"method": "magnitude_layerwise", "sparsity": 0.5}
BAD = {
    "all weights": (ENCODER | {"method": "magnitude_global", "sparsity": 1.0}, "sparsity", "less than 1"),
    "all weights by training": (ENCODER | {"method": "movement", "sparsity": 1.0}, "sparsity", "less than 1"),
    "all heads": (ENCODER | {"method": "head_pruning", "sparsity": 1.0}, "sparsity", "less than 1"),
    "7 heads of 6 in each layer but one": (
        ENCODER | {"method": "head_pruning", "sparsity": 35 / 36},
        "sparsity",
        "can lose 83% of its heads",
    ),
    "all neurons": (ENCODER | {"method": "neuron_pruning", "sparsity": 1.0}, "sparsity", "less than 1"),
    "no bits": (ENCODER | {"method": "linear_quantization", "bits": 0}, "bits", "greater than or equal to 1"),
    "no bits of GPTQ": (ENCODER | {"method": "gptq", "bits": 0}, "bits", "greater than or equal to 2"),
    "no bits of AWQ": (ENCODER | {"method": "awq", "bits": 0}, "bits", "greater than or equal to 2"),
    "no bits in training": (
        ENCODER | {"method": "quantization_aware_training", "bits": 0},
        "bits",
        "greater than or equal to",
    ),
    "no bits of a cache": (CAUSAL | {"method": "kv_cache", "bits": 0}, "bits", "greater than or equal to 1"),
    "a cache of an encoder": (ENCODER | {"method": "kv_cache", "bits": 4}, "models", "has no cache"),
    "groups that do not divide": (ENCODER | {"method": "gptq", "group": 32}, "group", "48"),
    "a pattern that does not divide": (
        ENCODER | PRUNED | {"pattern": "5:10"},
        "pattern",
        "",
    ),
    "a rank above the full one": (ENCODER | {"method": "svd", "rank": 49}, "rank", "no matrix with rows of 48"),
    "a weighted rank above it": (
        CAUSAL | {"method": "activation_svd", "rank": 49},
        "rank",
        "no matrix with rows of 48",
    ),
    "no rank": (ENCODER | {"method": "svd", "rank": 0}, "rank", "greater than or equal to 1"),
    "one value": (ENCODER | {"method": "kmeans", "clusters": 1}, "clusters", "greater than or equal to 2"),
    "all layers": (ENCODER | {"method": "layer_dropping", "layers": 6}, "layers", "6 layers cannot go of 6"),
    "all layers that are alike": (ENCODER | {"method": "redundant_layers", "layers": 6}, "layers", "cannot go of 6"),
    "blocks that cannot be shared": (ENCODER | {"method": "layer_tying", "share": 4}, "share", "does not divide its 6"),
    "embeddings that are tied": (CAUSAL | {"method": "embedding_tying"}, "models", "is tied"),
    "a student larger than its teacher": (
        ENCODER | {"method": "soft_labels", "student_layers": 7},
        "student_layers",
        "the teacher has 6 blocks, and 7 are asked for",
    ),
    "a block that a teacher lacks": (
        ENCODER | {"method": "soft_labels", "kept_layers": [0, 6]},
        "kept_layers",
        "there is no block 6",
    ),
    "a block that a student lacks": (
        ENCODER | {"method": "soft_labels", "student_layers": 3, "layers": [3]},
        "layers",
        "there is no block 3",
    ),
    "a student as large": (ENCODER | {"method": "soft_labels", "student_layers": None}, "", "would be its teacher"),
    "training of a block that is not there": (
        ENCODER | {"chain": [PRUNED, {"method": "recovery", "layers": [6]}]},
        "layers",
        "there is no block 6",
    ),
    "pruning of a block that is not there": (
        ENCODER | {"method": "movement", "sparsity": 0.5, "layers": [1, 9]},
        "layers",
        "there is no block 9",
    ),
    "pruning of what is packed": (
        ENCODER | {"chain": [{"method": "int8_weight_only"}, PRUNED]},
        "chain[1]",
        "put magnitude_layerwise before int8_weight_only",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("misfits")
    write_data(made / "local", models=())
    for name, sizes in {"bert": BERT, "llama": LLAMA}.items():
        (made / "local" / name / "config.json").write_text(json.dumps({"model_type": name} | sizes))
    return made


def read(folder, *compressions):
    content = study() | {"compressions": list(compressions), "controls": []}
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load(folder / "config.yaml")


@pytest.mark.parametrize("case", BAD)
def test_bad_settings_are_mistakes_with_their_key(folder, case):
    entry, setting, said = BAD[case]
    with pytest.raises(StudyError) as caught:
        read(folder, entry)
    found = [each for each in caught.value.mistakes if each.key.endswith(setting)]
    assert any(said in f"{each.reason}: {each.remedy}" for each in found), caught.value.mistakes


def test_the_largest_settings_that_fit_are_read(folder):
    read(
        folder,
        ENCODER | {"method": "head_pruning", "sparsity": 30 / 36},
        ENCODER | {"method": "svd", "rank": 48},
        ENCODER | {"method": "layer_dropping", "layers": 5},
        ENCODER | {"method": "soft_labels", "student_layers": 6, "layers": [5], "epochs": 2},
        ENCODER | {"method": "soft_labels", "kept_layers": [0, 5], "layers": [1]},
        ENCODER | {"chain": [PRUNED, {"method": "recovery", "layers": [5]}]},
    )
