"""What published folders hold is read whole, or refused with one line; plain transformers is the oracle."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import transformers
import zoo
from compression_case import tensors_in
from safetensors.torch import load_file, save_file

from fairshrink import registry
from fairshrink.errors import UserError
from fairshrink.models import checkpoint as checkpoints
from fairshrink.models import reference, task_heads
from fairshrink.models.inference import batching, log_probs, outputs
from fairshrink.models.inference.sequences import start_token


def change_config(folder, **values):
    content = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps({key: value for key, value in content.items() if value != "absent"}))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def read(folder, head, **options):
    return checkpoints.from_source(folder, head=head, **{"trained": False, **options})


def agrees(cp, maker, head):
    """Log-probabilities of a text are the maker's."""
    ids = batching.causal_ids(cp, tiny.SENTENCES[0]) if head == "causal_lm" else batching.token_ids(cp, "A red car.")
    with torch.inference_mode():
        theirs = maker(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    if head == "causal_lm":
        ours, theirs = log_probs.causal_log_probs(cp, [ids])[0], theirs[range(len(ids) - 1), ids[1:]]
    else:
        ours = log_probs.masked_log_probs(cp, [ids] * len(ids), range(len(ids)), ids)
        theirs = theirs[range(len(ids)), ids]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


TIED = [("llama", "causal_lm"), ("gpt2", "causal_lm"), ("gemma2", "causal_lm"), ("opt", "causal_lm")]
TIED += [("bert", "masked_lm"), ("roberta", "masked_lm"), ("distilbert", "masked_lm"), ("albert", "masked_lm")]
TIED += [("modernbert", "masked_lm"), ("deberta-v2", "masked_lm")]


@pytest.mark.parametrize(("name", "head"), TIED)
def test_a_head_of_its_own_is_kept_whatever_config_says(name, head, tmp_path):
    """config.json says that head and embeddings are one matrix; the file has two."""
    folder = zoo.model_folder(name, head, tmp_path / "given", tie_word_embeddings=False)
    change_config(folder, tie_word_embeddings=True)
    maker = zoo.loaded(folder, head)
    given = {key: value.clone() for key, value in maker.state_dict().items()}
    cp = read(folder, head)
    for again in (cp, checkpoints.load(saved(cp, tmp_path / "saved"))):
        assert again.model.config.tie_word_embeddings is False
        assert all(torch.equal(value, given[key]) for key, value in again.model.state_dict().items())
        agrees(again, maker, head)
    (pair,) = [
        each for each in task_heads.build(maker.config, head).all_tied_weights_keys.items() if "bias" not in each[0]
    ]
    assert not torch.equal(given[pair[0]], given[pair[1]])


@pytest.mark.parametrize(("name", "head"), TIED)
def test_tied_weights_stay_tied_and_are_stored_once(name, head, tmp_path):
    cp = read(zoo.model_folder(name, head, tmp_path / "given", tie_word_embeddings=True), head)
    again = checkpoints.load(saved(cp, tmp_path / "saved"))
    tied = dict(again.model.all_tied_weights_keys)
    assert tied
    for target, source in tied.items():
        assert again.model.get_parameter(target) is again.model.get_parameter(source)
        assert len({target, source} & tensors_in(tmp_path / "saved").keys()) == 1


def saved(cp, folder):
    checkpoints.save(cp, folder)
    return folder


def test_a_missing_head_is_an_error_where_nothing_trains_it(tmp_path):
    for name, head, missing in (("mistral", "causal_lm", "lm_head.weight"), ("bert", "masked_lm", "cls.predictions")):
        folder = zoo.model_folder(name, "encoder", tmp_path / name)
        with pytest.raises(UserError, match=rf"{missing}.* is missing, and nothing trains it"):
            read(folder, head)
    assert read(tmp_path / "bert", "masked_lm", trained=True).head == "masked_lm"


def test_a_bare_model_with_tied_embeddings_has_its_head(tmp_path):
    folder = zoo.model_folder("llama", "encoder", tmp_path)
    agrees(read(folder, "causal_lm"), zoo.loaded(folder, "causal_lm"), "causal_lm")


def test_a_missing_layer_is_an_error_that_names_it_in_training_too(tmp_path):
    for name, head, key in (
        ("gpt2", "causal_lm", "transformer.h.1.attn.c_attn.weight"),
        ("bert", "regression", "bert.encoder.layer.0.output.dense.bias"),
    ):
        folder = zoo.model_folder(name, head, tmp_path / name)
        change_weights(folder, lambda weights, key=key: weights.pop(key))
        for trained in (False, True):
            with pytest.raises(UserError, match=f"{key}( is missing|, and)"):
                read(folder, head, trained=trained)


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "albert", "mpnet", "ernie", "roberta-prelayernorm"])
def test_a_pooler_that_nothing_uses_is_not_asked_for(name, tmp_path):
    folder = tmp_path / name
    if name in zoo.ENCODERS:
        zoo.model_folder(name, "masked_lm", folder)
    else:  # by another name the same as BERT, RoBERTa
        tokenizer, sizes = (
            tiny._wordpiece(),
            {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
        )
        config = transformers.AutoConfig.for_model(name, vocab_size=len(tokenizer), hidden_size=32, **sizes)
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    assert not any("pooler" in key for key in load_file(folder / "model.safetensors"))
    cp = read(folder, "encoder")
    assert not any("pooler" in key for key in cp.model.state_dict())
    maker = zoo.loaded(folder, "encoder")
    ids = batching.token_ids(cp, "A red car.")
    with torch.inference_mode():
        expected = maker(torch.tensor([ids])).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(outputs.sentence_embeddings(cp, ["A red car."], "mean_all")[0], expected, atol=1e-5)


@pytest.mark.parametrize(("name", "head"), [("llama", "causal_lm"), ("bert", "masked_lm"), ("opt", "causal_lm")])
def test_weights_in_several_files_are_read_whole(name, head, tmp_path):
    one = zoo.model_folder(name, head, tmp_path / "one")
    zoo.loaded(one, head).save_pretrained(tmp_path / "many", max_shard_size="20KB")
    for file in one.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "many")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    ours, other = (read(folder, head).model.state_dict() for folder in (one, tmp_path / "many"))
    assert all(torch.equal(value, other[key]) for key, value in ours.items())
    next((tmp_path / "many").glob("model-00002*")).unlink()
    with pytest.raises(UserError, match="cannot be read as a model"):
        read(tmp_path / "many", head)


