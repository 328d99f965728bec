"""Settings that all kinds of training share; without torch, because validating a study imports them."""

from __future__ import annotations

from pydantic import Field

from fairshrink.contracts import Precision
from fairshrink.settings import Settings


class TrainingSettings(Settings):
    """How a model is fine-tuned, and how its table is divided."""

    epochs: int = Field(1, ge=1, description="passes over the training examples")
    batch_size: int = Field(32, ge=1, description="examples per step")
    learning_rate: float = Field(5e-5, gt=0, description="peak learning rate; rises linearly, then falls to 0")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of weight matrices")
    clip_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this norm")
    max_length: int = Field(128, ge=8, description="tokens of an example; longer ones are truncated, in scoring too")
    dev_share: float = Field(0.0, ge=0, lt=0.5, description="share of the training table held out for development")
    test_share: float = Field(0.2, gt=0, lt=0.9, description="share held out for testing where there is no test table")
    train_items: int | None = Field(None, ge=1, description="train on at most this many examples, drawn by the split")
    frozen_embeddings: bool = Field(False, description="do not train the embeddings (and a decoder tied to them)")
    precision: Precision = Field("fp32", description="bf16: matrix products of training in bfloat16")
