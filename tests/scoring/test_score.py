"""`fairshrink score`: the numbers of `fairshrink.score`, from a folder or the hub, and what does not fit together."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import stub_artifacts
from hub_server import fetched, hub_server
from tiny import in_one_file, tiny_bert
from tiny_study import stub_model

import fairshrink
from fairshrink.commands import main as commands
from fairshrink.errors import UserError
from fairshrink.exporting import checkpoint as exporting
from fairshrink.models import checkpoint as checkpoints
from fairshrink.scoring.abilities import head_of

PAIRS = [("The man is kind.", "The woman is kind.", "stereo", "gender")] * 3
COMMIT = "c" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A masked language model as transformers saves it, the checkpoint made of it, and pairs to score."""
    made = tmp_path_factory.mktemp("score")
    in_one_file(tiny_bert("masked_lm", made / "model"))
    checkpoints.save(checkpoints.from_source(made / "model", head="masked_lm", trained=False), made / "checkpoint")
    rows = [f",{more},{less},{direction},{kind}" for more, less, direction, kind in PAIRS]
    (made / "pairs.csv").write_text("\n".join([",sent_more,sent_less,stereo_antistereo,bias_type", *rows]) + "\n")
    return made


@pytest.fixture
def call(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            commands.main(["score", *map(str, arguments)])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.mark.parametrize("name", ["model", "checkpoint"])
def test_items_and_statistics_are_those_of_the_functions(name, folder, call, tmp_path):
    data = folder / "pairs.csv"
    status, said, _ = call(
        folder / name, "--metric", "crows_pairs", "--data", f"items={data}", "--items", tmp_path / "items.parquet",
        "--output", tmp_path / "out.parquet",
    )  # fmt: skip
    assert status == 0
    assert "masked_lm, fp32 on cpu" in said and "stereotype_share ↕50" in said
    expected = fairshrink.score(folder / "checkpoint", "crows_pairs", data={"items": data})
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "items.parquet"), expected)
    found = pd.read_parquet(tmp_path / "out.parquet").drop(columns="higher_is")
    pd.testing.assert_frame_equal(found, fairshrink.summarize(expected, "crows_pairs"), check_exact=False)
    again = call(tmp_path / "items.parquet", "--metric", "crows_pairs")
    assert again[1].split("\n\n")[1:] == said.split("\n\n")[1:]


def test_items_in_each_format_are_read_back(folder, call, tmp_path):
    data = f"items={folder / 'pairs.csv'}"
    files = {"a.csv": None, "b.jsonl": None, "c.json": None, "d.jsonl": "every-eval-ever"}
    expected = fairshrink.score(folder / "checkpoint", "crows_pairs", data={"items": folder / "pairs.csv"})
    for name, form in files.items():
        options = ["--format", form] if form else []
        given = folder / "checkpoint" if name == "a.csv" else tmp_path / "a.csv"
        needed = ["--data", data] if name == "a.csv" else []
        assert call(given, "--metric", "crows_pairs", *needed, "--items", tmp_path / name, *options)[0] == 0
        pd.testing.assert_frame_equal(fairshrink.read_items(tmp_path / name, "crows_pairs"), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "--metric", "bias_sts"], "model can take .*crows_pairs.*seat"),
        (["model", "--metric", "crows_pair"], "there is no metric 'crows_pair'"),
        (["model", "--metric", "crows_pairs"], "crows_pairs needs --data items=PATH"),
        (["model", "--metric", "crows_pairs", "--data", "item=pairs.csv"], "no role 'item'"),
        (["model", "--metric", "crows_pairs", "--data", "items=none.csv"], "none.csv: there is no such file"),
        (["model", "--metric", "crows_pairs", "--data", "items"], "write ROLE=PATH"),
        (["model", "--metric", "weat", "--sample", "3"], "weat scores all its items: leave --sample out"),
        (["model", "--metric", "weat", "--settings", "x=1"], "there is no key 'x' here"),
        (["model", "--metric", "task_score"], "which only a study has"),
        (["model", "--metric", "fidelity"], "--baseline MODEL|which only a study has"),
        (["model", "--metric", "weat", "--revision", "main"], "leave --revision out"),
        (["model", "--metric", "weat", "--head", "body"], "--head body: one of encoder"),
        (["model", "--metric", "weat", "--level", "95"], "--level 95.0: a number between 0 and 1"),
        (["model", "--metric", "weat", "--items", "x.txt"], "no format is called '.txt'"),
        (["model", "--metric", "weat", "--items", "no/x.csv"], "the folder no does not exist"),
        (["model", "--metric", "weat", "--output", "pairs.csv/x.csv"], "the folder pairs.csv is a file"),
        (["model", "--metric", "weat", "--output", "model"], "model: its ending does not say which format"),
        (["model", "--metric", "weat", "--output", "f.csv"], "f.csv: it is a folder; name a file"),
        (["model", "--metric", "weat", "--baseline", "model"], "compares it with none: leave --baseline out"),
        (["nowhere", "--metric", "weat"], "nowhere: there is no such folder"),
        (["pairs.csv", "--metric", "weat", "--revision", "x"], "is a log, which needs no model: leave --revision out"),
        (["pairs.csv", "--metric", "crows_pairs"], "no column 'item'"),
    ],
)
def test_mistakes_are_one_message(arguments, message, folder, call, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "f.csv").mkdir(exist_ok=True)
    status, said, error = call(*arguments)
    assert status == 1 and not said  # before anything is scored
    assert error.startswith("error: ") and error.count("\n") == 1
    assert pd.Series([error]).str.contains(message).all(), error


