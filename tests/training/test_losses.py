"""The loss of texts and pairs is the same however many rows are tokenized at once."""

import pandas as pd
import pytest
import tiny
import torch

from fairshrink.models import checkpoint as checkpoints
from fairshrink.tasks import classification
from fairshrink.training import losses


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_are_tokenized_in_parts(tmp_path, monkeypatch, pairs):
    cp = checkpoints.load(tiny.tiny_bert("classification", tmp_path))
    columns = {"text": tiny.SENTENCES, "label": [tiny.LABELS[number % 3] for number in range(10)]}
    if pairs:
        columns["text_pair"] = tiny.SENTENCES[::-1]
    frame = pd.DataFrame(columns).set_axis(range(5, 15))
    settings = classification.Settings(max_length=12)
    whole = classification.loss(cp, frame, settings)
    monkeypatch.setattr(losses, "ROWS_AT_ONCE", 3)
    parts = classification.loss(cp, frame, settings)
    assert parts.lengths == whole.lengths and max(whole.lengths) == 12
    with torch.no_grad():
        for rows in ([0, 9, 4], [3, 2]):
            found = parts(rows, 0)
            assert found == whole(rows, 0)
            texts = [list(frame[name].iloc[rows]) for name in ("text", "text_pair") if name in frame]
            inputs = cp.tokenizer(
                *texts, truncation=True, max_length=12, padding=True, return_token_type_ids=True, return_tensors="pt"
            )
            labels = torch.tensor([rows[number] % 3 for number in range(len(rows))])
            wanted = torch.nn.functional.cross_entropy(cp.model(**inputs).logits, labels)
            assert found.item() == pytest.approx(wanted.item(), abs=1e-5)
