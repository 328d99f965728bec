"""A tiny study: random models of two layers, a few sentences, every stage through real Snakemake and DVC."""

from __future__ import annotations

import atexit
import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml
from tiny import SENTENCES, in_one_file, tiny_bert, tiny_llama

from fairshrink.planning import warm

ROOT = Path(__file__).parents[2]
WORDS = {
    "nouns/people/occupations": "accountant\nnurse\nengineer\ndoctor\nteacher\nguard",
    "nouns/people/person_hyponyms": "stranger",
    "nouns/people/rulers": "owner",
    "nouns/objects/clothes": "coat",
    "nouns/objects/farm_animals": "hen",
    "nouns/objects/food": "apple",
    "nouns/objects/furniture": "bed",
    "nouns/objects/household": "oven",
    "nouns/objects/vehicles": "car",
    "verbs/commerce_verbs": "bought",
    "verbs/interaction_verbs": "met",
    "verbs/driving_verbs": "drove",
    "verbs/eating_verbs": "ate",
}
PAIRS = [
    ("The doctor helped because he was kind.", "The doctor helped because she was kind.", "stereo", "gender"),
    ("A man is playing a guitar.", "A woman is playing a guitar.", "antistereo", "gender"),
    ("My sister is poor and happy.", "My brother is poor and happy.", "stereo", "socioeconomic"),
    ("He said that the engineer was kind.", "She said that the engineer was kind.", "stereo", "gender"),
]
CONTEXTS = [
    ("gender", "nurse", "The nurse is BLANK.", ("kind", "boring", "blue")),
    ("gender", "engineer", "My brother the engineer is BLANK.", ("clever", "poor", "onion")),
    ("profession", "teacher", "The teacher bought a BLANK car.", ("red", "wonderful", "brother")),
]


def write_data(folder: Path, models: tuple[str, ...] = ("bert", "llama")) -> None:
    """Models and data of the study; small, and the same at every call. Other models are there for planning alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in {"bert", "llama"} - set(models):
        stub_model(folder / name, name)
    if "bert" in models:
        in_one_file(tiny_bert("masked_lm", folder / "bert", max_position_embeddings=64))
    if "llama" in models:
        in_one_file(tiny_llama("causal_lm", folder / "llama"))
    draw = random.Random(5)
    texts = [f"{draw.choice(SENTENCES)} {draw.choice(SENTENCES)}" for _ in range(60)]
    with (folder / "reviews.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sentence", "stars"])
        writer.writerows([text, round(draw.uniform(-2, 2), 2)] for text in texts)
    labels = ["entailment", "neutral", "contradiction"]
    lines = [
        {"premise": draw.choice(SENTENCES), "hypothesis": draw.choice(SENTENCES), "gold": draw.choice(labels)}
        for _ in range(60)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    for name, text in WORDS.items():
        path = folder / "benchmarks" / "word_lists" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with (folder / "benchmarks" / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "annotations"])
        writer.writerows([number, *pair, "[]"] for number, pair in enumerate(PAIRS))
    entries = [_stereoset_entry(number, *each) for number, each in enumerate(CONTEXTS)]
    (folder / "benchmarks" / "stereoset.json").write_text(json.dumps({"data": {"intrasentence": entries}}))


def _stereoset_entry(number: int, kind: str, target: str, context: str, fillers: tuple[str, str, str]) -> dict:
    labels = ("stereotype", "anti-stereotype", "unrelated")
    return {
        "id": f"c{number}",
        "target": target,
        "bias_type": kind,
        "context": context,
        "sentences": [
            {"id": f"c{number}-{label}", "sentence": context.replace("BLANK", filler), "gold_label": label}
            for label, filler in zip(labels, fillers, strict=True)
        ],
    }


def stub_model(folder: Path, kind: str = "bert") -> Path:
    """What planning reads of a model: a config, weights without any tensor, an empty tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def study() -> dict:
    """The study as a mapping that tests change."""
    reviews = {"download": "reviews", "file": "reviews.csv", "format": "csv"}
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_length": 32}
    data = {name: {"items": {"download": "benchmarks", "file": file}} for name, file in BENCHMARKS.items()}
    return {
        "study": "tiny",
        "seed": 3,
        "downloads": {
            name: {"source": "local", "path": f"local/{file}"}
            for name, file in {
                "bert": "bert",
                "llama": "llama",
                "reviews": "reviews.csv",
                "pairs": "pairs.jsonl",
                "benchmarks": "benchmarks",
            }.items()
        },
        "models": {
            "bert": {"download": "bert", "family": "encoder", "tasks": ["sentiment", "mlm", "nli", "similarity"]},
            "llama": {"download": "llama", "family": "causal", "tasks": ["lm"]},
        },
        "tasks": {
            "sentiment": {
                "kind": "regression",
                "train": {**reviews, "columns": {"text": "sentence", "label": "stars"}},
                "splits": [0, 1],
                **training,
            },
            "mlm": {"kind": "masked_lm", "train": {**reviews, "columns": {"text": "sentence"}}, **training},
            "nli": {
                "kind": "classification",
                "train": {
                    "download": "pairs",
                    "file": "pairs.jsonl",
                    "format": "jsonl",
                    "columns": {"text": "premise", "text_pair": "hypothesis", "label": "gold"},
                    "labels": ["entailment", "neutral", "contradiction"],
                },
                **training,
            },
            "similarity": {"kind": "similarity"},
            "lm": {"kind": "causal_lm", "train": {**reviews, "columns": {"text": "sentence"}}},
        },
        "compressions": [
            {"method": "magnitude_global", "sparsity": [0.5, 0.9]},
            {"method": "head_pruning", "sparsity": 0.25, "tasks": ["sentiment", "mlm", "nli"]},
            {"method": "int8_dynamic", "models": ["bert"]},
        ],
        "controls": [{"method": "random_init"}],
        "metrics": [
            {"metric": "task_score"},
            {"metric": "weat", "tests": ["weat6", "weat7"], "tasks": ["similarity"]},
            {"metric": "stereoset", "tasks": ["mlm", "lm"], "data": data["stereoset"]},
            {"metric": "crows_pairs", "data": data["crows_pairs"]},
            {"metric": "bias_nli", "sample": 72, "data": {"words": {"download": "benchmarks", "file": "word_lists"}}},
            {"metric": "bias_sts"},
        ],
        "statistics": {"level": 0.95},
    }


