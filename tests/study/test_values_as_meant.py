"""What YAML or a slip makes of a value is a mistake with file, key and remedy: never accepted, never a traceback."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path

import pytest
import yaml

from fairshrink.planning import studies
from fairshrink.settings import LARGEST, inside
from fairshrink.study.mistakes import StudyError

ROOT = Path(__file__).parents[2]
BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
STEREOSET = [each["metric"] for each in BASE["metrics"]].index("stereoset")
BASE["validity"] = str(ROOT / BASE["validity"])


def mistakes(tmp_path, content: bytes) -> list[tuple[str, str, str]]:
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    with pytest.raises(StudyError) as caught:
        studies.load(str(file))
    assert all(each.reason and each.remedy for each in caught.value.mistakes)
    return [(each.key, each.reason, each.remedy) for each in caught.value.mistakes]


def changed(path: tuple, value: object) -> bytes:
    """The default study with another value at a path."""
    study = copy.deepcopy(BASE)
    place = study
    for each in path[:-1]:
        place = place[each]
    place[path[-1]] = value
    return yaml.safe_dump(study).encode()


SENTIMENT, NLI = ("tasks", "sentiment"), ("tasks", "nli", "train")
NUMBERS = [
    (("seed",), True, "true or false"),
    (("seed",), "17", "is text"),
    (("seed",), 10**30, "too large"),
    ((*SENTIMENT, "splits"), [True], "true or false"),
    ((*SENTIMENT, "splits"), [2**40], "too large"),
    ((*SENTIMENT, "splits"), [-1], "greater than or equal to 0"),
    ((*SENTIMENT, "learning_rate"), float("inf"), "finite"),
    ((*SENTIMENT, "learning_rate"), datetime.date(2020, 1, 1), "YAML reads 2020-01-01 as a date"),
    (("metrics", STEREOSET, "margin"), float("nan"), "finite"),
    (("metrics", STEREOSET, "sample"), True, "true or false"),
    (("compressions", 0, "sparsity"), "0.5", "is text"),
    (("compressions", 0, "sparsity"), True, "true or false"),
    (("statistics",), {"level": float("nan")}, "finite"),
    ((*SENTIMENT, "dev_share"), 0.86, "less than 0.5"),
    (("compressions", 0, "sparsity"), [number / 20_000 for number in range(1, 15_000)], "14,999 combinations"),
]
LISTS = [
    (("compressions", 0, "sparsity"), [], "empty list"),
    (("compressions", 0, "tasks"), [], "empty list"),
    (("controls", 0, "level"), [], "empty list"),
    (("metrics", STEREOSET, "tasks"), [], "empty list"),
    (("models", "minilm", "tasks"), [], "at least 1 item"),
    ((*NLI, "file"), [], "empty list"),
    ((*NLI, "file"), ["nli.parquet", "nli.parquet"], "named twice"),
    (("study",), ["a"], "string"),
]
PATHS = [
    ((*NLI, "file"), "../nli.parquet", "out of its folder"),
    ((*NLI, "file"), "/etc/passwd", "out of its folder"),
    ((*NLI, "file"), ["nli.parquet", "a/../../b"], "out of its folder"),
    (("models", "minilm", "folder"), "..", "out of its folder"),
    (("models", "minilm", "gguf_file"), "../x.gguf", "out of its folder"),
    (("downloads", "minilm", "members"), ["../*"], "out of its folder"),
    (("output",), "/tmp/out", "out of its folder"),
    (("output",), "~/out", "out of its folder"),
    (("output",), "a\x07b", "control characters"),
    (("metrics", STEREOSET, "data", "items", "file"), "..\\x", "backslashes"),
]
WORDS = [
    (("execution",), {"device": "gpu"}, "pattern"),
    (("study",), "a" * 81, "at most 80 characters"),
    (("output",), "a" * 256, "too long for a file"),
    ((*NLI, "file"), "/".join(["a" * 200] * 6), "too long for a file"),
    ((*NLI, "labels"), ["a", "a"], "the same but for case"),
    ((*NLI, "labels"), ["a", b"b"], "neither text nor number"),
    ((*NLI, "columns"), {"text": b"premise", "label": "label"}, "neither text nor number"),
    ((*NLI, "columns"), {"text": datetime.date(2020, 1, 2)}, "YAML reads 2020-01-02 as a date"),
    (("models", "minilm", "folder"), b"a", "neither text nor number"),
    (("downloads", "minilm"), 7, "a mapping of keys to values belongs here"),
    (("compressions",), [7], "a mapping of keys to values belongs here"),
    ((*NLI, "columns"), {"text": "premise", "text_pair": "premise", "label": "label"}, "both the column 'premise'"),
]


@pytest.mark.parametrize(("path", "value", "said"), NUMBERS + LISTS + PATHS + WORDS)
def test_a_value_that_cannot_be_meant(path, value, said, tmp_path):
    found = mistakes(tmp_path, changed(path, value))
    named = [(key, reason) for key, reason, _ in found if said in reason]
    assert named, found
    name = next(each for each in reversed([path[0], *path]) if isinstance(each, str))
    assert any(name in key or (path[-2:-1] and str(path[-2]) in key) for key, _ in named), named
    assert not any("[inside" in key for key, _, _ in found)
    assert len(found) == 1  # nothing follows from it that would be a mistake of its own


def test_what_is_meant_is_accepted(tmp_path):
    fine = copy.deepcopy(BASE)
    fine["seed"] = LARGEST
    fine["compressions"][0]["sparsity"] = 0.5
    fine["output"] = "results/mine"
    fine["execution"]["device"] = "cuda:1"
    file = tmp_path / "study.yaml"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(yaml.safe_dump(fine), encoding=encoding)
        assert studies.load(str(file)).seed == LARGEST


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"study: a\nmodels: \xff\xfe\n", "line 2 is not UTF-8 text"),
        ("study: a".encode("utf-16"), "not UTF-8 text"),
        (b"? [a, b]\n: 1\n", "line 1: a mapping or list stands where a key belongs"),
        (b"study: a\nseed: {{ seed }}\n", "line 2: a mapping or list stands where a key belongs"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"study: a\nseed: 1:30\n", "YAML reads 1:30 as 90"),
        (b"study: a\nseed: 010\n", "YAML reads 010 as 8"),
        (b"study: a\nseed: 1:30.5\n", "YAML reads 1:30.5 as 90.5"),
        (b"study: a\n3: b\n", "the key 3 is no text"),
        (b"study: a\nseed: 1\nseed: 2\n", "written twice"),
        (b"", "not a mapping"),
        (b"- a\n", "not a mapping"),
        (b"study: 2020-13-45\n", "not valid YAML"),
        (b"study: a\nseed: !!int ''\n", "'' is no number"),
        (b"study: a\nseed: !!float ''\n", "'' is no number"),
        (b"study: a\nseed: " + b"9" * 5000, "is no number"),
        (b"study: a\nseed: !!bool 'x'\n", "'x' is neither true nor false"),
        (b"study: !!omap [a: 1]\n", "line 1: !!omap is no type that a study has"),
        (b"study: !!set {a}\n", "neither text nor number nor list"),
        (b"study: a\noutput: !!python/name:os.system\n", "line 2: could not determine a constructor"),
        (b"study: a\n\x07\n", "line 2: a control character"),
        (b"study: a\noutput: &b {b: *b}\n", "recursive"),
        (b"'': a\nstudy: a\n", "there is no key '' here"),
    ],
)
def test_a_file_that_is_no_study(content, said, tmp_path):
    assert said in " | ".join(reason for _, reason, _ in mistakes(tmp_path, content))


def test_aliases_that_stand_for_millions_of_values(tmp_path):
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    for path in ("study", "seed", "output", "models", "metrics", "downloads", "compressions"):
        found = mistakes(tmp_path, "\n".join([*lines, f"{path}: *a11", ""]).encode())
        assert any(key.startswith(path) for key, _, _ in found)
        assert sum(map(len, (each for mistake in found for each in mistake))) < 20_000


def test_local_sources_that_cannot_be_copied(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    clone.mkdir()
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(clone)
    for path, said in {
        ".": "put into this local source itself",
        "..": "put into this local source itself",
        "../beside": "an empty folder",
        "/": "put into this local source itself",
        "absent": "does not exist",
        "~nobody-of-this-name/a": "does not exist",
        "a" * 300: "too long for a file",
        "a\0b": "control characters",
    }.items():
        found = mistakes(clone, changed(("downloads", "pairs"), {"source": "local", "path": path}))
        assert [key for key, reason, _ in found if said in reason and key.startswith("downloads.pairs")], (path, found)


@pytest.mark.parametrize("number", ["2e-5", "2E-05", "+2e-5", "0.2e-4"])
def test_a_number_with_an_exponent_needs_no_point(tmp_path, number):
    file = tmp_path / "study.yaml"
    file.write_bytes(changed((*SENTIMENT, "learning_rate"), "HERE").replace(b"HERE", number.encode()))
    assert studies.load(str(file)).tasks["sentiment"].settings.learning_rate == 2e-5


@pytest.mark.parametrize("path", ["a", "a/b.csv", "a*b/[ab]?.json", "a..b", "..a/b", "outer.tar.gz!inner/*", "."])
def test_paths_inside(path):
    assert inside(path) == path


@pytest.mark.parametrize(
    "path", ["", " ", "/", "/a", "~", "~a/b", "..", "a/..", "a/../b", "../a", "a\\b", "a\nb", "a\0b"]
)
def test_paths_that_lead_elsewhere(path):
    with pytest.raises(ValueError, match=r"; write it"):
        inside(path)
