"""What a killed run left is removed; what one of its jobs still builds, and a training that goes on, are not."""

from pathlib import Path

import stub_artifacts

from fairshrink.store import artifacts, leftovers


def test_only_what_nobody_works_on_is_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made, waiting = (stub_artifacts.job("finetune", name) for name in ("made", "waiting"))
    finished, unfinished = Path(stub_artifacts.make(Path(), made, {"w": b"1"})), Path(waiting["path"])
    gone = [
        "results/tables/.a.csv.01234567.part", "results/tiny/tables/.a.csv.01234567.part",
        "results/tiny/figures/.b.svg.01234567.part", ".snakemake/fairshrink/warm-7.socket",
        ".snakemake/incomplete/eA==",
        ".snakemake/fairshrink/compared/.x.json.01234567.part",
    ]  # fmt: skip
    kept = ["results/tables/a.csv", "results/tiny/tables/mine.part", ".snakemake/fairshrink/run.lock"]
    for name in (*gone, *kept):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
    for path in (finished, unfinished):
        path.with_name(f".{path.name}.training").mkdir()
    dead = finished.with_name(f".{finished.name}.01234567.part")
    dead.mkdir()
    with artifacts.building(unfinished) as folder:
        (folder / "half").write_text("x")
        leftovers.sweep([str(finished), str(unfinished)], [Path("results"), Path("results/tiny")])
        assert (folder / "half").is_file(), "it is being built"
        (folder / artifacts.MARKER).write_text("{}")
    assert not [name for name in gone if Path(name).exists()]
    assert all(Path(name).is_file() for name in kept)
    assert artifacts.exists(finished)
    names = {each.name for each in Path("results/baselines").iterdir()}
    assert names == {finished.name, unfinished.name, f".{unfinished.name}.training"}


def test_copies_and_moves_of_dvc_are_removed_once_nobody_can_be_writing_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = Path(".dvc/cache/files/md5/9f")
    names = (".Q8EMVCxfVdKf9tLk5OkOpQ.tmp", "0" * 30 + ".Q8EMVCxfVdKf9tLk5OkOpQ.tmp", "0" * 30 + ".dir.3VIEgQ-lJ7.tmp")
    unfinished, whole = [cache / name for name in names], [cache / ("0" * 30), cache / ("0" * 30 + ".dir")]
    cache.mkdir(parents=True)
    for each in (*unfinished, *whole):
        each.write_text("x")
    leftovers.sweep([], [])
    assert sorted(cache.iterdir()) == sorted([*unfinished, *whole])
    monkeypatch.setattr(leftovers, "WRITING_S", -1.0)
    leftovers.sweep([], [])
    assert sorted(cache.iterdir()) == sorted(whole)
