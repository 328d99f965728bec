"""Damage is found wherever it is, nothing else is touched, and the right bytes can be restored afterwards."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stub_artifacts import dvc, flip, job, make, overwrite, repository
from tiny_study import ROOT, environment

from fairshrink.errors import UserError
from fairshrink.remote.cache_objects import directory_object
from fairshrink.store import artifacts, run_lock
from fairshrink.upkeep import checksums, locations
from fairshrink.upkeep.formatting import size_text
from fairshrink.upkeep.verify import text, verify

MODEL = {"model.safetensors": b"weights" * 1000, "sub/vocab.txt": b"a\nb\r\n", "empty.txt": b""}
BASELINE = job("finetune", "bert-sentiment-s0", seed=1)
OTHER = job("finetune", "bert-sentiment-s1", seed=2)
DATA = job("download", "reviews", pin="x")
SCORE = job("evaluate", "weat", folder=f"results/scores/{BASELINE['path'].rsplit('/', 1)[1]}", metric="weat")
PUBLISHED = job("aggregate", "tiny", level=0.95)
PATHS = sorted(each["path"] for each in (BASELINE, OTHER, DATA, SCORE, PUBLISHED))
DAMAGED = BASELINE["path"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    root = repository(tmp_path_factory.mktemp("pristine") / "r")
    make(root, BASELINE, MODEL)
    make(root, OTHER, MODEL | {"sub/vocab.txt": b"c"})
    make(root, DATA, {"reviews.csv": b"text,label\n"})
    make(root, SCORE, {"items.parquet": b"PAR1" * 50})
    make(root, PUBLISHED, {"tables/results.parquet": b"PAR1"})
    dvc(root, "add", "-q", *PATHS)
    return root


@pytest.fixture
def root(pristine, tmp_path):
    """A copy with the same hardlinks between artifacts and cache."""
    folder = tmp_path / "r"
    subprocess.run(["cp", "-a", str(pristine), str(folder)], check=True)
    assert (folder / BASELINE["path"] / "model.safetensors").stat().st_nlink > 1
    return folder


def states(report) -> dict[str, str]:
    return {each.path: each.state for each in report.findings if each.state != "intact"}


def details(report) -> str:
    return "\n".join(line for each in report.faulty for line in each.details)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def cached(root: Path, content: bytes) -> Path:
    name = hashlib.md5(content).hexdigest()
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]


def assert_objects_match_names(root: Path) -> None:
    """The bytes of every object of the cache match its name."""
    for path in (root / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file():
            assert path.parent.name + path.name.removesuffix(".dir") == hashlib.md5(path.read_bytes()).hexdigest()


def test_new_artifacts_are_intact(root):
    before = snapshot(root)
    report = verify(root)
    assert [each.path for each in report.findings] == PATHS
    assert report.is_clean
    assert all(each.recorded for each in report.findings)
    assert sum(each.size for each in report.findings) == sum(
        path.stat().st_size for each in PATHS for path in (root / each).rglob("*") if path.is_file()
    )
    assert "5 intact, 0 damaged, 0 mismatched" in text(report)
    after = snapshot(root)
    assert {name: after[name] for name in before} == before
    assert not (root / "results/quarantine").exists()


def test_directory_hash_equals_that_of_dvc_add(root):
    for path in PATHS:
        sums = checksums.Checksums().read(file for file in (root / path).rglob("*") if file.is_file())
        files = {file.relative_to(root / path).as_posix(): each.md5 for file, each in sums.items()}
        (out,) = yaml.safe_load((root / f"{path}.dvc").read_text())["outs"]
        assert directory_object(files) == out["md5"]


def test_flipped_byte_is_removed_from_artifacts_and_cache(root):
    file = root / DAMAGED / "model.safetensors"
    both = [file, cached(root, MODEL["model.safetensors"])]
    assert both[0].samefile(both[1])
    linked = root / OTHER["path"] / "model.safetensors"
    linked.unlink()
    linked.hardlink_to(file)
    flip(file)
    content = snapshot(root)
    report = verify(root, check=True)
    assert snapshot(root) == content, "--check must change nothing"
    assert states(report) == {BASELINE["path"]: "damaged", OTHER["path"]: "damaged"}
    assert details(report).count("model.safetensors: not the recorded bytes") == 2
    assert "sub/vocab.txt" not in details(report)
    assert not report.is_clean

    report = verify(root)
    assert states(report) == {BASELINE["path"]: "damaged", OTHER["path"]: "damaged"}
    assert not both[1].exists()
    assert list(report.objects) == [hashlib.md5(MODEL["model.safetensors"]).hexdigest()]
    assert cached(root, MODEL["sub/vocab.txt"]).is_file()
    for path in (BASELINE["path"], OTHER["path"]):
        assert not (root / path).exists()
        assert (root / f"{path}.dvc").is_file()
        quarantined = root / "results/quarantine/results_baselines" / f"{path.rsplit('/', 1)[1]}-1"
        assert (quarantined / "model.safetensors").read_bytes() != MODEL["model.safetensors"]
    assert_objects_match_names(root)
    assert verify(root).is_clean


def test_dvc_restores_the_right_bytes_afterwards(pristine, root):
    flip(root / DAMAGED / "model.safetensors")
    dvc(root, "remote", "add", "-q", "-d", "storage", str(pristine / ".dvc/cache"))
    verify(root)
    dvc(root, "pull", "-q", DAMAGED + ".dvc")
    assert (root / DAMAGED / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    assert verify(root).is_clean


def test_damaged_object_is_found_through_its_hardlink_without_pointer_or_list(root):
    flip(root / DAMAGED / "sub/vocab.txt")
    for path in (root / ".dvc/cache/files/md5").rglob("*.dir"):
        path.unlink()
    (root / f"{DAMAGED}.dvc").unlink()
    assert states(verify(root)) == {DAMAGED: "damaged"}
    assert not cached(root, MODEL["sub/vocab.txt"]).exists()
    assert cached(root, MODEL["model.safetensors"]).exists()


def test_damaged_object_is_found_where_the_pointer_lists_others(root):
    shutil.rmtree(root / BASELINE["path"])
    (root / OTHER["path"]).rename(root / BASELINE["path"])
    (root / f"{OTHER['path']}.dvc").unlink()
    flip(root / BASELINE["path"] / "sub/vocab.txt")
    assert states(verify(root)) == {BASELINE["path"]: "damaged"}
    assert not cached(root, b"c").exists()
    assert_objects_match_names(root)


def test_missing_file(root):
    (root / DAMAGED / "sub/vocab.txt").unlink()
    report = verify(root)
    assert states(report) == {DAMAGED: "damaged"}
    assert details(report) == "sub/vocab.txt: missing"
    assert f"4 intact, 1 damaged ({size_text(report.faulty[0].size)}), 0 mismatched;" in text(report)
    assert report.faulty[0].size > len(MODEL["model.safetensors"])
    assert report.objects == {}
    dvc(root, "checkout", "-q", DAMAGED + ".dvc")
    assert verify(root).is_clean


def test_extra_file(root):
    (root / DAMAGED / "sub/more.txt").write_text("x")
    report = verify(root)
    assert states(report) == {DAMAGED: "damaged"}
    assert details(report) == "sub/more.txt: not in the record"


def test_snakemake_timestamps_are_ignored(root):
    (root / DAMAGED / ".snakemake_timestamp").touch()
    assert verify(root).is_clean


def test_swapped_folders_are_mismatched(root):
    one, other = root / BASELINE["path"], root / OTHER["path"]
    one.rename(root / "x")
    other.rename(one)
    (root / "x").rename(other)
    report = verify(root)
    assert states(report) == {BASELINE["path"]: "mismatched", OTHER["path"]: "mismatched"}
    assert f"the record of {OTHER['name']}-{OTHER['key']}" in details(report)
    dvc(root, "checkout", "-q", f"{BASELINE['path']}.dvc", f"{OTHER['path']}.dvc")
    assert verify(root).is_clean


def test_artifact_in_the_folder_of_another_stage_is_mismatched(root):
    moved = "results/compressed/" + OTHER["path"].rsplit("/", 1)[1]
    (root / moved).parent.mkdir(exist_ok=True)
    shutil.move(root / OTHER["path"], root / moved)
    report = verify(root)
    assert states(report) == {moved: "mismatched"}
    assert "the record of stage finetune, in the folder of stage compress" in details(report)


def rewrite(root: Path, path: str, change) -> None:
    """Replace an artifact's record as an editor does: the link to the cache breaks."""
    file = root / path / artifacts.MARKER
    content = json.loads(file.read_text())
    change(content)
    file.unlink()
    artifacts.write_json(file, content)