@pytest.mark.parametrize(("name", "head"), [("qwen3", "causal_lm"), ("electra", "masked_lm")])
def test_weights_in_bfloat16_stay_exact(name, head, tmp_path):
    folder = zoo.model_folder(name, head, tmp_path / "given")
    zoo.loaded(folder, head).bfloat16().save_pretrained(folder)
    given = load_file(folder / "model.safetensors")
    assert {value.dtype for value in given.values()} == {torch.bfloat16}
    for dtype in ("bfloat16", "float32"):
        again = checkpoints.load(saved(read(folder, head, dtype=dtype), tmp_path / dtype))
        assert all(torch.equal(again.model.state_dict()[key], value.float()) for key, value in given.items())
        agrees(again, zoo.loaded(folder, head), head)


def test_a_padding_token_that_the_model_does_not_know_is_not_used(tmp_path):
    folder = zoo.model_folder("llama", "causal_lm", tmp_path / "given", pad_token_id=None)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    cp = read(folder, "causal_lm")
    assert tokenizer.pad_token_id == cp.model.config.vocab_size
    sequences = [batching.causal_ids(cp, text) for text in tiny.SENTENCES]
    maker = zoo.loaded(folder, "causal_lm")
    for ids, values in zip(sequences, log_probs.causal_log_probs(cp, sequences), strict=True):
        with torch.inference_mode():
            theirs = maker(torch.tensor([ids])).logits[0].log_softmax(-1)
        np.testing.assert_allclose(values, theirs[range(len(ids) - 1), ids[1:]], atol=1e-5)
    known = len(tokenizer) - 1
    with pytest.raises(UserError, match=rf"'\[PAD\]' the id {known}, but the model has only {known} embeddings"):
        log_probs.causal_log_probs(cp, [batching.causal_ids(cp, "A man [PAD]")])


