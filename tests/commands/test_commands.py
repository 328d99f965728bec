"""The command `fairshrink`: each subcommand has help, works, and turns a user error into one message."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import ROOT, environment, git, study, write_data, write_study

import fairshrink
from fairshrink import registry
from fairshrink.commands import list as listing
from fairshrink.commands import main as commands
from fairshrink.documenting import pages
from fairshrink.planning import grid, plan, plan_files, studies
from fairshrink.store import artifacts

NAMES = [
    "docs",
    "explain",
    "export",
    "export-items",
    "gc",
    "judge",
    "list",
    "manifest",
    "partial",
    "plan",
    "report",
    "run",
    "score",
    "share",
    "verify",
]
JOB_SCRIPTS = ["restore", "download", "finetune", "compress", "evaluate", "aggregate"]
SCRIPTS = [*JOB_SCRIPTS, "docs", "explain", "gc", "manifest", "share", "verify"]


def small() -> dict:
    """One model, unchanged for one task; one compression, one metric: 1 download, 2 checkpoints, 2 score tables."""
    content = study()
    content["downloads"] = {"bert": content["downloads"]["bert"]}
    content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["similarity"]}}
    content["tasks"] = {"similarity": {"kind": "similarity"}}
    content["compressions"] = [{"method": "random", "sparsity": 0.5}]
    content["controls"] = []
    content["metrics"] = [{"metric": "bias_sts"}]
    return content


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    write_data(folder / "local", ("bert",))
    return folder


@pytest.fixture
def folder(data, tmp_path, monkeypatch):
    """The current folder of a command: a repository with a small study and nothing made yet."""
    (tmp_path / "local").symlink_to(data / "local")
    write_study(tmp_path, small())
    (tmp_path / ".gitignore").write_text("/data/\n/results/\n/.snakemake/\n")
    git(tmp_path, "init", "-q", "-b", "main")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run the command in this process: its status, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            commands.main(arguments)
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


def process(folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment(**env), capture_output=True, text=True
    )


def test_help_lists_every_subcommand_with_its_first_line(call):
    status, said, _ = call("--help")
    assert status == 0
    assert list(commands.subcommands()) == NAMES
    for name, module in commands.subcommands().items():
        first = module.__doc__.splitlines()[0].split()[:4]
        assert f"{name} {' '.join(first)}" in " ".join(said.split())


@pytest.mark.parametrize("name", NAMES)
def test_each_subcommand_helps_and_describes_each_option(name, call):
    status, said, _ = call(name, "--help")
    assert status == 0
    assert f"usage: fairshrink {name}" in said
    assert commands.subcommands()[name].__doc__.splitlines()[0] in said
    own = commands.parser()._subparsers._group_actions[0].choices[name]
    assert all(action.help for action in own._actions)


def loaded(folder: Path, *arguments: object) -> set[str]:
    """The modules that a process has imported by the time its command ends, which must go well."""
    program = (
        "import sys\nfrom fairshrink.commands import main\n"
        "try:\n    main.main(sys.argv[1:])\n"
        "except SystemExit as ended:\n    print('LOADED', ended.code or 0, *sorted(sys.modules))"
    )
    done = process(folder, "-c", program, *map(str, arguments), PYTHONPATH=str(ROOT))
    said, _, rest = done.stdout.partition("LOADED ")
    status, *found = rest.split()
    assert status == "0", said + done.stderr
    return set(found)


def test_help_imports_nothing_that_takes_time():
    found = loaded(ROOT, "--help")
    assert "fairshrink.commands.plan" in found
    slow = {"torch", "transformers", "numpy", "pandas", "pydantic", "yaml", "dvc", "snakemake", "fairshrink.registry"}
    assert slow & found == set()


LARGE = {"torch", "transformers", "datasets", "sklearn", "matplotlib", "scipy.stats", "dvc", "snakemake"}
"""What takes from 0.3 to 3 s to import."""


@pytest.mark.parametrize("arguments", [["list"], ["plan"]])
def test_lists_and_plans_import_no_tables_of_numbers(folder, arguments):
    assert (LARGE | {"pandas", "pyarrow", "scipy"}) & loaded(folder, *arguments) == set()


def test_statistics_of_a_log_and_verdicts_on_logs_need_no_model(tmp_path):
    rows = "\n".join(f"{item},gender,{item % 7},{item % 5}" for item in range(40))
    for name in ("one", "other"):
        (tmp_path / f"{name}.csv").write_text(f"item,group,first,second\n{rows}\n")
    logs, metric = [tmp_path / "one.csv", tmp_path / "other.csv"], ["--metric", "paired_share"]
    assert LARGE & loaded(tmp_path, "score", logs[0], *metric) == set()
    assert (LARGE - {"scipy.stats"}) & loaded(tmp_path, "judge", *logs, *metric, "--margin", "20") == set()


ENDING = """
import atexit, sys, threading, time
from fairshrink.commands import main

