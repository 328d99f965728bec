"""Nothing that any study needs is removed, everything else is, and as many bytes are freed as reported."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from stub_artifacts import dvc, make
from tiny_study import ROOT, environment, git, run, study, workspace, write_study

from fairshrink.errors import UserError
from fairshrink.store import artifacts
from fairshrink.upkeep import gc, listings, locations, needed
from fairshrink.upkeep.verify import verify

METHOD = "fairshrink/compression/unstructured/random.py"
SHARED = b"the same in every artifact " * 400
JOBS = """
import json; from fairshrink.planning import grid; from fairshrink.planning import studies
from dataclasses import asdict
print(json.dumps([asdict(each.recipe) for each in grid.expand(studies.load({file!r})).values()]))
"""
DAY = 24 * 3600


def content(sparsity: float = 0.5) -> dict:
    """One baseline that is trained and one that is not; two compressions of each, one metric for each."""
    small = copy.deepcopy(study())
    small["models"].pop("llama")
    small["downloads"] = {name: small["downloads"][name] for name in ("bert", "reviews")}
    small["tasks"] = {name: small["tasks"][name] for name in ("sentiment", "similarity")}
    small["tasks"]["sentiment"]["splits"] = [0]
    small["models"]["bert"]["tasks"] = ["sentiment", "similarity"]
    small["compressions"] = [
        {"method": "magnitude_global", "sparsity": sparsity},
        {"method": "random", "sparsity": 0.5},
    ]
    small["controls"] = []
    small["metrics"] = [{"metric": "task_score"}, {"metric": "bias_sts"}]
    return small


def fill(root: Path, file: str = "config.yaml") -> set[str]:
    """Stand-ins for all artifacts of a study, at the paths that the code of this folder gives them."""
    listed = json.loads(run(root, sys.executable, "-c", JOBS.format(file=file)).stdout)
    for job in listed:
        make(root, job, {"shared.bin": SHARED, "sub/own.bin": job["path"].encode() * 300})
    return {job["path"] for job in listed}


def commit(root: Path, message: str = "more") -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)


def record(root: Path, paths: set[str]) -> None:
    dvc(root, "add", "-q", *sorted(paths))
    commit(root)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """main and another branch with another study and other code of one method, with all artifacts of both.

    The folder, the artifacts of main, those of the other branch.
    """
    root = workspace(tmp_path_factory.mktemp("gc") / "r", content())
    git(root, "rm", "-q", "-r", "configs")
    mine = fill(root)
    record(root, mine)
    git(root, "checkout", "-q", "-b", "other")
    write_study(root, content(sparsity=0.9))
    method = root / METHOD
    method.write_text(method.read_text().replace("def compress(", "def compress(_unused=0, *, x=1, "))
    others = fill(root)
    record(root, others)
    git(root, "checkout", "-q", "main")
    assert gc.find(root).items == []  # the listings of both commits are kept from now on
    assert (len(mine), len(others), len(mine & others)) == (15, 15, 6)
    return root, mine, others


@pytest.fixture
def copied(both, tmp_path, monkeypatch):
    """A copy with the same hardlinks; (root, artifacts of main, artifacts of the other branch)."""
    root = tmp_path / "r"
    subprocess.run(["cp", "-a", str(both[0]), str(root)], check=True)
    monkeypatch.chdir(root)
    return root, *both[1:]


@pytest.fixture
def alone(copied):
    """The copy after the other branch was deleted: the garbage of its own artifacts is left."""
    root, mine, others = copied
    git(root, "branch", "-q", "-D", "other")
    return root, mine, others - mine


@pytest.fixture
def set_needed(monkeypatch):
    """Sets what is needed without calling git, for tests of what happens then."""

    def set_them(paths: set[str], objects: set[str] = frozenset()) -> None:
        monkeypatch.setattr(needed, "needed", lambda root: needed.Needed(set(paths), set(objects), ["config.yaml"]))

    return set_them


def existing(root: Path) -> set[str]:
    return {path for path in locations.artifacts(root) if artifacts.exists(root / path)}


def unneeded(root: Path) -> set[str]:
    return {
        item.paths[0].relative_to(root).as_posix() for item in gc.find(root).items if item.group.startswith(("d", "r"))
    }


def cached(root: Path) -> set[str]:
    files = (path for path in (root / ".dvc/cache/files/md5").rglob("*") if path.is_file())
    return {path.parent.name + path.name for path in files}


def named_by_pointers(root: Path) -> set[str]:
    """Objects that the pointers of the working tree name, found independently: from DVC's own files."""
    found = set()
    for file in root.rglob("*.dvc"):
        if file.is_file():
            (out,) = yaml.safe_load(file.read_text())["outs"]
            listed = json.loads((root / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]).read_text())
            found |= {out["md5"], *(each["md5"] for each in listed)}
    return found