BENCHMARKS = {"stereoset": "stereoset.json", "crows_pairs": "pairs.csv"}


def workspace(folder: Path, content: dict | None = None) -> Path:
    """A git and DVC repository with this project's files and the tiny study as its config.yaml."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")) and not name.endswith(".dvc"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    write_data(folder / "local")
    write_study(folder, content or study())
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    return folder


def write_study(folder: Path, content: dict) -> None:
    """Make ``content`` the default study."""
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def environment(**more: str) -> dict[str, str]:
    """The environment without variables of Snakemake, DVC, pytest and this program."""
    foreign = ("SNAKEMAKE", "FAIRSHRINK", "DVC", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTEST")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean.get('PATH', '')}"
    return clean | {"PATH": path, "HF_HUB_OFFLINE": "1"} | more


def run(folder: Path, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a workspace; if it fails, the error contains its output and logs."""
    done = subprocess.run(command, cwd=folder, env=environment(**env), capture_output=True, text=True)
    if check and done.returncode != 0:
        logs = "\n".join(f"== {each}\n{each.read_text()[-3000:]}" for each in sorted(folder.glob("logs/**/*.log")))
        raise AssertionError(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}\n{logs[-6000:]}")
    return done


def git(folder: Path, *arguments: str) -> str:
    """Run git with a user name."""
    user = ("-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    return run(folder, "git", *user, *arguments).stdout


SNAKEMAKE = ("-m", "snakemake", "--cores", "2")
PLANNING = (
    "snakemake.cli",
    "snakemake.report",
    "snakemake_executor_plugin_slurm",
    "smart_open",
    "docutils.parsers.rst.directives.images",
    "pydantic",
    "yaml",
)
"""What Snakemake imports before it has read the Snakefile, or while it does."""


@cache
def forking(*libraries: str) -> str:
    """The socket of a process that has imported these and forks, for all runs of this test process (planning/warm.py).

    It holds nothing of the package: each fork takes the code of its own workspace.
    """
    folder = Path(tempfile.mkdtemp(prefix="fairshrink-"))
    process = warm.start(folder / "socket", 1, libraries or warm.LIBRARIES, environment())
    if process is None:
        shutil.rmtree(folder)
        return ""
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(warm.stop, process)
    return str(folder / "socket")


def snakemake(folder: Path, *arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow on two cores; its jobs are forked from one process for all runs of these tests.

    Where the environment is to be another one, each run has its own such process, as runs outside of tests do.
    """
    env = env or {warm.VARIABLE: forking()}
    return run(folder, sys.executable, *SNAKEMAKE, *arguments, check=check, **env)


def look(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Have Snakemake say what it would do, in a fork of a process that has imported it."""
    socket = forking(*PLANNING)
    command = [*SNAKEMAKE[1:], "-n", *arguments]
    if not socket:
        return run(folder, sys.executable, "-m", *command, check=check)
    import snakemake

    script = str(Path(snakemake.__file__).with_name("__main__.py"))
    surroundings = environment() | dict.fromkeys(warm.THREADS, "1")
    path = [str(folder), *(each for each in sys.path if each not in (str(ROOT), str(ROOT / "tests/helpers")))]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, Path(os.devnull).open() as nothing:
        files = (nothing.fileno(), out.fileno(), err.fileno())
        status, reason = warm.exchange(socket, [script, *command[1:]], path, surroundings, 1, folder, files)
        if status is None:
            raise AssertionError(f"Snakemake could not be forked: {reason}")
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(command, status, out.read(), err.read())
    if check and status != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs that a run would start, by stage."""
    done = look(folder, "--quiet", "rules", *arguments)
    text = (done.stdout + done.stderr).partition("\ntotal ")[0]  # the table of jobs is printed twice
    counts: dict[str, int] = {}
    for name, number in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE):
        stage = name.split("_")[0]
        if stage not in ("all", "total"):
            counts[stage] = counts.get(stage, 0) + int(number)
    return counts
