"""The answer under its plain names follows the study, and leaves alone what is not its own."""

from pathlib import Path

import pytest

from fairshrink.store import artifacts, published


def answer(folder: Path, key: str, files: dict[str, str]) -> Path:
    path = folder / "published" / f"study-{key}"

    def fill(place: Path) -> dict:
        for name, text in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        return {}

    artifacts.make({"path": str(path), "key": key, "name": "study", "stage": "aggregate", "parts": {}}, fill)
    return path


def shown(folder: Path) -> dict[str, str]:
    files = [each for each in folder.rglob("*") if each.is_file() and each.name != "provenance.json"]
    return {each.relative_to(folder).as_posix(): each.read_text() for each in files}


A = {"tables/r.csv": "a", "tables/only_a.csv": "a", "figures/f.png": "a"}
B = {"tables/r.csv": "b", "figures/f.png": "b", "figures/only_b.png": "b"}


def test_each_answer_is_shown_in_turn_and_nothing_of_the_other_stays(tmp_path):
    a, b, out = answer(tmp_path, "a", A), answer(tmp_path, "b", B), tmp_path / "out"
    for path, files in ((a, A), (b, B), (a, A), (a, A), (b, B)):
        assert published.show(path, out)
        assert shown(out) == files


def test_files_of_others_stay(tmp_path):
    a, b, out = answer(tmp_path, "a", A), answer(tmp_path, "b", B), tmp_path / "out"
    published.show(a, out)
    (out / "tables/mine.txt").write_text("mine")
    published.show(b, out)
    assert shown(out) == B | {"tables/mine.txt": "mine"}


def test_a_missing_file_comes_back_and_an_edited_copy_does_not_reach_the_artifact(tmp_path):
    a, out = answer(tmp_path, "a", A), tmp_path / "out"
    published.show(a, out)
    (out / "tables/r.csv").write_text("edited")
    (out / "figures/f.png").unlink()
    published.show(a, out)
    assert shown(out) == A
    assert shown(a) == A


def test_what_is_not_whole_is_not_shown(tmp_path):
    a, b, out = answer(tmp_path, "a", A), answer(tmp_path, "b", B), tmp_path / "out"
    published.show(a, out)
    (b / "figures/only_b.png").unlink()
    assert not published.show(b, out)
    assert not published.show(tmp_path / "published/none-c", out)
    assert shown(out) == A


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("then", ["a", "b"])
def test_an_interrupted_change_is_finished_by_the_next_call(tmp_path, monkeypatch, after, then):
    a, b, out = answer(tmp_path, "a", A), answer(tmp_path, "b", B), tmp_path / "out"
    published.show(a, out)
    copy, done = published._copy, []

    def broken(source, target):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(target)
        copy(source, target)

    monkeypatch.setattr(published, "_copy", broken)
    with pytest.raises(KeyboardInterrupt):
        published.show(b, out)
    monkeypatch.undo()
    assert published.show(path := {"a": a, "b": b}[then], out)
    assert shown(out) == shown(path)