def allocated(root: Path) -> dict[tuple[int, int], int]:
    """Allocated bytes by inode, hardlinks once."""
    statuses = [path.lstat() for path in root.rglob("*")]
    return {(each.st_dev, each.st_ino): each.st_blocks * 512 for each in statuses}


def freed_since(before: dict, root: Path) -> int:
    after = allocated(root)
    return sum(size for inode, size in before.items() if inode not in after)


def test_both_branches_keep_their_artifacts_whichever_is_checked_out(copied):
    root, mine, others = copied
    assert existing(root) == mine | others
    assert gc.find(root).items == []
    git(root, "checkout", "-q", "other")
    assert gc.find(root).items == []


def test_artifacts_of_a_deleted_branch_are_removed_and_the_rest_can_be_checked_out(alone, capsys):
    root, mine, garbage = alone
    assert unneeded(root) == garbage
    before = allocated(root)
    wanted = named_by_pointers(root)
    assert wanted < cached(root)
    freed = gc.collect(root, yes=True)
    assert existing(root) == mine
    assert cached(root) == wanted
    assert freed == freed_since(before, root) > 0
    for path in mine:
        shutil.rmtree(root / path)
    dvc(root, "checkout", "-q")
    assert existing(root) == mine
    assert verify(root).is_clean
    assert git(root, "status", "--porcelain") == ""
    assert not [path for path in (root / "results/scores").iterdir() if path.is_dir() and not any(path.iterdir())]
    listing = capsys.readouterr().out
    assert all(path in listing for path in garbage)
    assert gc.find(root).items == []


@pytest.mark.parametrize(
    "reference", [("tag", "v1", "other"), ("update-ref", "refs/remotes/origin/other", "other"), ("stash",)]
)
def test_tags_remote_branches_and_stashes_keep_what_they_need(copied, reference):
    root, _, others = copied
    if reference == ("stash",):
        git(root, "checkout", "-q", "other")
        write_study(root, content(sparsity=0.7))
        others = fill(root)
        git(root, "stash", "-q")
        git(root, "checkout", "-q", "main")
    else:
        git(root, *reference)
    git(root, "branch", "-q", "-D", "other")
    assert not unneeded(root) & others


def test_uncommitted_study_keeps_its_artifacts_and_a_deleted_one_does_not(copied):
    root, mine, others = copied
    own = content(sparsity=0.7)
    for download in own["downloads"].values():
        download["path"] = f"../{download['path']}"
    (root / "mine").mkdir()
    (root / "mine/variant.yml").write_text(yaml.safe_dump(own))
    third = fill(root, "mine/variant.yml")
    assert len(third - mine - others) == 5
    assert gc.find(root).items == []
    (root / "mine/variant.yml").unlink()
    assert unneeded(root) == third - mine - others


FLAT = "5230c1b"
"""The last commit of this project whose modules were all in one folder."""
FLAT_JOBS = """
import json; from fairshrink import grid, study
print(json.dumps(list(grid.expand(study.load("config.yaml")))))
"""