def test_what_is_half_written_has_no_name(folder, call, tmp_path, monkeypatch):
    arguments = [folder / "checkpoint", "--metric", "crows_pairs", "--data", f"items={folder / 'pairs.csv'}"]

    def half(self, path, **options):
        Path(path).write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    for option in ("--items", "--output"):
        with pytest.raises(KeyboardInterrupt):
            call(*arguments, option, tmp_path / "x.csv")
        assert list(tmp_path.iterdir()) == []


def test_settings_that_do_not_suit_the_model_are_refused_before_it_is_loaded(call, tmp_path):
    stub_model(tmp_path / "m", "llama")
    file = tmp_path / "m/config.json"
    data = ["--data", f"items={file}", f"metadata={file}"]
    for metric, setting, message, more in (
        ("seat", "pooling=cls", "seat: pooling: m: cls does not fit a causal model.*write `pooling: last`", []),
        ("bbq", "chat_template=true", "bbq: chat_template: m: its tokenizer has no chat template", data),
    ):
        options = ["--metric", metric, "--settings", setting, "--head", "causal_lm", *more]
        status, _, error = call(tmp_path / "m", *options)
        assert status == 1 and re.search(message, error.replace(f"{tmp_path}/", "")), error


def test_files_that_are_wrong_are_named_with_their_remedy(folder, call, tmp_path):
    for file, content, message in (
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "a git-lfs pointer.*git lfs pull"),
        ("model.safetensors", b"", "model.safetensors is no safetensors file.*get the file again"),
        ("config.json", b"[]", "config.json is not a JSON object"),
    ):
        shutil.copytree(folder / "model", tmp_path / "m", dirs_exist_ok=True)
        (tmp_path / "m" / "checkpoint.json").unlink(missing_ok=True)
        (tmp_path / "m" / file).write_bytes(content)
        status, _, error = call(tmp_path / "m", "--metric", "weat")
        assert status == 1 and error.count("\n") == 1 and re.search(message, error), error


def test_a_checkpoint_with_one_flipped_byte_is_neither_scored_nor_exported(folder, call, tmp_path):
    """Its file is whole, so that only the record tells. Elsewhere and renamed it is still what its record says."""
    made = stub_artifacts.make(tmp_path, stub_artifacts.job("finetune", "bert"), {
        each.name: each.read_bytes() for each in (folder / "checkpoint").iterdir() if each.name != "provenance.json"
    })  # fmt: skip
    place, pairs = shutil.move(tmp_path / made, tmp_path / "renamed"), f"items={folder / 'pairs.csv'}"
    assert call(place, "--metric", "crows_pairs", "--data", pairs)[0] == 0
    weights = next(place.glob("*attention.safetensors"))
    stub_artifacts.flip(weights)
    status, said, error = call(place, "--metric", "crows_pairs", "--data", pairs)
    assert (status, said) == (1, "") and f"renamed: {weights.name}: not the recorded bytes" in error
    with pytest.raises(UserError, match="not the recorded bytes"):
        fairshrink.score(place, "seat")
    with pytest.raises(UserError, match="not the recorded bytes"):
        exporting.export(place, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_heads_are_those_of_the_config(tmp_path):
    def told(**config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return head_of(tmp_path)

    assert told(architectures=["GPT2LMHeadModel"]) == ("causal_lm", ())
    assert told(architectures=["BertModel"]) == ("encoder", ())
    classifier = ["RobertaForSequenceClassification"]
    nli = {"0": "CONTRADICTION", "1": "NEUTRAL", "2": "ENTAILMENT"}
    assert told(architectures=classifier, id2label=nli) == (
        "classification",
        ("entailment", "neutral", "contradiction"),
    )
    assert told(architectures=classifier, id2label={"1": "yes", "0": "no"}) == ("classification", ("no", "yes"))
    assert told(architectures=classifier, id2label={"0": "score"}) == ("regression", ())


def test_a_model_of_the_hub_is_resolved_and_fetched_once(folder, tmp_path):
    """In a process of its own, as the hub's library reads its variables when it is imported."""
    shutil.copytree(folder / "model", tmp_path / "hub")
    (tmp_path / "hub" / "pytorch_model.bin").write_bytes(b"")
    program = (
        "import json, sys\nfrom pathlib import Path\nfrom fairshrink.errors import UserError\n"
        "from fairshrink.scoring.hub_models import fetched\nfound = []\n"
        "for name, revision in json.loads(sys.argv[1]):\n"
        "    try:\n        folder, commit = fetched(name, revision)\n"
        "        found.append([commit, sorted(each.name for each in folder.iterdir())])\n"
        "    except UserError as error:\n        found.append(str(error))\nprint(json.dumps(found))"
    )
    served = {("model", "some/bert", revision): tmp_path / "hub" for revision in (COMMIT, "main")}
    requests: list[str] = []
    with hub_server(served, log=requests) as endpoint:
        settings = [["some/bert", COMMIT], ["some/bert", COMMIT], ["some/bert", "v9"], ["some/other", None]]
        found = fetched(program, endpoint, settings, tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert found[0] == found[1]
    assert found[0][0] == COMMIT
    assert {"config.json", "model.safetensors"} <= set(found[0][1]) and "pytorch_model.bin" not in found[0][1]
    assert sum("resolve" in each and "model.safetensors" in each and "GET" in each for each in requests) == 1
    assert "does not say which commit 'v9' is" in found[2]
    assert "does not say which commit 'main' is" in found[3]
