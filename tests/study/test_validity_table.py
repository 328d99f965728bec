"""The table of validity that a study names: what it says of each metric, and what is refused."""

from pathlib import Path

import pytest

from fairshrink.study.jobs import ValidityEntry
from fairshrink.study.mistakes import Mistake
from fairshrink.study.validity import read

ROOT = Path(__file__).parents[2]
HEADER = "model,task,metric,test,value,passed\n"


def entries(folder, text: str) -> tuple[tuple[ValidityEntry, ...], list[Mistake]]:
    (folder / "validity.csv").write_text(text, encoding="utf-8")
    mistakes: list[Mistake] = []
    return read("validity.csv", folder, mistakes), mistakes


def test_one_failed_test_is_enough_unless_it_is_about_training_in_general(tmp_path):
    rows = [
        *("m,t,sound,dose,1,True", "m,t,sound,seeds,0.1,True", "m,t,sound,random,0.2,"),
        *("m,t,moves_with_seeds,dose,1,True", "m,t,moves_with_seeds,seeds,9,False"),
        *("m,t,moves_with_splits,splits,9,False", "m,t,moves_with_splits,seeds,9,False"),
        *("m,t,deaf,seeds,9,False", "m,t,deaf,dose,0,False", "m,t,deaf,power,0,True"),
        *("m,t,open,random,1,", "m,u,deaf,dose,1,True"),
    ]
    found, mistakes = entries(tmp_path, HEADER + "\n".join(rows) + "\n")
    assert not mistakes
    assert {(each.task, each.metric): each.outcome for each in found} == {
        ("t", "sound"): "passed",
        ("t", "moves_with_seeds"): "checkpoints only",
        ("t", "moves_with_splits"): "checkpoints only",
        ("t", "deaf"): "failed",
        ("u", "deaf"): "passed",
    }


def test_what_ships_with_the_documents_is_read():
    mistakes: list[Mistake] = []
    found = {each.metric: each.outcome for each in read("docs/validity.csv", ROOT, mistakes)}
    assert not mistakes
    assert found == {
        "sentiment_gap": "passed",
        "bias_nli": "checkpoints only",
        "stereoset": "failed",
        "seat": "failed",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "m,t,x,dose,1,yes\n", "line 2: passed is 'yes'"),
        (HEADER + "m,t,x,dose,1,True\nm,t,,dose,1,True\n", "line 3: no metric"),
        ("model,task,metric,passed\nm,t,x,True\n", "line 2: no test"),
    ],
)
def test_a_damaged_table_is_a_mistake_with_its_line(tmp_path, text, said):
    found, (mistake,) = entries(tmp_path, text)
    assert found == () and said in str(mistake) and "validity" in str(mistake)


def test_a_missing_table_is_a_mistake(tmp_path):
    mistakes: list[Mistake] = []
    assert read("nowhere.csv", tmp_path, mistakes) == () and "nowhere.csv" in str(mistakes[0])


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    found, mistakes = entries(tmp_path, "\ufeff" + HEADER + "m,t,x,dose,1,True\n")
    assert not mistakes and found == (ValidityEntry("m", "t", "x", "passed"),)