def test_a_commit_from_before_modules_moved_into_folders_is_listed_by_its_own_code(tmp_path):
    packed = subprocess.run(["git", "archive", FLAT, "fairshrink"], cwd=ROOT, capture_output=True)
    if packed.returncode != 0:
        pytest.skip(f"{FLAT} is not in this clone's history")
    older = content()
    older.pop("controls")  # no key of studies then, nor was the level of intervals needed
    older.pop("statistics")
    root = workspace(tmp_path / "r", older)
    git(root, "rm", "-q", "-r", "configs")
    commit(root)
    git(root, "checkout", "-q", "-b", "flat")
    git(root, "rm", "-q", "-r", "fairshrink")
    shutil.rmtree(root / "fairshrink", ignore_errors=True)
    subprocess.run(["tar", "x", "-C", str(root)], input=packed.stdout, check=True)
    commit(root)
    flat = set(json.loads(run(root, sys.executable, "-c", FLAT_JOBS).stdout))
    git(root, "checkout", "-q", "main")
    mine = {job["path"] for job in json.loads(run(root, sys.executable, "-c", JOBS.format(file="config.yaml")).stdout)}
    found = needed.needed(root)
    assert found.by_pointers == {}
    assert {path.split("/")[1] for path in flat - mine} >= {"answers", "baselines", "compressed", "scores"}
    assert found.paths == flat | mine


def test_where_a_commits_code_cannot_list_its_studies_its_pointers_decide(copied):
    root, mine, others = copied
    git(root, "checkout", "-q", "other")
    (root / "fairshrink/planning/grid.py").write_text("raise RuntimeError('older code')\n")
    commit(root)
    extra = make(root, {"path": "data/x-0123456789ab", "key": "", "name": "", "stage": "", "parts": {}}, {"f": b"1"})
    git(root, "checkout", "-q", "main")
    found = needed.needed(root)
    assert mine | others <= found.paths
    assert list(found.by_pointers) == ["refs/heads/other"]
    assert "RuntimeError: older code" in found.by_pointers["refs/heads/other"]
    assert unneeded(root) == {extra}


@pytest.mark.parametrize("ignored", ["local/reviews.csv", "local/bert/config.json"])
def test_where_local_data_are_not_in_git_the_pointers_decide(copied, ignored):
    root, mine, others = copied
    git(root, "checkout", "-q", "other")
    (root / ".gitignore").write_text((root / ".gitignore").read_text() + f"/{ignored}\n")
    git(root, "rm", "-q", "--cached", ignored)
    commit(root)
    data = (root / ignored).read_bytes()
    git(root, "checkout", "-q", "main", "--force")
    assert (root / ignored).read_bytes() == data
    found = needed.needed(root)
    assert mine | others <= found.paths
    assert list(found.by_pointers) == ["refs/heads/other"]
    assert ignored.split("/")[1] in found.by_pointers["refs/heads/other"]


@pytest.mark.parametrize(
    "last", ["metrics:\n  - metric: task_scroe\n", "metrisc: []\n", "metrics: [\n", "metrics: 3\n"]
)
def test_study_with_mistakes_stops_everything(alone, last):
    root, mine, garbage = alone
    wrong = content()
    wrong.pop("metrics")
    (root / "wrong.yaml").write_text(yaml.safe_dump(wrong) + last)
    with pytest.raises(UserError, match="nothing was removed") as caught:
        gc.collect(root, yes=True)
    assert "wrong.yaml" in str(caught.value)
    assert existing(root) == mine | garbage


def test_other_yaml_files_stop_nothing(alone):
    root, _, garbage = alone
    (root / "compose.yml").write_text("services: [\n")
    (root / "stages.yaml").write_text("a: !custom 1\n---\nb: 2\n")
    (root / "hyper.yaml").write_text("models: 1\ntasks: 2\nmetrics: 3\n")
    assert unneeded(root) == garbage


def test_commits_with_equal_files_are_listed_once(copied, monkeypatch):
    root, *_ = copied
    git(root, "tag", "same")
    git(root, "branch", "more")
    git(root, "rm", "-q", "--cached", next(path for path in git(root, "ls-files").split() if path.endswith(".dvc")))
    git(root, "commit", "-q", "-m", "only a pointer differs")
    shutil.rmtree(root / listings.FOLDER)
    calls = []
    monkeypatch.setattr(needed, "_list", lambda folder, studies: calls.append(folder) or {})
    needed.needed(root)
    assert len(calls) == 3  # the working tree, main and its duplicates, the other branch