def test_edited_but_consistent_record_differs_from_its_pointer(root):
    rewrite(root, DAMAGED, lambda record: record["made"].update(host="elsewhere"))
    report = verify(root)
    assert states(report) == {DAMAGED: "mismatched"}
    assert "provenance.json: not the bytes that the pointer names" in details(report)
    assert "model.safetensors" not in details(report)
    assert report.objects == {}
    dvc(root, "checkout", "-q", DAMAGED + ".dvc")
    assert verify(root).is_clean


def test_record_edited_in_place_is_removed_from_the_cache_too(root):
    file = root / DAMAGED / artifacts.MARKER
    object_file = cached(root, file.read_bytes())
    overwrite(file, file.read_bytes().replace(b'"wall_s"', b'"wall_t"'))
    report = verify(root)
    assert states(report) == {DAMAGED: "mismatched"}
    assert len(report.objects) == 1
    assert not object_file.exists()


def test_artifact_with_other_bytes_and_a_matching_record_differs_from_its_pointer(root):
    make(root, BASELINE | {"path": "results/baselines/x"}, MODEL | {"model.safetensors": b"other weights"})
    shutil.rmtree(root / DAMAGED)
    (root / "results/baselines/x").rename(root / DAMAGED)
    report = verify(root)
    assert states(report) == {DAMAGED: "mismatched"}
    assert "model.safetensors: not the bytes that the pointer names" in details(report)
    (root / f"{DAMAGED}.dvc").unlink()
    shutil.move(next((root / "results/quarantine/results_baselines").iterdir()), root / DAMAGED)
    report = verify(root)
    assert report.is_clean, "without a pointer there is nothing to compare with"
    assert "1 of the intact ones without a pointer" in text(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["parts"]["params"].update(seed=9), "its key is"),
        (lambda record: record.update(key="0" * 12), "its key is 000000000000"),
        (lambda record: record.pop("files"), "files: field required"),
        (lambda record: record["parts"].pop("inputs"), "parts.inputs: field required"),
        (lambda record: record.update(stage="compress"), "its stage is compress"),
        (lambda record: record.update(files=["model.safetensors"]), "files: input should be"),
    ],
)
def test_inconsistent_record(root, change, message):
    rewrite(root, DAMAGED, change)
    report = verify(root)
    assert states(report) == {DAMAGED: "damaged"}
    assert message in details(report)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": "\xff"}', None])
