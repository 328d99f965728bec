"""What is wrong with local tables and labels is said before any job, with line numbers; fetched ones are not read."""

import copy
import csv
import json
from types import SimpleNamespace

import pytest
import yaml
from tiny_study import study, write_data

from fairshrink.data.examples import Task, frames
from fairshrink.data.table import TableReference
from fairshrink.errors import UserError
from fairshrink.planning import grid
from fairshrink.planning.studies import load
from fairshrink.study.mistakes import StudyError

NLI = ["entailment", "neutral", "contradiction"]


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "local", models=())
    return tmp_path


def planned(folder, change=lambda content: None):
    content = copy.deepcopy(study())
    change(content)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return load(file)


def mistakes(folder, change=lambda content: None) -> dict[str, tuple[str, str]]:
    with pytest.raises(StudyError) as caught:
        planned(folder, change)
    return {each.key: (each.reason, each.remedy) for each in caught.value.mistakes}


def reviews(folder, *lines, text="sentence,stars\n"):
    (folder / "local/reviews.csv").write_text(text + "".join(lines))


def test_a_trailing_comma_is_said_for_each_task_that_reads_the_file(folder):
    reviews(folder, "He is kind.,1.5,\n", "She is kind.,2,\n")
    found = mistakes(folder)
    assert set(found) == {f"tasks.{name}.train.file" for name in ("sentiment", "mlm", "lm")}
    reason, remedy = found["tasks.lm.train.file"]
    assert "reviews.csv, lines 2, 3: 3 fields but the header has 2" in reason and "remove the separator" in remedy


@pytest.mark.parametrize(
    ("first", "given", "remedy"),
    [
        ("sep=;\n", {}, 'remove this line from the file, and write `separator: ";"`'),
        ("\ufeffsep=;\r\n", {"separator": ";"}, "remove this line from the file"),
        ('"sep=;"\n', {}, 'remove this line from the file, and write `separator: ";"`'),
        ("SEP=,\n", {"header": False, "columns": {"text": 0}}, "remove this line from the file"),
        ("sep=\t\n", {}, 'remove this line from the file, and write `separator: "\\t"`'),
    ],
)
def test_a_first_line_for_spreadsheets_is_no_header_and_no_row(folder, first, given, remedy):
    """Without a header it would be a text of its own."""
    reviews(folder, *(f"He is kind.,{n}\n" for n in range(9)), text=f"{first}sentence,stars\n")

    def change(content):
        content["tasks"]["mlm"]["train"] |= given
        content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["mlm"]}}
        content["metrics"] = [{"metric": "task_score"}]
        content["compressions"] = content["controls"] = []
        content["tasks"] = {"mlm": content["tasks"]["mlm"]}
        content["downloads"] = {name: content["downloads"][name] for name in ("bert", "reviews")}

    ((key, (reason, said)),) = mistakes(folder, change).items()
    assert key in ("tasks.mlm.train.separator", "tasks.mlm.train.file")
    assert "reviews.csv, line 1: `sep=" in reason and said == remedy
    reviews(folder, *(f"He is kind.,{n}\n" for n in range(9)), text="sep=1 is a text,1\nsentence,stars\n")
    if given.get("header") is False:
        planned(folder, change)


def test_all_bad_rows_are_listed_up_to_twenty(folder):
    reviews(folder, *(f"text {n},high\n" for n in range(25)), ",1\n")
    found = mistakes(folder)
    lines = ", ".join(str(n) for n in range(2, 22))
    assert f"lines {lines} and 5 more: 'high' is not a number" in found["tasks.sentiment.train.columns.label"][0]
    assert "line 27: the text is empty" in found["tasks.mlm.train.columns.text"][0]