def test_what_commits_need_is_listed_once(copied, monkeypatch):
    root, mine, others = copied
    listed, calls = needed._list, []
    monkeypatch.setattr(needed, "_list", lambda folder, studies: calls.append(folder) or listed(folder, studies))
    assert needed.needed(root).paths == mine | others
    assert calls == [root]
    for each in (root / listings.FOLDER).iterdir():
        each.write_text('{"config.yaml": ["resul')
    assert needed.needed(root).paths == mine | others
    assert len(calls) == 4
    (root / METHOD).write_text((root / METHOD).read_text() + "\n\nUNUSED = 1\n")
    commit(root)
    assert needed.needed(root).paths == mine | others
    assert len(calls) == 6, "a commit with other files is listed anew"


def test_data_sets_are_mapped_from_files_that_go_with_their_artifact(copied, set_needed):
    root, mine, others = copied
    set_needed(mine | others)
    kept, gone = (root / "data/.datasets" / name for name in (sorted(mine)[0].split("/")[1], "old-0123456789ab"))
    for each in (kept, gone):
        (each / "parquet").mkdir(parents=True)
        (each / "parquet/train.arrow").write_bytes(b"rows" * 3000)
    before = allocated(root)
    (found,) = gc.find(root).items
    assert found.paths == (gone,)
    assert gc.collect(root, yes=True) == freed_since(before, root) > 12_000
    assert kept.is_dir() and not gone.exists()


def test_pointers_of_commits_keep_bytes_in_the_cache_until_they_are_gone(copied, capsys):
    root, mine, others = copied
    write_study(root, content(sparsity=0.7))
    later = fill(root)
    record(root, later)
    stale = mine - later - others
    assert unneeded(root) == stale
    objects = cached(root)
    gc.collect(root, yes=True)
    said = capsys.readouterr().out
    assert existing(root) == later | others
    assert cached(root) == objects, "the commit still has the pointers: its bytes stay"
    assert f"{len(stale)} pointers (.dvc) would be removed too" in said
    assert f"{len(stale)} artifacts of these stay in DVC's cache" in said
    assert sorted(git(root, "status", "--porcelain").split("\n")) == ["", *sorted(f" D {path}.dvc" for path in stale)]
    commit(root)
    git(root, "checkout", "-q", "other")
    git(root, "rm", "-q", *(f"{path}.dvc" for path in stale))
    git(root, "commit", "-q", "-m", "pointers of the older study")
    git(root, "checkout", "-q", "main")
    before = allocated(root)
    freed = gc.collect(root, yes=True)
    assert freed == freed_since(before, root) > 0
    assert cached(root) < objects
    git(root, "checkout", "-q", "other")
    for path in others:
        shutil.rmtree(root / path)
    dvc(root, "checkout", "-q")
    assert existing(root) >= others
    assert verify(root).is_clean


def test_pointer_of_a_missing_artifact_is_removed_too(copied, set_needed):
    root, mine, _ = copied
    path = sorted(mine)[0]
    shutil.rmtree(root / path)
    set_needed(mine - {path})
    assert f"{path}.dvc" in unneeded(root)
    gc.collect(root, yes=True)
    assert not (root / f"{path}.dvc").exists()


def answer(reply: str):
    def ask(question: str) -> str:
        assert "Remove" in question
        return reply

    return ask