def test_truncated_or_missing_record(root, content):
    file = root / DAMAGED / artifacts.MARKER
    text_before = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content or text_before[:100])
    report = verify(root)
    assert states(report) == {DAMAGED: "damaged"}
    assert details(report).startswith("provenance.json: ")
    assert set(states(verify(root))) == set()


def test_damaged_cache_object_of_an_intact_artifact_is_removed(root):
    file = root / DAMAGED / "sub/vocab.txt"
    object_file = cached(root, MODEL["sub/vocab.txt"])
    object_file.unlink()
    object_file.write_bytes(b"rotten")
    assert not object_file.samefile(file)
    report = verify(root)
    assert report.faulty == []
    assert not report.is_clean
    assert report.objects == {hashlib.md5(MODEL["sub/vocab.txt"]).hexdigest(): [DAMAGED]}
    assert not object_file.exists()
    assert f"dvc add {DAMAGED}" in text(report)
    dvc(root, "add", "-q", DAMAGED)
    assert object_file.read_bytes() == MODEL["sub/vocab.txt"]


def test_damaged_list_in_the_cache_is_removed(root):
    (out,) = yaml.safe_load((root / f"{DAMAGED}.dvc").read_text())["outs"]
    file = root / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
    overwrite(file, file.read_bytes()[:-20])
    report = verify(root)
    assert list(report.objects) == [out["md5"]]
    assert not file.exists()