class Last:
    def __del__(self):
        print("taken apart")

last = Last()
atexit.register(print, "at exit")
if "thread" in sys.argv:
    threading.Thread(target=lambda: (time.sleep(0.2), print("waited for"))).start()
def given(arguments):
    sys.stdout.write("said, ")
    sys.exit(%s)
main.main = given
main.process([])
"""


@pytest.mark.parametrize("status", [0, 7, 143])
def test_a_process_ends_by_its_status_and_takes_nothing_apart(status):
    done = process(ROOT, "-c", ENDING % status)
    assert (done.returncode, done.stdout, done.stderr) == (status, "said, at exit\n", "")


def test_a_process_with_more_to_do_ends_as_python_ends_it():
    done = process(ROOT, "-c", ENDING % 7, "thread")
    assert (done.returncode, done.stdout) == (7, "said, waited for\nat exit\ntaken apart\n")
    done = process(ROOT, "-c", ENDING % "'a message'")
    assert (done.returncode, done.stderr) == (1, "a message\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--study", "nowhere.yaml"], "error: nowhere.yaml: 1 mistake"),
        (["plan", "--restore", "sometimes"], "there is no such policy"),
        (["explain", "--study", "nowhere.yaml"], "error: nowhere.yaml: 1 mistake"),
        (["explain", "--offline", "--cell", "model=bert"], "error: results/tiny/tables/results.parquet"),
        (["share", "--study", "nowhere.yaml"], "error: nowhere.yaml: 1 mistake"),
        (["report", "--study", "nowhere.yaml"], "error: nowhere.yaml: 1 mistake"),
        (["report"], "error: study tiny has no results here yet"),
        (["manifest", "prune"], "there is no stage 'prune'; write one of download, finetune"),
        (["manifest", "download", "--study", "nowhere.yaml"], "error: nowhere.yaml: 1 mistake"),
        (["verify", "nowhere"], "error: nowhere:"),
        (["docs", "--folder", "nowhere"], "error: nowhere: there is no such folder"),
        (["run", "download", "--plan", "nowhere.json", "--job", "x"], "error: nowhere.json: there is no such plan"),
    ],
)
def test_a_user_error_is_one_message(folder, call, arguments, message):
    status, _, said = call(*arguments)
    assert status == 1
    assert message in said
    assert "Traceback" not in said


def test_gc_outside_of_a_repository_is_a_mistake(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    status, _, said = call("gc", "--dry-run")
    assert status == 1
    assert said.startswith("error: ")
    assert "git" in said


@pytest.mark.parametrize("arguments", [[], ["plam"], ["list", "models"], ["run", "prune", "--plan", "x", "--job", "y"]])
def test_wrong_options_end_with_the_usage(call, arguments):
    status, _, said = call(*arguments)
    assert status == 2
    assert said.startswith("usage: fairshrink")


def test_plan_counts_what_is_missing(folder, call):
    status, said, _ = call("plan", "--json")
    one = {"jobs": 1, "artifacts": 1}
    expected = {"download": one, "finetune": one, "compress": one, "evaluate": {"jobs": 1, "artifacts": 2}}
    assert (status, json.loads(said)) == (0, expected | {"aggregate": one})
    status, said, _ = call("plan", "--jobs")
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("  evaluate")] == [["evaluate", "1", "2"]]
    assert "bert-similarity: 2 artifacts" in said
    publish(folder)
    status, said, _ = call("plan")
    assert said.startswith("study tiny: nothing to do; its results are in results/published/tiny-")
    assert call("plan", "--json")[1] == "{}\n"


def publish(folder: Path) -> dict:
    """Results of the study as if a run had made them; their headline numbers."""
    numbers = {"similarity": {"bert": {"bias_sts": {"baseline": 0.125, "less_biased": 1, "only_more_random": 2}}}}
    numbers["similarity"]["bert"]["bias_sts"] |= {"largest_change": -0.0625, "largest_change_by": "random_init"}
    numbers["similarity"]["bert"]["bias_sts"] |= {"direction": "farther from 0 is more biased"}
    tables = grid.expand(studies.load("config.yaml")).tables

    def fill(place: Path) -> dict:
        (place / "tables").mkdir()
        (place / "tables/headline.json").write_text(json.dumps(numbers))
        (place / "tables/overview_similarity.md").write_text("| method |\n")
        return {}

    artifacts.make(tables.recipe, fill)
    return numbers


def test_report_shows_the_results_and_their_numbers(folder, call):
    numbers = publish(folder)
    status, said, _ = call("report")
    assert status == 0
    assert (folder / "results/tables/overview_similarity.md").read_text() == "| method |\n"
    assert "  results/tables/overview_similarity.md\n" in said
    verdicts = "1 less biased, 2 only more random; farther from 0 is more biased"
    assert f"  bias_sts                       0.125  -0.0625 (random_init); {verdicts}\n" in said
    assert json.loads(call("report", "--json")[1]) == numbers


def test_exit_status_of_the_report_tells_verdicts_apart(folder, call):
    publish(folder)
    assert call("report", "--exit-code")[0] == 10
    for verdict, status in (
        ("changed_damage_not_controlled", 11),
        ("changed_as_undirected_damage_does", 11),
        ("cannot_resolve", 12),
        ("not_measurable", 13),
        ("unchanged", 0),
    ):
        (headline,) = folder.glob("results/published/*/tables/headline.json")
        counted = {"baseline": 0.1, "only_more_random": 3, "more_biased": 0, verdict: 1, "not_measurable": 1}
        changed = {"similarity": {"bert": {"bias_sts": counted}}}
        if status == 0:
            counted.pop("not_measurable")
        headline.write_text(json.dumps(changed))
        (folder / "results/tables/provenance.json").unlink(missing_ok=True)
        assert call("report", "--exit-code")[0] == status, verdict


def test_explain_names_what_would_be_computed(folder, call):
    status, said, _ = call("explain", "--offline")
    assert status == 0
    assert "To compute:" in said
    assert "bert-similarity-random" in said


def test_manifest_lists_the_artifacts_of_a_stage(folder, call):
    assert call("manifest", "evaluate")[0] == 0
    found = json.loads((folder / "results/manifests/evaluate.json").read_text())
    wanted = [each for each in grid.expand(studies.load("config.yaml")).values() if each.stage == "evaluate"]
    assert found == {each.path: each.key for each in wanted}
    assert len(found) == 2


def test_docs_are_written_and_checked(tmp_path, call):
    assert call("docs", "--folder", str(tmp_path))[0] == 0
    for name, text in pages.generated(tmp_path).items():
        assert (tmp_path / name).read_text() == text
    assert call("docs", "--folder", str(tmp_path), "--check")[0] == 0
    (tmp_path / "study.md").write_text("old\n")
    status, _, said = call("docs", "--folder", str(tmp_path), "--check")
    assert (status, said) == (1, f"error: out of date: {tmp_path}/study.md; run `make docs`\n")
    assert (tmp_path / "study.md").read_text() == "old\n"


def test_run_does_a_job_and_verify_finds_it_intact(folder, call):
    made = plan.make(grid.expand(studies.load("config.yaml")), "tiny")
    file = plan_files.write(made)
    (job,) = made.of("download")
    done = process(
        folder, "-m", "fairshrink", "run", "download", "--plan", str(file), "--job", job.name, PYTHONPATH=str(ROOT)
    )
    assert done.returncode == 0, done.stderr
    assert artifacts.exists(Path(job.artifacts[0].recipe.path))
    assert json.loads(call("plan", "--json")[1]).keys() == {"finetune", "compress", "evaluate", "aggregate"}
    status, said, _ = call("verify", "--check")
    assert (status, "1 artifact" in said) == (0, True)
    wrong = process(
        folder, "-m", "fairshrink", "run", "compress", "--plan", str(file), "--job", job.name, PYTHONPATH=str(ROOT)
    )
    assert wrong.returncode == 1
    assert f"no job '{job.name}' of stage compress" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_list_is_the_registry(call):
    status, said, _ = call("list", "--json")
    found = json.loads(said)
    assert status == 0
    for kind, place in listing.KINDS.items():
        assert {each["name"] for each in found if each["kind"] == kind} == set(registry.names(place))
    assert set(listing.KINDS.values()) == set(registry.KINDS)
    by_name = {each["name"]: each for each in found}
    assert by_name["crows_pairs"]["needs"] == "causal_lm or masked_lm; data: items"
    assert by_name["crows_pairs"]["about"].startswith("CrowS-Pairs: is the more stereotyping")
    assert by_name["head_pruning"]["family"] == "structured"
    assert by_name["head_pruning"]["needs"] == "examples of the task"
    assert by_name["random_init"]["needs"] == ""


def test_list_of_one_kind_has_a_line_for_each(call):
    _, said, _ = call("list", "metrics")
    assert said.startswith("metrics:\n")
    assert sorted(line.split()[0] for line in said.splitlines()[1:]) == sorted(registry.names("metrics"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fairshrink", "list"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("error: No space left on device") and "Free some space" in line


def test_a_reader_that_stops_early_is_no_error():
    command = f"{sys.executable} -m fairshrink list | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("methods:\n", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_entries_to_the_command(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    monkeypatch.setattr(commands, "process", commands.main)  # which would end this process
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / f"scripts/{name}.py"), run_name="__main__")
    assert not ended.value.code
    assert capsys.readouterr().out.startswith(f"usage: fairshrink {'run' if name in JOB_SCRIPTS else name} ")


def test_there_is_no_script_without_a_test():
    assert sorted(path.stem for path in (ROOT / "scripts").glob("*.py")) == sorted(SCRIPTS)


EDITS_COPIES = "mutations.py"
"""It imports edited copies of the package, which can be nowhere that Python looks by itself."""


def test_nothing_changes_where_python_looks_for_modules():
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    files += [*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    assert [path.name for path in files if "sys.path" in path.read_text()] == [EDITS_COPIES]


def test_a_clone_is_never_processed_with_the_code_of_another(tmp_path):
    package = tmp_path / "fairshrink"
    package.mkdir()
    (package / "__init__.py").write_text("")
    program = "from fairshrink.commands.main import main; main(['list', 'tasks'])"
    (tmp_path / "elsewhere").mkdir()
    start = tmp_path / "elsewhere/start.py"
    start.write_text(program)
    done = process(tmp_path, str(start), PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert "python -m fairshrink" in done.stderr
    assert str(ROOT) in done.stderr
    assert process(tmp_path / "elsewhere", str(start), PYTHONPATH=str(ROOT)).returncode == 0


def test_the_documentation_has_each_subcommand_and_each_function():
    page = (ROOT / "docs/commands.md").read_text()
    assert sorted(re.findall(r"^\| `fairshrink ([\w-]+)` \|", page, re.MULTILINE)) == NAMES
    assert set(re.findall(r"fairshrink\.(\w+)\(", page)) == set(fairshrink.__all__)
