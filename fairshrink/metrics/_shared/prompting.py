"""Prompts for causal models: plain, or as the one message of a conversation by the model's own chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.errors import UserError

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


def prompt_ids(cp: Checkpoint, prompt: str, chat_template: bool) -> list[int]:
    """Token ids of a prompt: after the start token, or in the model's chat template up to where its answer begins.

    UserError if a chat template is asked for and the tokenizer has none.
    """
    from fairshrink.models.inference.batching import token_ids
    from fairshrink.models.inference.sequences import start_token

    if not chat_template:
        return [start_token(cp.tokenizer), *token_ids(cp, prompt, add_special_tokens=False)]
    if not cp.tokenizer.chat_template:
        raise UserError(
            "chat_template: the model's tokenizer has no chat template; write `chat_template: false`, or leave the "
            "metric to other models with `models:`"
        )
    messages = [{"role": "user", "content": prompt}]
    text = cp.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return token_ids(cp, text, add_special_tokens=False)


def answer_ids(cp: Checkpoint, answer: str, chat_template: bool) -> list[int]:
    """Token ids of an answer right after a prompt: a word in a text begins with a space, the first of a turn does not.

    Prompt and answer are tokenized apart, so that a prompt's ids are the same whatever follows. A tokenizer that adds a
    space of its own gets none more.
    """
    from fairshrink.models.inference.batching import token_ids

    return token_ids(cp, answer if chat_template else " " + answer, add_special_tokens=False)