@pytest.mark.parametrize(
    ("rows", "share", "enough"), [(1, 0.2, False), (2, 0.2, True), (4, 0.89, False), (4, 0.5, True)]
)
def test_rows_that_leave_none_to_train_on(folder, rows, share, enough):
    """As `frames` parts them, which a job does later."""
    reviews(folder, *(f"text {n},{n}\n" for n in range(rows)))

    def change(content):
        for name in ("sentiment", "mlm"):
            content["tasks"][name] |= {"test_share": share, "dev_share": 0.1}

    found = {} if enough else mistakes(folder, change)
    assert ("tasks.sentiment.train" in found) is not enough
    made = planned(folder, change) if enough else None
    columns = {"text": "sentence", "label": "stars"}
    table = TableReference(path=str(folder / "local"), file="reviews.csv", format="csv", columns=columns)
    task = Task("sentiment", "regression", None, SimpleNamespace(test_share=share, dev_share=0.1), 0, 0, table)
    if enough:
        assert made and len(frames(task)["train"])
    else:
        assert "leave none to train on" in found["tasks.sentiment.train"][0]
        with pytest.raises(UserError, match="leave none to train on"):
            frames(task)


@pytest.mark.parametrize("written", ["\u200b", "\u200e\u2060", "  ", "\u0301"])
def test_texts_without_anything_visible_are_empty(folder, written):
    reviews(folder, "He is kind.,1\n", f'"{written}",1\n')
    assert "line 3: the text is empty" in mistakes(folder)["tasks.lm.train.columns.text"][0]


def test_byte_order_marks_and_columns_by_number_work(folder):
    content = (folder / "local/reviews.csv").read_bytes()
    (folder / "local/reviews.csv").write_bytes(b"\xef\xbb\xbf" + content)

    def numbered(content):
        content["tasks"]["sentiment"]["train"]["columns"] = {"text": 0, "label": 1}

    assert planned(folder, numbered).tasks["lm"]


def test_semicolons_are_named_and_can_be_set(folder):
    reviews(folder, "He is kind.;1.5\n", "She is late.;2\n", text="sentence;stars\n")
    assert 'semicolons: write `separator: ";"`' in mistakes(folder)["tasks.lm.train.columns.text"][1]

    def separated(content):
        for name in ("sentiment", "mlm", "lm"):
            content["tasks"][name]["train"]["separator"] = ";"

    assert planned(folder, separated)


def tsv(folder, *texts):
    (folder / "local/t.tsv").write_text("sentence\tstars\n" + "".join(f"{text}\t1\n" for text in texts))

    def change(content, **more):
        content["downloads"]["reviews"]["path"] = "local/t.tsv"
        for name in ("sentiment", "mlm", "lm"):
            content["tasks"][name]["train"].update({"file": "t.tsv", "format": "tsv"} | more)

    return change


def test_quotes_that_a_program_has_put_around_the_fields_of_a_tsv(folder):
    change = tsv(folder, "He ran.", '"She said ""no"" to it."', '"She said:"', '"""No,"" she said."')
    reason, remedy = mistakes(folder, change)["tasks.lm.train.quoting"]
    assert "t.tsv, lines 3, 5: the text is in quotes, with quotes inside written twice" in reason
    assert "`quoting: true`" in remedy and "`quoting: false`" in remedy
    for said in (True, False):
        assert planned(folder, lambda content, said=said: change(content, quoting=said))


@pytest.mark.parametrize(
    "texts",
    [
        ['"No," she said.', '"She said ""no""."'],  # quotes that people write
        ['"He ran."', '"She ran."'],  # a quotation, or a program's: nothing is written twice
        ['""', '"He ran."'],
        ['He ran 5" far.', "He ran."],
    ],
)
def test_quotes_that_belong_to_a_text(folder, texts):
    assert planned(folder, tsv(folder, *texts))


def test_a_path_below_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "local"))
    assert planned(folder, lambda c: c["downloads"]["reviews"].update(path="~/reviews.csv"))