def never(question: str) -> str:
    raise AssertionError("must not ask")


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ({"ask": never}, False),
        ({"ask": never, "dry_run": True, "yes": True}, False),
        ({"ask": never, "dry_run": True, "terminal": True}, False),
        ({"ask": answer(""), "terminal": True}, False),
        ({"ask": answer("no"), "terminal": True}, False),
        ({"ask": answer("y"), "terminal": True}, True),
        ({"ask": answer("Yes"), "terminal": True}, True),
        ({"ask": never, "yes": True}, True),
        ({"ask": never, "yes": True, "terminal": True}, True),
    ],
)
def test_it_asks_before_it_removes(copied, set_needed, options, removed, capsys):
    root, mine, others = copied
    set_needed(mine)
    before = cached(root)
    gc.collect(root, **options)
    assert existing(root) == (mine if removed else mine | others)
    assert (cached(root) < before) == removed
    said = capsys.readouterr().out
    assert sorted(others - mine)[0] in said
    assert ("Nothing was removed" in said) != removed
    if options.get("ask") is never and not options.get("yes"):
        assert ("--yes" in said) != bool(options.get("dry_run"))


class Killed(BaseException):
    """No code catches this."""


def killing_after(monkeypatch, steps: int) -> None:
    """Allow this many deletions of files, wherever they come from, then raise."""
    left = [steps]

    def counted(real):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*arguments, **options)

        return step

    monkeypatch.setattr(os, "unlink", counted(os.unlink))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 7, 20, 29, 31, 35, 44, 50, 53])
def test_interruption_leaves_no_valid_artifact(copied, set_needed, steps):
    root, mine, others = copied
    set_needed(mine)
    garbage = others - mine
    all_objects = cached(root)
    with pytest.MonkeyPatch.context() as patch:
        killing_after(patch, steps)
        with pytest.raises(Killed):
            gc.collect(root, yes=True)
    assert cached(root) != all_objects or any((root / path).exists() for path in garbage) or locations.half_built(root)
    for path in locations.artifacts(root):
        if (root / path / artifacts.MARKER).is_file() or path in garbage:
            names = {each.name for each in (root / path).rglob("*") if each.is_file()}
            assert names == {"shared.bin", "own.bin", artifacts.MARKER}, "half of it has its final name"
    assert mine <= existing(root)
    gc.collect(root, yes=True)
    assert existing(root) == mine
    assert cached(root) == named_by_pointers(root)
    for path in mine:
        shutil.rmtree(root / path)
    dvc(root, "checkout", "-q")
    assert verify(root).is_clean


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (moment, moment))


def test_leftovers_are_removed_when_unchanged_for_a_day(copied, set_needed):
    root, mine, others = copied
    set_needed(mine | others)
    folders = [
        "data",
        "data/.archives",
        "results/baselines",
        f"results/scores/{sorted(mine)[2].split('/')[-1]}",
    ]
    old, fresh, worked_on = [], [], []
    for folder in folders:
        for kind, seconds in ((old, 2 * DAY), (fresh, DAY / 2), (worked_on, 2 * DAY)):
            part = root / folder / f".x-0123456789ab.{len(old + fresh + worked_on):08x}.part"
            (part / "sub").mkdir(parents=True)
            (part / "sub/file").write_bytes(b"half")
            age(part, seconds)
            kind.append(part)
        os.utime(worked_on[-1] / "sub/file")
    before = allocated(root)
    assert {item.paths[0] for item in gc.find(root).items} == set(old)
    freed = gc.collect(root, yes=True)
    assert freed == freed_since(before, root) > 0
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in fresh + worked_on)


def test_training_state_of_a_needed_unfinished_baseline_is_kept(copied, set_needed):
    root, mine, others = copied
    set_needed(mine)
    waiting, finished = sorted(path for path in mine if path.startswith("results/baselines"))
    (gone,) = [path for path in others if path.startswith("results/baselines") and path not in mine] or [
        "results/baselines/x-0123456789ab"
    ]
    shutil.rmtree(root / waiting)
    states = {}
    for path in (waiting, finished, gone):
        folder, name = path.rsplit("/", 1)
        states[path] = root / folder / f".{name}.training"
        states[path].mkdir()
        (states[path] / "state.pt").write_bytes(b"x")
        age(states[path], 3 * DAY)
    young = root / "results/baselines/.y-0123456789ab.training"
    young.mkdir()
    gc.collect(root, yes=True)
    assert {path for path, state in states.items() if state.exists()} == {waiting}
    assert young.exists()


