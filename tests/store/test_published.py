"""The published results under their plain names follow the study, and other files are not touched."""

from pathlib import Path

import pytest

from fairshrink.store import artifacts, published
from fairshrink.store.artifacts import Recipe


def publish(folder: Path, key: str, files: dict[str, str]) -> Path:
    path = folder / "published" / f"study-{key}"

    def fill(target: Path) -> dict:
        for name, text in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)
        return {}

    artifacts.make(Recipe("aggregate", "study", key, str(path), {}), fill)
    return path


def shown(folder: Path) -> dict[str, str]:
    files = [each for each in folder.rglob("*") if each.is_file() and each.name != "provenance.json"]
    return {each.relative_to(folder).as_posix(): each.read_text() for each in files}


SPARSITY = """model,task,metric,method,sparsity,value
bert,lm,weat,none,0,0.5
bert,lm,weat,random,0.5,0.4
bert,nli,weat,none,0,0.1
"""
A = {"tables/r.csv": "a", "tables/only_a.csv": "a", "figures/f.png": "a"}
B = {"tables/r.csv": "b", "figures/f.png": "b", "figures/only_b.png": "b"}


def test_results_replace_each_other_without_remains(tmp_path):
    a, b, out = publish(tmp_path, "a", A), publish(tmp_path, "b", B), tmp_path / "out"
    for path, files in ((a, A), (b, B), (a, A), (a, A), (b, B)):
        assert published.show(path, out)
        assert shown(out) == files


def test_two_studies_are_side_by_side_and_the_last_one_is_in_front(tmp_path):
    numbers = {"tables/headline.json": '{"t": {"m": 1}}', "tables/bias_by_sparsity.csv": SPARSITY}
    a, b, out = publish(tmp_path, "a", A | numbers), publish(tmp_path, "b", B), tmp_path / "out"
    assert published.show_study(a, out, "one") and published.show_study(b, out, "two")
    assert shown(out / "one") == A | numbers and shown(out / "two") == B
    assert (out / "tables/r.csv").read_text() == "b"
    assert (out / "metrics/one.json").read_text() == '{"t": {"m": 1}}' and not (out / "metrics/two.json").exists()
    assert shown(out / "plots") == {
        "one/lm/weat.csv": "sparsity,value,model,method\n0,0.5,bert,none\n0.5,0.4,bert,random\n",
        "one/nli/weat.csv": "sparsity,value,model,method\n0,0.1,bert,none\n",
    }
    less = publish(tmp_path, "c", {"tables/bias_by_sparsity.csv": SPARSITY.replace("bert,nli,weat,none,0,0.1\n", "")})
    published.show_study(less, out, "one")
    assert [each.relative_to(out).as_posix() for each in out.rglob("plots/**/*.csv")] == ["plots/one/lm/weat.csv"]
    assert not published.show_study(tmp_path / "none", out, "three") and not (out / "three").exists()


def test_tasks_and_metrics_whose_names_run_together_have_a_plot_each(tmp_path):
    rows = "".join(
        f"bert,{task},{metric},none,0,{value}\n" for task, metric, value in (("a_b", "c", 1), ("a", "b_c", 2))
    )
    tables = {"tables/bias_by_sparsity.csv": SPARSITY.splitlines(keepends=True)[0] + rows}
    published.show_study(publish(tmp_path, "a", A | tables), tmp_path / "out", "one")
    found = {
        path.relative_to(tmp_path / "out/plots/one"): path.read_text() for path in tmp_path.rglob("plots/**/*.csv")
    }
    assert {str(name): text.split(",")[-3] for name, text in found.items()} == {"a_b/c.csv": "1", "a/b_c.csv": "2"}


def test_other_files_are_kept(tmp_path):
    a, b, out = publish(tmp_path, "a", A), publish(tmp_path, "b", B), tmp_path / "out"
    published.show(a, out)
    (out / "tables/mine.txt").write_text("mine")
    published.show(b, out)
    assert shown(out) == B | {"tables/mine.txt": "mine"}


def test_missing_file_is_copied_again_and_an_edited_copy_does_not_change_the_artifact(tmp_path):
    a, out = publish(tmp_path, "a", A), tmp_path / "out"
    published.show(a, out)
    (out / "tables/r.csv").write_text("edited")
    (out / "figures/f.png").unlink()
    published.show(a, out)
    assert shown(out) == A
    assert shown(a) == A


def test_incomplete_results_are_not_shown(tmp_path):
    a, b, out = publish(tmp_path, "a", A), publish(tmp_path, "b", B), tmp_path / "out"
    published.show(a, out)
    (b / "figures/only_b.png").unlink()
    assert not published.show(b, out)
    assert not published.show(tmp_path / "published/none-c", out)
    assert shown(out) == A


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("then", ["a", "b"])
def test_interrupted_change_is_finished_by_the_next_call(tmp_path, monkeypatch, after, then):
    a, b, out = publish(tmp_path, "a", A), publish(tmp_path, "b", B), tmp_path / "out"
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