@pytest.mark.parametrize(
    ("change", "key", "reason", "remedy"),
    [
        ({"encoding": "latin-one"}, "encoding", "there is no text encoding 'latin-one'", "utf-8"),
        ({"separator": ";;"}, "separator", "a separator is one character", "text encoding"),
        ({"seperator": ";"}, "seperator", "no key 'seperator'", "did you mean 'separator'?"),
        ({"columns": {"text": False, "label": "stars"}}, "columns", "YAML reads yes, no", "in quotes"),
        ({"columns": {"text": 7, "label": "stars"}}, "columns.text", "no column '7' for text", "sentence, stars"),
        ({"labels": ["a", "b"]}, "labels", "a regression task has no named labels", "leave `labels` out"),
        ({"file": "../reviews.csv"}, "file", "leads out of its folder", "write it relative to that"),
    ],
)
def test_settings_of_a_table(folder, change, key, reason, remedy):
    found = mistakes(folder, lambda c: c["tasks"]["sentiment"]["train"].update(change))
    assert set(found) == {f"tasks.sentiment.train.{key}"}
    assert reason in found[f"tasks.sentiment.train.{key}"][0]
    if key != "separator":
        assert remedy in found[f"tasks.sentiment.train.{key}"][1]


def pairs(folder, name, labels, n=40):
    lines = [{"premise": "He is kind.", "hypothesis": "He is.", "gold": labels[i % len(labels)]} for i in range(n)]
    (folder / f"local/{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def with_test_table(folder, values, **keys):
    """The inference task with a test table of its own, whose file has these labels."""
    pairs(folder, "other", values)

    def change(content):
        content["downloads"]["other"] = {"source": "local", "path": "local/other.jsonl"}
        task = content["tasks"]["nli"]
        table = {name: task["train"][name] for name in ("format", "columns")}
        task["test"] = {"other": {"download": "other", "file": "other.jsonl", **table, **keys}}

    return change


def test_labels_of_test_tables(folder):
    other = ["entailment", "non-entailment"]
    found = mistakes(folder, with_test_table(folder, other, labels=other))
    assert set(found) == {"tasks.nli.test.other.labels"}
    assert (
        "non-entailment: not among the labels that the model is trained on" in found["tasks.nli.test.other.labels"][0]
    )
    assert "`labels: {non-entailment: NAME, …}`" in found["tasks.nli.test.other.labels"][1]
    found = mistakes(folder, with_test_table(folder, [0, 1, 2]))
    assert found == {
        "tasks.nli.test.other.labels": ("label names are missing", "`labels: [entailment, neutral, contradiction]`")
    }
    found = mistakes(folder, with_test_table(folder, [0, 1, 2], labels=NLI))
    reason, remedy = found["tasks.nli.test.other.labels"]
    assert "'0', '1', '2' are none of the labels" in reason and "`labels: {0: entailment, 1: neutral" in remedy
    mapped = {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert planned(folder, with_test_table(folder, [0, 1, 2], labels=mapped))
    assert planned(
        folder, with_test_table(folder, ["ENTAILMENT", "-"], labels={"ENTAILMENT": "entailment"}, drop_labels=["-"])
    )


def test_missing_labels_are_one_mistake(folder):
    found = mistakes(folder, lambda c: c["tasks"]["nli"]["train"].pop("labels"))
    assert found["tasks.nli.train.labels"][0] == "label names are missing"
    assert not any("number" in reason for reason, _ in found.values())


def test_yes_and_no_without_quotes(folder):
    pairs(folder, "pairs", ["yes", "no"])
    change = lambda c: c["tasks"]["nli"]["train"].update(labels=[True, False])  # noqa: E731
    reason, remedy = mistakes(folder, change)["tasks.nli.train.labels"]
    assert "'yes', 'no' are none of the labels true, false" in reason and "put quotes around labels" in remedy


def test_a_mapping_gives_names_and_their_order_to_the_model(folder):
    def mapped(content):
        content["tasks"]["nli"]["train"]["labels"] = {
            "neutral": "neutral", "entailment": "entailment", "contradiction": "contradiction"
        }  # fmt: skip

    one, other = planned(folder), planned(folder, mapped)
    assert "nli" in other.tasks["nli"].provides
    jobs = [
        next(each for each in grid.expand(study).values() if each.stage == "finetune" and "nli" in each.path)
        for study in (one, other)
    ]
    assert [each.job.model.labels for each in jobs] == [tuple(NLI), ("neutral", "entailment", "contradiction")]

    def turned(content):
        mapped(content)
        labels = content["tasks"]["nli"]["train"]["labels"]
        content["tasks"]["nli"]["train"]["labels"] = dict(reversed(labels.items()))

    last = next(each for each in grid.expand(planned(folder, turned)).values() if each.name == jobs[1].name)
    assert last.key != jobs[1].key


def test_fetched_tables_are_not_looked_for_at_planning(folder):
    def fetched(content):
        content["downloads"]["reviews"] = {
            "source": "hub", "repo": "a/b", "repo_type": "dataset", "revision": "a" * 40, "files": ["reviews.csv"]
        }  # fmt: skip

    assert planned(folder, fetched)


@pytest.mark.parametrize(("scale", "warned"), [(1, True), (5, False), (10, True)])
def test_a_scale_unlike_the_metrics_is_warned_of(folder, capsys, scale, warned):
    with (folder / "local/reviews.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("sentence", "b", "stars"), *(("He.", "She.", n * scale / 10) for n in range(11))]
        )
    columns = {"text": "sentence", "text_pair": "b", "label": "stars"}
    planned(folder, lambda c: c["tasks"]["sentiment"]["train"].update(columns=columns))
    message = f"score_range is 0 to 5, but the labels of task 'sentiment' go from 0 to {scale}"
    assert (message in capsys.readouterr().err) == warned


@pytest.mark.parametrize("name", ["org/bert", "..", "a*", "{x}", "a\nb", "n" * 81, " a"])
def test_names_that_cannot_be_part_of_a_path(folder, name):
    def renamed(content):
        content["models"][name] = content["models"].pop("bert")

    found = mistakes(folder, renamed)
    assert f"models.{name}" in found and "cannot be part of a path" in found[f"models.{name}"][0]


@pytest.mark.parametrize("name", ["tiny bert", "Größe.v2", "a-b_c+d"])
def test_names_that_can(folder, name):
    def renamed(content):
        content["models"][name] = content["models"].pop("bert")
        content["compressions"] = []

    assert planned(folder, renamed)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (".git", "a hidden folder"),
        ("results/.x", "a hidden folder"),
        ("data/tables", "in data/"),
        ("./data", "in data/"),
        ("fairshrink", "in fairshrink/"),
        ("results/scores", "a folder of results"),
        ("results/tables/x", "a folder of results"),
        ("config.yaml/x", "a file"),
        ("config.yaml", "a file"),
    ],
)
def test_tables_are_put_where_nothing_else_is_kept(folder, monkeypatch, output, reason):
    monkeypatch.chdir(folder)
    assert planned(folder).output == "results"
    assert f"'{output}' is {reason}" in mistakes(folder, lambda content: content.update(output=output))["output"][0]