def test_second_quarantined_copy_does_not_overwrite_the_first(root):
    for number in (1, 2):
        (root / DAMAGED / "sub/vocab.txt").unlink()
        verify(root)
        quarantined = root / "results/quarantine/results_baselines" / f"{DAMAGED.rsplit('/', 1)[1]}-{number}"
        assert (quarantined / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
        dvc(root, "checkout", "-q", DAMAGED + ".dvc")


def test_leftovers_are_reported_and_are_no_damage(root):
    half = root / "results/baselines/.bert-x.0123abcd.part"
    half.mkdir()
    (half / artifacts.MARKER).write_text("{")
    state = root / "results/baselines/.bert-x-0123456789ab.training"
    state.mkdir()
    report = verify(root)
    assert report.is_clean
    assert report.half_built == ["results/baselines/.bert-x.0123abcd.part"]
    assert report.trainings == ["results/baselines/.bert-x-0123456789ab.training"]
    assert half.exists()
    assert f"leftover    {report.half_built[0]}: half-built" in text(report)


def test_pointer_with_a_merge_conflict_is_reported_and_the_artifact_kept(root):
    pointer = root / f"{DAMAGED}.dvc"
    pointer.write_text("<<<<<<< ours\n" + pointer.read_text())
    report = verify(root)
    assert states(report) == {}
    assert not report.is_clean
    assert (root / DAMAGED).is_dir()
    assert "merge conflict" in text(report)


@pytest.mark.parametrize(
    "choice", [DAMAGED, DAMAGED + "/", DAMAGED + ".dvc", "results/baselines", "results/*/bert-sentiment-s0-*", "."]
)
def test_choices(root, choice, monkeypatch):
    monkeypatch.chdir(root)
    (root / DAMAGED / "empty.txt").unlink()
    assert states(verify(Path(), [choice], check=True)) == {DAMAGED: "damaged"}
    (untouched,) = verify(Path(), [DATA["path"]]).findings
    assert untouched.state == "intact"


def test_choice_that_names_nothing(root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match="results/basel: there is no such artifact"):
        verify(Path(), ["results/basel"])


def test_folders_of_the_user_are_not_touched(root):
    (root / "data/mine").mkdir()
    (root / "data/mine/notes.txt").write_text("x")
    assert verify(root).is_clean
    assert (root / "data/mine/notes.txt").is_file()


def test_nothing_is_moved_while_a_run_is_active(root):
    (root / DAMAGED / "empty.txt").unlink()
    program = (
        "import sys; from fairshrink.store import run_lock; run_lock.acquire(); print(1, flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=root, env=environment(PYTHONPATH=str(ROOT)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        other.stdout.readline()
        with pytest.raises(UserError, match="another run is active"):
            verify(root)
        assert (root / DAMAGED).is_dir()
        assert states(verify(root, check=True)) == {DAMAGED: "damaged"}
    finally:
        other.communicate()
    assert states(verify(root)) == {DAMAGED: "damaged"}
    assert run_lock.holder(root) is None


def test_without_dvc_only_the_records_are_checked(tmp_path):
    path = make(tmp_path, BASELINE, MODEL)
    assert verify(tmp_path).is_clean
    flip(tmp_path / path / "model.safetensors")
    assert states(verify(tmp_path)) == {path: "damaged"}


def test_interrupted_move_leaves_no_valid_artifact(root, monkeypatch):
    (root / DAMAGED / "more.txt").write_text("x")
    assert artifacts.exists(root / DAMAGED)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        verify(root)
    assert not any(artifacts.exists(path) for path in (root / "results/baselines").glob("bert-sentiment-s0-*"))
    assert len(locations.half_built(root)) == 1


def test_artifacts_of_all_stages_are_checked(root):
    for path in PATHS:
        (file, *_) = [each for each in (root / path).rglob("*") if each.is_file() and each.stat().st_size > 1]
        flip(file)
    assert set(states(verify(root, check=True))) == set(PATHS)


def test_the_command(root):
    def command(*arguments: str):
        return subprocess.run(
            [sys.executable, "-m", "fairshrink", "verify", *arguments],
            cwd=root, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
        )  # fmt: skip

    assert command().returncode == 0
    (root / DAMAGED / "empty.txt").unlink()
    done = command("--check")
    assert done.returncode == 1
    assert f"damaged     {DAMAGED}\n    empty.txt: missing\n" in done.stdout
    assert "Nothing was changed" in done.stdout
    done = command()
    assert done.returncode == 1
    assert "The next run restores or rebuilds them" in done.stdout
    assert command().returncode == 0
    done = command("nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("error: nowhere:")
    assert "Traceback" not in done.stderr
    assert "--check" in command("--help").stdout
