"""Perplexity and pseudo-perplexity of text files against one token at a time."""

import numpy as np
import pytest
import slow_scores as slow
from tiny import tiny_bert, tiny_llama, tiny_roberta

from fairshrink.contracts import Scoring
from fairshrink.errors import UserError
from fairshrink.metrics import perplexity, pseudo_perplexity
from fairshrink.metrics._shared.windows import lines, windows
from fairshrink.models import checkpoint as checkpoints

LINES = ["The doctor is kind.", "", "A woman was slicing an onion, and nobody watched!", "People are poor."]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    heads = ((tiny_bert, "masked_lm"), (tiny_roberta, "masked_lm"), (tiny_llama, "causal_lm"))
    return {build.__name__: checkpoints.load(build(head, folder / build.__name__)) for build, head in heads}


def text(folder, lines=LINES, name="text.txt"):
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return {"text": [path]}


def values_of(module, rows):
    return {each.name: each.value(len(rows)) for each in module.summarize(rows, module.Settings())}


def test_perplexity_equals_one_token_at_a_time(models, tmp_path):
    cp = models["tiny_llama"]
    rows = perplexity.score(Scoring(cp, text(tmp_path)), perplexity.Settings())
    real = [line for line in LINES if line]
    ids = [cp.tokenizer(line, add_special_tokens=False)["input_ids"] for line in real]
    expected = [-slow.causal(cp.model, [cp.tokenizer.bos_token_id, *each]).sum() for each in ids]
    np.testing.assert_allclose(rows["nll"], expected, atol=1e-4)
    assert list(rows["tokens"]) == [len(each) for each in ids]
    assert list(rows["item"]) == ["text.txt/0000001", "text.txt/0000003", "text.txt/0000004"]
    values = values_of(perplexity, rows)
    mean = sum(expected) / sum(map(len, ids))
    assert values["score"] == pytest.approx(-mean) and values["perplexity"] == pytest.approx(np.exp(mean))
    assert values["bits_per_character"] == pytest.approx(sum(expected) / np.log(2) / sum(map(len, real)))


def test_lines_end_where_other_readers_end_them(tmp_path):
    inside = "a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g"
    (tmp_path / "text.txt").write_bytes(f"{inside}\r\nh\ri\n\nj".encode())
    found = lines([tmp_path / "text.txt"], "perplexity", perplexity.Settings())
    assert found == {f"text.txt/{number:07d}": line for number, line in ((1, inside), (2, "h"), (3, "i"), (5, "j"))}


def test_a_table_gives_the_text_of_its_column_and_never_its_ids_and_numbers(models, tmp_path):
    rows = ["1_1\t0.4\tThe doctor is kind.", '1_2\t-0.15\tPeople are "poor".', "", "1_3\t1.5\t A woman was slicing. "]
    given = text(tmp_path, rows, "rated.txt")
    plain = text(tmp_path, ["The doctor is kind.", 'People are "poor".', "", "A woman was slicing."], "rated_plain.txt")
    for module, name in ((perplexity, "tiny_llama"), (pseudo_perplexity, "tiny_bert")):
        found = module.score(Scoring(models[name], given), module.Settings(column=2))
        expected = module.score(Scoring(models[name], plain), module.Settings())
        np.testing.assert_array_equal(found[["nll", "tokens", "characters"]], expected[["nll", "tokens", "characters"]])
        with pytest.raises(UserError, match=r"rated.txt is a table, 3 columns .* `column:` .* 0 to 2"):
            module.score(Scoring(models[name], given), module.Settings())


def test_rows_without_the_column_are_named_and_indented_text_is_no_table(tmp_path):
    ragged = text(tmp_path, ["1\t0.4\tkind", "2\t0.1"])["text"]
    with pytest.raises(UserError, match=r"text.txt, line 2: no column 2 .* has 2; fix"):
        lines(ragged, "perplexity", perplexity.Settings(column=2))
    with pytest.raises(UserError, match=r"text.txt, line 2: nothing in column 1"):
        lines(text(tmp_path, ["1\tkind", "2\t \t"])["text"], "perplexity", perplexity.Settings(column=1))
    for harmless in (["\tkind", "\tpoor"], ["a\tb", "plain"], ["one\tline"]):
        found = lines(text(tmp_path, harmless)["text"], "perplexity", perplexity.Settings())
        assert list(found.values()) == [each.strip() for each in harmless]


