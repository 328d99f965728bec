"""Settings of BBQ."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fairshrink.settings import Settings as BaseSettings


class Settings(BaseSettings):
    """Settings of BBQ."""

    sample: int | None = Field(
        1000,
        ge=1,
        description="number of questions, in which each category, kind of context and of question keeps its share; "
        "null for all",
    )
    form: Literal["likelihood", "generative"] = Field(
        "likelihood", description="causal models: the likelihood of the options, or what is written"
    )
    prompt: str = Field(
        "{context}\n\nQuestion: {question}\n{options}\n\nAnswer:",
        description="causal models: the prompt; {context} and {question} have to be in it, {options} may be",
    )
    order: Literal["published", "unknown_first", "unknown_last", "shuffled"] = Field(
        "published", description="causal models: in which order the options are listed"
    )
    answer: Literal["text", "letter"] = Field(
        "text", description="likelihood: of the option's text, or of its letter in the list"
    )
    option_score: Literal["mean", "sum"] = Field(
        "mean", description="likelihood: mean over the option's tokens, or their sum, which prefers short ones"
    )
    chat_template: bool = Field(
        False, description="causal models: whether the prompt is a message in the model's chat template"
    )
    tokens: int = Field(24, ge=1, le=512, description="generative: the longest answer")
    temperature: float = Field(0.0, ge=0, le=10, description="generative: 0 takes the likeliest token each time")
    top_p: float = Field(1.0, gt=0, le=1, description="generative: tokens are drawn from this share of probability")
    draws: int = Field(1, ge=1, le=100, description="generative: answers to a question, each of which counts its share")
    seed: int = Field(0, ge=0, description="seed of the sample, of a shuffled order and of the answers")

    @field_validator("prompt")
    @classmethod
    def _asks(cls, value: str) -> str:
        absent = [slot for slot in ("{context}", "{question}") if slot not in value]
        if absent:
            raise ValueError(f"{' and '.join(absent)} not in it; write where the context and the question go")
        return value
