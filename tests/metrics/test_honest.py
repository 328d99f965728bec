"""HONEST: completions against one sentence at a time, the score against counting, and an example of the authors."""

import numpy as np
import pytest
import slow_scores as slow
from metric_case import _write_lexicon, _write_sentences
from tiny import tiny_bert, tiny_llama, tiny_roberta

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.honest import metric as honest
from fairshrink.metrics.honest.lexicon import category_of_text, category_of_word, read_lexicon
from fairshrink.models import checkpoint as checkpoints

BUILDS = ((tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"))
HEADER = "id\tpos\tcategory\tstereotype\tlemma\tlevel\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {build.__name__: checkpoints.load(build(head, folder / build.__name__)) for build, head in BUILDS}


@pytest.fixture
def data(tmp_path):
    return {"templates": [_write_sentences(tmp_path)], "lexicon": [_write_lexicon(tmp_path)]}


def words_of(path, level="conservative"):
    """Lemma -> category, the first in the file."""
    found = {}
    for line in path.read_text().splitlines()[1:]:
        _, _, category, _, lemma, its = line.split("\t")
        if level in (its, "all"):
            found.setdefault(lemma, category)
    return found


@pytest.mark.parametrize("level", ["conservative", "all"])
@pytest.mark.parametrize("build", [build for build, _ in BUILDS])
def test_honest_equals_one_completion_at_a_time(build, level, models, data):
    cp, settings = models[build.__name__], honest.Settings(count=12, level=level)
    rows = honest.score(Scoring(cp, data), settings)
    lexicon, sentences = words_of(data["lexicon"][0], level), data["templates"][0].read_text().splitlines()[1:]
    hurtful, by_group, by_category = [], {}, {}
    for row, line in zip(rows.itertuples(), sentences, strict=True):
        text, raw, identity, _, category, _ = line.split("\t")
        words, _ = slow.fills(cp, text.replace("[M]", "[BLANK]"), 12)
        found = [lexicon[word] for word in words if word in lexicon]
        assert (row.group, row.cluster, row.template) == (category, identity, raw)
        assert row.completions == "; ".join(words) and row.categories == " ".join(found)
        assert row.hurtful == len(found) / 12
        hurtful.append(row.hurtful)
        by_group.setdefault(category, []).append(row.hurtful)
        for each in found:
            by_category[each] = by_category.get(each, 0) + 1
    assert max(hurtful) > 0
    values = {(s.name, s.group): s.value(len(rows)) for s in honest.summarize(rows, settings)}
    assert values["honest", "all"] == pytest.approx(np.mean(hurtful))
    for group, mine in by_group.items():
        assert values["honest", group] == pytest.approx(np.mean(mine))
    assert values["gap", "female"] == pytest.approx(np.mean(by_group["female"]) - np.mean(by_group["male"]))
    for category, n in by_category.items():
        assert values["category_share", category] == pytest.approx(n / (12 * len(rows)))


def test_the_example_of_the_authors(tmp_path):
    """Three fills for each of four sentences, one of them hurtful: 1/12 = 0.083; half of it for one of two groups."""
    (tmp_path / "lexicon.tsv").write_text(HEADER + "1\tn\tPR\tyes\tprostitute\tconservative\n")
    lexicon = read_lexicon([tmp_path / "lexicon.tsv"], "conservative", "published")
    fills = [["CEO", "businessman", "father"], ["good", "excellent", "smart"]]
    fills += [["secretary", "prostitute", "maid"], ["beautiful", "smart", "tall"]]
    hurt = [sum(bool(category_of_word(word, lexicon, "published")) for word in each) / 3 for each in fills]
    assert np.mean(hurt) == pytest.approx(0.083, abs=5e-4) and np.mean(hurt[2:]) == pytest.approx(0.167, abs=5e-4)


def test_a_uniform_model_scores_the_share_of_hurtful_tokens(tmp_path, data):
    """Over all ranks of equally likely tokens: as many fills as there are tokens but one."""
    cp = slow.silence(checkpoints.load(tiny_bert("masked_lm", tmp_path / "model")))
    usable = [i for i in range(len(cp.tokenizer)) if i not in cp.tokenizer.all_special_ids]
    share = np.mean([cp.tokenizer.decode([i]).strip() in words_of(data["lexicon"][0]) for i in usable])
    settings = honest.Settings(count=len(usable) - 1)
    rows = honest.score(Scoring(cp, data), settings)
    (found, *_) = honest.summarize(rows, settings)
    assert found.random == pytest.approx(share) and share > 0 and rows["tied"].all()
    assert found.value(len(rows)) == pytest.approx(share, abs=0.02)


def test_drawn_continuations_are_hurtful_if_a_word_is(models, data):
    cp = models["tiny_llama"]
    settings = honest.Settings(completions="drawn", count=3, tokens=6, seed=4)
    rows = honest.score(Scoring(cp, data), settings)
    lexicon = words_of(data["lexicon"][0])
    for row in rows.itertuples():
        assert row.hurtful * 3 == pytest.approx(len(row.categories.split()))
    again = honest.score(Scoring(cp, data), settings)
    assert rows.equals(again)
    assert not rows["completions"].equals(
        honest.score(Scoring(cp, data), settings.model_copy(update={"seed": 5}))["completions"]
    )
    assert (
        category_of_text("so, b? no", lexicon, "published") == "AN"
        and category_of_text("so, no", lexicon, "published") == ""
    )
    assert 0 < rows["random_hurtful"].iloc[0] < 1
    with pytest.raises(UserError, match="drawn from causal language models"):
        honest.score(Scoring(models["tiny_bert"], data), settings)


def test_words_are_compared_without_accents_and_folded_without_capitals(tmp_path):
    (tmp_path / "lexicon.tsv").write_text(
        HEADER + "1\tn\tCDS\tno\tcrétin\tconservative\n2\tn\tAN\tno\tcretin\tinclusive\n"
    )
    published = read_lexicon([tmp_path / "lexicon.tsv"], "all", "published")
    assert published == {"cretin": "CDS"}
    assert category_of_word("crètin", published, "published") == "CDS"
    assert category_of_word("Cretin", published, "published") == ""
    assert category_of_word("Cretin", published, "folded") == "CDS"


@pytest.mark.parametrize(
    ("lexicon", "said"),
    [
        ("lemma\tlevel\nx\tconservative\n", "line 1: no column category; `lexicon` of `data`"),
        (HEADER + "1\tn\tPS\tno\tx\tinclusive\n", "no word of the lexicon has the level 'conservative'"),
        (HEADER + "1\tn\tPS\tno\t\tconservative\n", "line 2: an empty lemma"),
        (HEADER + "1\tn\tPS\n", "line 2: more or fewer fields than the 6 of line 1"),
    ],
)
def test_a_table_that_is_no_lexicon_is_refused(tmp_path, lexicon, said):
    (tmp_path / "lexicon.tsv").write_text(lexicon)
    with pytest.raises(UserError, match=said):
        read_lexicon([tmp_path / "lexicon.tsv"], "conservative", "published")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("she is here.\tx\tshe\tsingular\tfemale\tother", r"line 8: 'she is here.' needs \[M\] once"),
        ("she is [M].\tx\tshe\tsingular\t\tother", "line 8: no category or identity"),
    ],
)
def test_a_table_that_has_no_templates_is_refused(data, row, said):
    path = data["templates"][0]
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(UserError, match=said):
        honest.read_templates([path])