def test_trap_a_long_text_is_scored_with_a_stride_and_each_token_once(models, tmp_path):
    cp = models["tiny_llama"]
    line = "He said that the engineer bought a red car. She said that the teacher sold the blue house."
    ids = cp.tokenizer(line, add_special_tokens=False)["input_ids"]
    assert len(ids) > 2 * 8
    rows = perplexity.score(Scoring(cp, text(tmp_path, [line])), perplexity.Settings(window=8, stride=0.5))
    total, start = 0.0, cp.tokenizer.bos_token_id
    for at, token in enumerate(ids):
        # The first window scores 8 tokens; each later one the last 4, given the 4 or more before them.
        begin = 0 if at < 8 else (at - 8) // 4 * 4 + 4
        total -= slow.causal(cp.model, [start, *ids[begin:at], token])[-1]
    assert rows["nll"][0] == pytest.approx(total, abs=1e-3)
    assert rows["tokens"][0] == len(ids)


@pytest.mark.parametrize(
    ("count", "size", "step"), [(20, 8, 4), (8, 8, 4), (9, 8, 8), (3, 8, 1), (25, 8, 3), (0, 8, 4)]
)
def test_windows_score_each_token_once_and_have_context(count, size, step):
    found = list(windows(count, size, step))
    assert [i for _, stop, first in found for i in range(first, stop)] == list(range(count))
    for start, stop, first in found:
        assert start <= first and stop - start <= size
        assert start == 0 or first - start >= size - step


@pytest.mark.parametrize("build", ["tiny_bert", "tiny_roberta"])
def test_pseudo_perplexity_equals_one_mask_at_a_time(build, models, tmp_path):
    cp = models[build]
    rows = pseudo_perplexity.score(Scoring(cp, text(tmp_path)), pseudo_perplexity.Settings())
    special = set(cp.tokenizer.all_special_ids) - {cp.tokenizer.unk_token_id}
    expected, counts = [], []
    for line in filter(None, LINES):
        ids = cp.tokenizer(line)["input_ids"]
        places = [i for i, token in enumerate(ids) if token not in special]
        expected.append(-sum(slow.masked(cp.model, ids, i, ids[i], cp.tokenizer.mask_token_id) for i in places))
        counts.append(len(places))
    np.testing.assert_allclose(rows["nll"], expected, atol=1e-3)
    assert list(rows["tokens"]) == counts
    assert values_of(pseudo_perplexity, rows)["score"] == pytest.approx(-sum(expected) / sum(counts))


def test_a_masked_window_has_the_special_tokens_and_its_own_context(models, tmp_path):
    cp = models["tiny_bert"]
    rows = pseudo_perplexity.score(Scoring(cp, text(tmp_path, LINES[2:3])), pseudo_perplexity.Settings(window=8))
    ids = cp.tokenizer(LINES[2], add_special_tokens=False)["input_ids"]
    total = 0.0
    for at in range(len(ids)):
        begin = 0 if at < 8 else (at - 8) // 4 * 4 + 4
        window = [cp.tokenizer.cls_token_id, *ids[begin : begin + 8], cp.tokenizer.sep_token_id]
        total -= slow.masked(cp.model, window, 1 + at - begin, ids[at], cp.tokenizer.mask_token_id)
    assert rows["nll"][0] == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize(
    ("module", "build", "head"), [(perplexity, tiny_llama, "causal_lm"), (pseudo_perplexity, tiny_bert, "masked_lm")]
)
def test_a_uniform_model_has_the_size_of_its_vocabulary(module, build, head, tmp_path):
    cp = slow.silence(checkpoints.load(build(head, tmp_path / "model")))
    rows = module.score(Scoring(cp, text(tmp_path)), module.Settings())
    (name,) = [each for each in values_of(module, rows) if "perplexity" in each]
    found = {each.name: each for each in module.summarize(rows, module.Settings())}
    assert found[name].value(len(rows)) == pytest.approx(found[name].random) == cp.model.config.vocab_size
    assert found["score"].value(len(rows)) == pytest.approx(found["score"].random)


def test_a_sample_of_lines_and_mistakes(models, tmp_path):
    cp = models["tiny_llama"]
    part = perplexity.score(Scoring(cp, text(tmp_path)), perplexity.Settings(sample=2))
    whole = perplexity.score(Scoring(cp, text(tmp_path)), perplexity.Settings()).set_index("item")
    assert len(part) == 2
    np.testing.assert_allclose(part["nll"], whole.loc[part["item"], "nll"], atol=1e-4)
    with pytest.raises(UserError, match="has no line with text"):
        perplexity.score(Scoring(cp, text(tmp_path, ["", " "])), perplexity.Settings())
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"bytes\.txt begins with a byte-order mark of utf-16, so it is not utf-8"):
        perplexity.score(Scoring(cp, {"text": [tmp_path / "bytes.txt"]}), perplexity.Settings())
