"""What really runs while an artifact is made is in its key: every stage of a tiny study, watched by the interpreter."""

import importlib
import os
import sys
from pathlib import Path

import pytest
from tiny_study import study, write_data, write_study

from fairshrink import registry
from fairshrink.contracts import CONTROLS
from fairshrink.planning import grid, modules, reading, studies
from fairshrink.planning.artifact import Artifact
from fairshrink.planning.definitions import INERT, files
from fairshrink.planning.modules import PACKAGE
from fairshrink.planning.plan import Order
from fairshrink.study.jobs import CompressJob, EvaluateJob

FORMS = "models/stored_forms/"
"""Found by name when a checkpoint is loaded."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """For each artifact of the study the functions of the package, (file, name), that making it called."""
    folder = tmp_path_factory.mktemp("traced")
    write_data(folder / "local")
    write_study(folder, _content())
    before = Path.cwd()
    os.chdir(folder)
    try:
        made = grid.expand(studies.load("config.yaml"))
        for name in modules.all_modules():
            importlib.import_module(f"fairshrink.{name}".removesuffix("."))
        yield {path: (artifact, _calls(artifact)) for path, artifact in made.items()}
    finally:
        os.chdir(before)


def _content():
    """The tiny study with every control and a dose, whose table is generated."""
    made = study()
    made["controls"] += [
        {"method": "weight_noise", "level": 0.1, "tasks": ["sentiment"]},
        {"method": "random_heads", "sparsity": 0.5, "tasks": ["mlm"]},
        *({"method": each, "tasks": ["nli"]} for each in ("constant", "uniform", "other_seed", "shuffled_labels")),
        *({"method": each, "tasks": ["mlm"]} for each in ("noise_floor", "trained_further")),
    ]
    steps = [{"method": "random", "sparsity": 0.5}, {"method": "recovery", "counterfactual": True}]
    made["compressions"].append({"chain": [*steps, {"method": "int8_weight_only"}], "tasks": ["nli", "lm"]})
    made["downloads"]["said"] = {"source": "generated", "generator": "stereotyped_text", "size": 9}
    table = {"download": "said", "file": "stereotyped_text.parquet", "format": "parquet", "columns": {"text": "text"}}
    made["doses"] = [{"name": "said", "task": "mlm", "table": table, "amounts": [3]}]
    return made


def _calls(artifact: Artifact) -> set[tuple[str, str]]:
    stage = importlib.import_module(f"fairshrink.stages.{artifact.stage}")
    order, seen = Order(artifact.recipe, artifact.job), set()

    def watch(frame, event, argument):
        if event == "call":
            seen.add(frame.f_code)

    sys.setprofile(watch)
    try:
        stage.run([order])
    finally:
        sys.setprofile(None)
    inside = [code for code in seen if code.co_filename.startswith(f"{PACKAGE}{os.sep}")]
    named = {
        (Path(code.co_filename).relative_to(PACKAGE).as_posix(), code.co_qualname.split(".")[0]) for code in inside
    }
    return {(file, name) for file, name in named if not name.startswith("<")}


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _counted(artifact: Artifact) -> set[tuple[str, str]]:
    """Files and names of the functions in the artifact's own code."""
    where = files()
    return {
        (file.removeprefix(f"{PACKAGE.name}/"), name)
        for name, hashes in artifact.parts["code"].items()
        for each in hashes.split("+")
        for file in where.get((name, each), "").split(" or ")
    }


def test_every_function_that_runs_is_in_the_key_of_what_it_makes(ran):
    """In the artifact's own code; where a stored form was built, in that of the checkpoint that has it, an input."""
    called, forms = set(), 0
    family = registry.modules("compression").family
    controls = {name for name in registry.names("compression") if family(name) == CONTROLS}
    jobs = [artifact.job for artifact, _ in ran.values()]
    made = {each.control.method for each in jobs if isinstance(each, EvaluateJob) and each.control}
    assert made | {each.method for each in jobs if isinstance(each, CompressJob)} >= controls
    for path, (artifact, calls) in ran.items():
        needed = {each for each in calls if not reading.is_in(_module(each[0]), INERT)}
        counted = _counted(artifact)
        if artifact.stage == "evaluate" and any(file.startswith(FORMS) for file, _ in needed):
            forms += 1
            counted |= _counted(ran[artifact.inputs["checkpoint"]][0])
        called |= needed
        assert needed - counted == set(), path
    assert len(called) > 200
    assert forms
