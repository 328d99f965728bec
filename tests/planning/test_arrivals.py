"""What is wrong with a download is said when it has arrived, before any training, and by every plan after that."""

import copy
import hashlib
from pathlib import Path

import pytest
from tiny_study import stub_model, study, write_data, write_study

from fairshrink.planning import arrivals, plan_files, studies, workflow
from fairshrink.stages import runner
from fairshrink.store import artifacts
from fairshrink.study.mistakes import StudyError
from fairshrink.study.uses import uses


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_data(tmp_path / "local", models=())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetched(folder, text="sentence,stars\nHe is kind.,1.5\nShe is kind.,2\n") -> dict:
    """The tiny study, its reviews from an address."""
    (folder / "reviews.csv").write_text(text)
    content = copy.deepcopy(study())
    digest = hashlib.sha256(text.encode()).hexdigest()
    content["downloads"]["reviews"] = {"source": "url", "url": (folder / "reviews.csv").as_uri(), "sha256": digest}
    return content


def plan(content):
    write_study(Path(), content)
    return workflow.make("config.yaml")


def download(made) -> None:
    """Run the job that fetches the reviews."""
    (name,) = (job.name for job in made.of("download") if "reviews" in job.name)
    runner.run("download", plan_files.write(made), name, 1)


def test_a_table_that_is_not_as_the_study_says(folder):
    content = fetched(folder)
    content["tasks"]["sentiment"]["train"]["columns"]["label"] = "points"
    made = plan(content)
    with pytest.raises(
        StudyError, match="study tiny: 1 mistake; the download is complete, and nothing was tr"
    ) as caught:
        download(made)
    (mistake,) = caught.value.mistakes
    assert mistake.key == "tasks.sentiment.train.columns.label"
    assert "has no column 'points'" in mistake.reason
    (path,) = (path for path in made.paths if path.startswith("data/reviews-"))
    assert artifacts.exists(folder / path)
    with pytest.raises(StudyError, match=r"config\.yaml: 1 mistake; no job was started"):
        plan(content)
    content["tasks"]["sentiment"]["train"]["columns"]["label"] = "stars"
    assert not [job for job in plan(content).of("download") if "reviews" in job.name]


def test_what_is_right_is_read_once(folder, monkeypatch):
    content = fetched(folder)
    download(plan(content))
    (path,) = folder.glob("data/reviews-*/reviews.csv")
    path.write_text("nothing\n")
    plan(content)
    content["tasks"]["lm"]["train"]["columns"]["text"] = "words"
    with pytest.raises(StudyError, match="has no column 'words'"):
        plan(content)


def test_local_sources_are_not_read_again(folder):
    made = plan(study())
    assert not [job for job in made.jobs if job.expects]
    read = plan_files.read_job(plan_files.write(made), made.jobs[0].name)
    assert read.expects == ()


def test_expectations_travel_with_their_job(folder):
    content = fetched(folder)
    content["models"]["bert"]["folder"] = "."
    made = plan(content)
    (job,) = (job for job in made.of("download") if "reviews" in job.name)
    assert {use.key for _, use in job.expects} == {f"tasks.{name}.train" for name in ("sentiment", "mlm", "lm")}
    assert plan_files.read_job(plan_files.write(made), job.name).expects == job.expects


def test_a_model_that_arrives_as_a_pointer(folder):
    """As repositories that keep weights by git-lfs give them at addresses of raw files."""
    write_study(folder, study())
    expected = [use for name, use in uses(studies.load("config.yaml")) if name == "bert"]
    source = stub_model(folder / "given")
    arrivals.check("tiny", [(str(source), use) for use in expected])
    other = stub_model(folder / "other")
    (other / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(StudyError, match="`git lfs pull`"):
        arrivals.check("tiny", [(str(other), use) for use in expected])
