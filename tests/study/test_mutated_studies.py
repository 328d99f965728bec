"""Studies edited at random: each is a mistake with file, key and remedy, or means what its file says.

Edits that leave the meaning leave all keys; another number changes the keys of what depends on it, and no others.
`benchmarks/mutated_studies.py` tries thousands.
"""

from __future__ import annotations

import copy
import random
from collections import Counter

import every_section
import pytest
import study_edits
import study_outcomes
import yaml
from study_edits import at, dumped

EDITS, BATCHES = 540, 12
BASE = every_section.content()
NUMBERS = [
    path
    for path in study_edits.paths(BASE)
    if isinstance(at(BASE, path), int | float) and type(at(BASE, path)) is not bool and "drop_labels" not in path
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with study_outcomes.workplace(tmp_path_factory.mktemp("mutated")) as made:
        yield made


@pytest.fixture(scope="module")
def keys(folder):
    return study_outcomes.keys_of(dumped(BASE).encode(), folder)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_an_edited_study_is_a_mistake_or_means_what_it_says(folder, batch):
    outcomes: Counter[str] = Counter()
    for seed in range(batch, EDITS, BATCHES):
        draw = random.Random(seed)
        data = study_edits.other(draw, BASE)
        try:
            outcomes[study_outcomes.judged(data, folder)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}\n{study_outcomes.described(data)}") from error
    assert outcomes["refused"] and sum(outcomes.values()) == EDITS / BATCHES


def shuffled(draw: random.Random, tree):
    """The same with other orders of what has none."""
    if isinstance(tree, dict):
        names = list(tree)
        if "entailment" not in tree.values():  # labels are in the order of the model's outputs
            draw.shuffle(names)
        return {name: shuffled(draw, tree[name]) for name in names}
    return tree


def reordered(tree):
    """The sections in reverse: rows of tables are sorted."""
    made = copy.deepcopy(tree)
    for section in ("metrics", "compressions", "controls", "doses"):
        made[section].reverse()
    for section in ("downloads", "models", "tasks"):
        made[section] = dict(reversed(made[section].items()))
    for model in made["models"].values():
        model["tasks"].reverse()
    made["compressions"][-1]["sparsity"].reverse()
    return made


def defaults_written(tree):
    made = copy.deepcopy(tree)
    made["tasks"]["mlm"] |= {"warmup": 0.1, "weight_decay": 0.01, "splits": [0], "finetune": True, "test": None}
    made["tasks"]["mlm"]["train"] |= {"header": True, "encoding": "utf-8", "separator": None, "drop_labels": []}
    made["models"]["bert"] |= {"folder": ".", "gguf_file": None, "dtype": "float32"}
    made["metrics"][0] |= {"precision": "fp32", "models": None, "margin": None}
    return made


def other_paths(tree):
    made = copy.deepcopy(tree)
    made["downloads"]["reviews"]["path"] = "./local//reviews.csv"
    made["tasks"]["mlm"]["train"]["file"] = ["./reviews.csv"]
    made["metrics"][3]["data"]["words"]["file"] = "./word_lists/"
    made["models"]["bert"]["folder"] = "./"
    made["output"] = "results/mine/"
    return made


def split_up(tree):
    """A grid as one entry for each point."""
    made = copy.deepcopy(tree)
    first = made["compressions"].pop(0)
    made["compressions"] += [{**first, "sparsity": [each]} for each in first["sparsity"]]
    return made


def inert(tree):
    made = copy.deepcopy(tree)
    made["execution"] = {"threads": 7, "checkpoints_per_job": 1, "save_minutes": 1.5, "restore": "never"}
    made["models"]["llama"]["weights"] = 2e9
    made["downloads"]["words"] |= {"max_gb": 3, "url": "https://example.org/mirror/words.zip"}
    return made


def anchored(tree) -> bytes:
    """Equal parts by anchors and aliases, and what two mappings share by a merge key."""
    made = copy.deepcopy(tree)
    made["compressions"][2]["tasks"] = made["controls"][1]["tasks"]
    made["tasks"]["lm"]["train"] = made["tasks"]["mlm"]["train"]
    text = dumped(made)
    assert "*id" in text
    whole = "  reviews:\n    source: local\n    path: local/reviews.csv\n"
    assert whole in text
    merged = "  bert: &local\n    source: local\n    path: local/bert\n"
    text = text.replace("  bert:\n    source: local\n    path: local/bert\n", merged)
    return text.replace(whole, "  reviews:\n    <<: *local\n    path: local/reviews.csv\n").encode()


def commented(tree) -> bytes:
    lines = dumped(tree).splitlines()
    return "\r\n".join(each + "  # said" if each.endswith(":") else each for each in lines).encode("utf-8-sig")


def exponents(tree) -> bytes:
    text = dumped(tree).replace("learning_rate: 0.001", "learning_rate: 1e-3").replace("0.0001", "1E-04")
    assert "1e-3" in text and "1E-04" in text
    return text.replace("seed: 3", "seed: +3").replace("level: 0.9", "level: .90").encode()


def quoted(tree) -> bytes:
    def text(dumper, value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')

    class Quoting(yaml.SafeDumper):
        pass

    Quoting.add_representer(str, text)
    return yaml.dump(tree, Dumper=Quoting, sort_keys=False).encode()


EQUAL = {
    "keys in another order": lambda: dumped(shuffled(random.Random(4), BASE)).encode(),
    "sections in reverse": lambda: dumped(reordered(BASE)).encode(),
    "flow style": lambda: yaml.safe_dump(BASE, default_flow_style=True, sort_keys=False).encode(),
    "wrapped lines, sorted keys": lambda: yaml.safe_dump(BASE, width=30, indent=7).encode(),
    "texts in quotes": lambda: quoted(BASE),
    "anchors and merge keys": lambda: anchored(BASE),
    "comments, a byte-order mark, line ends of Windows": lambda: commented(BASE),
    "numbers written otherwise": lambda: exponents(BASE),
    "defaults written out": lambda: dumped(defaults_written(BASE)).encode(),
    "paths written otherwise": lambda: dumped(other_paths(BASE)).encode(),
    "a grid point by point": lambda: dumped(split_up(BASE)).encode(),
    "what changes no result": lambda: dumped(inert(BASE)).encode(),
}


@pytest.mark.parametrize("edit", EQUAL)
def test_an_edit_that_leaves_the_meaning_leaves_all_keys(folder, keys, edit):
    data = EQUAL[edit]()
    assert data != dumped(BASE).encode()
    assert study_outcomes.judged(data, folder) == "accepted"
    assert study_outcomes.keys_of(data, folder) == keys


def dependent(path: tuple, artifact: str) -> bool:
    """Whether an artifact may depend on a number of the study, by its name."""
    section, tables = path[0], artifact.startswith("results/published")
    if section == "execution" or path[-1] in ("weights", "max_gb"):
        return False
    if section == "seed":
        return not artifact.startswith("data/")
    if section == "statistics" or path[-1] == "margin":
        return tables
    entry = at(BASE, path[:2])
    names = {
        "downloads": lambda: [""] if path[1] == "gloomy" else [],
        "tasks": lambda: [f"-{path[1]}"],
        "compressions": lambda: [f"-{name}" for name in (entry.get("method"), entry.get("name")) if name],
        "controls": lambda: [f"-{entry['method']}"],
        "doses": lambda: ["-dose-"],
        "metrics": lambda: [f"/{entry.get('name', entry['metric'])}-"],
    }[section]()
    if section == "compressions" and "chain" in entry:
        names.append("-magnitude_global-sparsity0.4")
        names.append("-magnitude_global-sparsity0.6")
    return tables or any(name in artifact for name in names)


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_another_number_changes_the_keys_of_what_depends_on_it_and_no_others(folder, keys, path):
    made = copy.deepcopy(BASE)
    number = at(BASE, path)
    at(made, path[:-1])[path[-1]] = (
        number * 1.01 if isinstance(number, float) else number + (1 if path[0] == "metrics" else 7)
    )
    data = dumped(made).encode()
    assert study_outcomes.judged(data, folder) == "accepted"
    found = study_outcomes.keys_of(data, folder)
    may = {each for each in keys if dependent(path, each)}
    assert keys - found <= may, sorted(keys - found - may)
    if may:
        assert any(each.startswith("results/published") for each in keys - found)
    if path[0] == "metrics" and path[-1] != "margin":
        assert may <= keys - found
    if path[0] == "tasks" and path[-1] in every_section.TRAINING:
        trained = {each for each in may if f"-{path[1]}-s" in each and "data/" not in each}
        assert trained and trained <= keys - found
    if path[0] == "seed":
        assert may <= keys - found
