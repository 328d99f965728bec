"""Attention layers that need to know which heads they have left, where sizes of matrices do not say it.

A relative-position bias or ALiBi slopes belong to single heads and are computed once for all layers; Phi-3 reads the
number of heads from the config that all layers share. Each class is the architecture's own attention with one thing
more, ``kept_heads``: the numbers that its heads had in the original model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.models.bloom.modeling_bloom import BloomAttention
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention
from transformers.models.phi3.modeling_phi3 import Phi3Attention
from transformers.models.t5.modeling_t5 import T5Attention


class FewerBloomHeads(BloomAttention):
    """BLOOM's attention with the ALiBi slopes of its own heads."""

    kept_heads: Sequence[int]

    def forward(
        self, hidden_states: torch.Tensor, residual: torch.Tensor, alibi: torch.Tensor, *args: Any, **kw: Any
    ) -> Any:
        """``alibi``: [batch x heads of the original model, 1, keys]."""
        own = alibi.view(len(hidden_states), -1, *alibi.shape[1:])[:, list(self.kept_heads)].flatten(0, 1)
        return super().forward(hidden_states, residual, own, *args, **kw)


class FewerMPNetHeads(MPNetSelfAttention):
    """MPNet's attention with the position bias of its own heads."""

    kept_heads: Sequence[int]

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_bias: torch.Tensor | None = None,
        *args: Any,
        **kw: Any,
    ) -> Any:
        """``position_bias``: [batch, heads of the original model, queries, keys]."""
        own = None if position_bias is None else position_bias[:, list(self.kept_heads)]
        return super().forward(hidden_states, attention_mask, own, *args, **kw)


class FewerT5Heads(T5Attention):
    """T5's attention with the position bias of its own heads; it passes that of all heads on to the next layer."""

    kept_heads: Sequence[int]

    def forward(
        self,
        hidden_states: torch.Tensor,
        mask: torch.Tensor | None = None,
        key_value_states: torch.Tensor | None = None,
        position_bias: torch.Tensor | None = None,
        **kw: Any,
    ) -> Any:
        """``position_bias``: [1, heads of the original model, queries, keys], None in the first layer."""
        if position_bias is None:  # an encoder has no cache, so keys are those of this text
            length = hidden_states.shape[1]
            position_bias = self.compute_bias(length, length, device=hidden_states.device)
        own = position_bias[:, list(self.kept_heads)]
        out, _, weights = super().forward(hidden_states, mask, key_value_states, own, **kw)
        return out, position_bias, weights


class FewerPhi3Heads(Phi3Attention):
    """Phi-3's attention with a number of query heads of its own in its view of the config."""

    kept_heads: Sequence[int]
    shared_config: PreTrainedConfig

    @property
    def config(self) -> PreTrainedConfig:
        """The model's config as it is now, but for the number of heads."""
        own = copy.copy(self.shared_config)
        own.num_attention_heads = len(self.kept_heads)
        return own


CLASSES: dict[type[torch.nn.Module], type[torch.nn.Module]] = {
    BloomAttention: FewerBloomHeads,
    MPNetSelfAttention: FewerMPNetHeads,
    T5Attention: FewerT5Heads,
    Phi3Attention: FewerPhi3Heads,
}


def keep(attention: torch.nn.Module, heads: Sequence[int]) -> None:
    """Let an attention module know which of its present query heads it keeps; others than those above need not know."""
    if type(attention) in CLASSES:
        if isinstance(attention, Phi3Attention):
            attention.shared_config = attention.config
            del attention.config
        attention.__class__ = CLASSES[type(attention)]
        attention.kept_heads = list(heads)
    elif type(attention) in CLASSES.values():
        attention.kept_heads = [attention.kept_heads[head] for head in heads]