@pytest.mark.parametrize("output", ["results", "results/mine/", "here", ".", "my docs/été"])
def test_other_folders_for_tables(folder, monkeypatch, output):
    monkeypatch.chdir(folder)
    assert planned(folder, lambda content: content.update(output=output))


def test_a_file_that_is_named_twice(folder):
    change = lambda c: c["tasks"]["sentiment"]["train"].update(file=["reviews.csv", "./reviews.csv"])  # noqa: E731
    found = mistakes(folder, change)
    reason, remedy = found["tasks.sentiment.train.file"]
    assert "reviews.csv: named twice, so that its rows would count twice" in reason and "once" in remedy


@pytest.mark.parametrize("pairs_in", ["train", "test"])
def test_pairs_and_single_texts_are_not_mixed(folder, pairs_in):
    def mixed(content):
        task = content["tasks"]["nli"]
        task["test"] = {"other": copy.deepcopy(task["train"])}
        (task["test"]["other"] if pairs_in == "train" else task["train"])["columns"].pop("text_pair")
        content["metrics"] = [{"metric": "task_score"}]

    found = mistakes(folder, mixed)
    said = {"train": "pairs of texts", "test": "single texts"}[pairs_in]
    assert f"other tables of the task have {said}" in found["tasks.nli.test.other.columns.text_pair"][0]


def test_a_test_table_is_not_called_as_all_items_are(folder):
    def named(content):
        task = content["tasks"]["nli"]
        task["test"] = {name: copy.deepcopy(task["train"]) for name in ("all", "other")}

    assert "call all test items together so" in mistakes(folder, named)["tasks.nli.test.all"][0]