def test_quarantined_artifacts_are_removed(copied, set_needed):
    root, mine, others = copied
    set_needed(mine | others)
    (root / sorted(mine)[0] / "shared.bin").unlink()
    assert not verify(root).is_clean
    assert (root / "results/quarantine").is_dir()
    gc.collect(root, yes=True)
    assert not (root / "results/quarantine").exists()
    assert (root / "results/baselines").is_dir()


def test_other_data_in_dvc_are_kept_even_without_pointers(copied, set_needed):
    root, mine, _ = copied
    set_needed(mine)
    (root / "own").mkdir()
    (root / "own/table.csv").write_text("1,2\n")
    (root / "own/shared.bin").write_bytes(SHARED + b"!")
    dvc(root, "add", "-q", "own")
    stays = cached(root) & named_by_pointers(root)
    (root / "own.dvc").unlink()
    shutil.rmtree(root / "own")
    assert len(stays - named_by_pointers(root)) == 3
    gc.collect(root, yes=True)
    assert cached(root) == stays


def test_needed_artifact_without_pointer_keeps_its_objects(copied, set_needed):
    root, mine, others = copied
    lost = sorted(mine - others)[0]
    set_needed(mine)
    objects = named_by_pointers(root)
    (root / f"{lost}.dvc").unlink()
    gc.collect(root, yes=True)
    assert cached(root) == objects


def test_cache_outside_the_repository_is_not_touched(copied, set_needed, tmp_path, capsys):
    root, mine, _ = copied
    shutil.move(root / ".dvc/cache", tmp_path / "elsewhere")
    dvc(root, "cache", "dir", str(tmp_path / "elsewhere"))
    before = {path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()}
    set_needed(mine)
    gc.collect(root, yes=True)
    assert existing(root) == mine
    assert {path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()} == before
    assert "may serve other repositories" in capsys.readouterr().out


def test_hardlinked_file_counts_once_and_only_with_its_last_link(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/one").write_bytes(b"x" * 10_000)
    (tmp_path / "b/one").hardlink_to(tmp_path / "a/one")
    (tmp_path / "a/kept").write_bytes(b"y" * 50_000)
    (tmp_path / "c/kept").hardlink_to(tmp_path / "a/kept")
    items = [gc.Item("x", (tmp_path / "a",)), gc.Item("y", (tmp_path / "b",))]
    folder = (tmp_path / "a").stat().st_blocks * 512
    one = (tmp_path / "a/one").stat().st_blocks * 512
    assert gc.freed(items) == {items[0]: folder + one, items[1]: folder}
    assert gc.freed(items[:1]) == {items[0]: folder}


def test_it_refuses_to_start_while_a_run_is_active(copied, set_needed, capsys):
    root, mine, others = copied
    set_needed(mine)
    program = (
        "import sys; from fairshrink.store import run_lock; run_lock.acquire(); print(1, flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        with pytest.raises(UserError, match="another run is active"):
            gc.collect(root, yes=True)
        assert existing(root) == mine | others
        gc.collect(root, dry_run=True)
    finally:
        other.communicate()
    gc.collect(root, yes=True)
    assert existing(root) == mine


def test_outside_of_git_it_fails_with_a_message(tmp_path):
    with pytest.raises(UserError, match="git"):
        gc.collect(tmp_path, yes=True)


def test_the_command(alone):
    root, mine, garbage = alone

    def command(*arguments: str):
        return subprocess.run(
            [sys.executable, "-m", "fairshrink", "gc", *arguments],
            cwd=root, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    assert "--dry-run" in command("--help").stdout
    done = command()
    assert done.returncode == 0, done.stderr
    assert "add --yes to remove" in done.stdout
    assert existing(root) == mine | garbage
    done = command("--yes")
    assert done.returncode == 0, done.stderr
    assert "Removed; " in done.stdout
    assert existing(root) == mine
    assert "nothing that no study needs" in command("--yes").stdout