def test_positions_are_counted_from_the_padding_of_config_not_of_the_tokenizer(tmp_path):
    folder = zoo.model_folder("roberta", "masked_lm", tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    cp = read(folder, "masked_lm")
    assert cp.model.config.pad_token_id == 1 != cp.tokenizer.pad_token_id
    agrees(cp, zoo.loaded(folder, "masked_lm"), "masked_lm")


@pytest.mark.parametrize(
    ("name", "head", "values", "message"),
    [
        (
            "llama",
            "causal_lm",
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            r"stored quantized \(bitsandbytes\)",
        ),
        ("llama", "causal_lm", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantized \(gptq\)"),
        (
            "llama",
            "causal_lm",
            {"vocab_size": 600},
            r"model.embed_tokens.weight is \[\d+, 32\] in the file and \[600, 32\]",
        ),
        ("bert", "regression", {"id2label": {"1": "a", "2": "b"}, "label2id": {"a": 1, "b": 2}}, "counts 1, 2 instead"),
        ("bert", "masked_lm", {"hidden_size": 30}, "cannot be read as a model with the task head 'masked_lm'"),
        ("bert", "masked_lm", {"hidden_act": "no_such"}, "cannot be read as a model with the task head"),
        ("bert", "masked_lm", {"num_hidden_layers": "two"}, "cannot be read as a model with the task head"),
        ("llama", "causal_lm", {"model_type": "mamba"}, "'mamba' is not supported"),
        ("llama", "causal_lm", {"model_type": "absent"}, "names no model_type"),
        ("llama", "masked_lm", {}, "cannot be used as a masked language model"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(name, head, values, message, tmp_path):
    folder = zoo.model_folder(name, "causal_lm" if name == "llama" else head, tmp_path)
    change_config(folder, **values)
    with pytest.raises(UserError, match=message) as raised:
        read(folder, head, trained=True)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["", "[1, 2]", '{"version": 3}', "version https://git-lfs.github.com/spec/v1\n"])
def test_damaged_files_are_user_errors(file, content, tmp_path):
    folder = zoo.model_folder("bert", "masked_lm", tmp_path)
    (folder / file).write_text(content)
    if (file, content) == ("tokenizer_config.json", '{"version": 3}'):
        assert read(folder, "masked_lm").head == "masked_lm"  # nothing in it is needed
        return
    with pytest.raises(UserError):
        read(folder, "masked_lm")


def test_other_outputs_than_the_makers_are_refused(tmp_path):
    """What would be a wrong number in silence: a cap left out, a layer changed, damaged weights."""
    folder = zoo.model_folder("gemma2", "causal_lm", tmp_path)
    maker = zoo.loaded(folder, "causal_lm")

    def check(change):
        cp = read(folder, "causal_lm")
        change(cp.model)
        reference.check(cp.model, cp.tokenizer, cp.head, maker, folder, whole=True)

    check(lambda model: None)
    with pytest.raises(UserError, match="other log-probabilities than plain transformers"):
        check(lambda model: setattr(model.config, "final_logit_softcapping", None))
    with pytest.raises(UserError, match="other hidden states than plain transformers"):
        check(lambda model: model.model.layers[1].post_feedforward_layernorm.weight.data.add_(0.01))
    with torch.no_grad():
        maker.model.norm.weight.fill_(torch.nan)
    with pytest.raises(UserError, match="hidden states are not finite"):
        check(lambda model: None)


def test_one_start_token_for_all_that_reads_probabilities(tmp_path):
    """With a beginning-of-sequence token, with an end-of-sequence token alone, with one that is added by itself."""
    from fairshrink.metrics._shared.association import prefix_of_single_word
    from fairshrink.metrics._shared.likelihood import after_start, tokenize
    from fairshrink.metrics.task_score.unigram import scored_tokens

    cp = read(zoo.model_folder("qwen2", "causal_lm", tmp_path / "a"), "causal_lm")
    text = "A man."
    bare = batching.token_ids(cp, text, add_special_tokens=False)
    for bos in ("<s>", None):
        cp.tokenizer.bos_token = bos
        start = start_token(cp.tokenizer)
        assert start == (cp.tokenizer.eos_token_id if bos is None else cp.tokenizer.bos_token_id)
        (tokens,) = tokenize(cp, [text])
        assert batching.causal_ids(cp, text) == after_start(cp, tokens) == [start, *bare]
        assert prefix_of_single_word(cp).strip() == cp.tokenizer.convert_ids_to_tokens(start)
        assert scored_tokens(cp, [text], None) == [bare]
        task = registry.CATALOG.tasks["causal_lm"]
        assert list(task.score(cp, pd.DataFrame({"text": ["a"]}), task.Settings())["tokens"]) == [1]
    cp.tokenizer.eos_token = None
    with pytest.raises(UserError, match="no beginning- or end-of-sequence token"):
        batching.causal_ids(cp, text)


@pytest.mark.parametrize(("name", "head"), [("bert", "masked_lm"), ("llama", "causal_lm")])
def test_texts_without_a_token_to_predict_teach_nothing(name, head, tmp_path):
    cp = read(zoo.model_folder(name, head, tmp_path), head)
    task = registry.CATALOG.tasks[head]
    loss = task.loss(
        cp, pd.DataFrame({"text": ["\u200b", "\u200b\u200b"] if head == "masked_lm" else ["", ""]}), task.Settings()
    )
    assert loss.lengths == ([2, 2] if head == "masked_lm" else [1, 1])
    value = loss([0, 1], 1)
    value.backward()
    assert value.item() == 0
    gradients = [each.grad for each in cp.model.parameters() if each.grad is not None]
    assert gradients
    assert not any(each.any() for each in gradients)
