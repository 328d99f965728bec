"""The keys of a study file: their types, bounds and descriptions (docs/study.md is generated from these)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from fairshrink.contracts import ModelFamily, Precision, RestorePolicy, StoredType
from fairshrink.data.table import Said, Table, each_once, said
from fairshrink.settings import Below, Inside, Possible, Settings


class Files(Settings):
    """Files inside a download, as a metric reads them."""

    download: str = Field(description="name of an entry under `downloads`")
    file: Below | Annotated[list[Below], Field(min_length=1)] = Field(
        description="file(s) or folder inside the download"
    )

    @field_validator("file")
    @classmethod
    def _each_once(cls, value: str | list[str]) -> str | list[str]:
        names = each_once(value)
        for outer, inner in itertools.permutations(names, 2):
            if outer == "." or inner.startswith(f"{outer}/"):
                raise ValueError(f"{inner} is in the folder {outer}, which is named too; name one of the two")
        return value

    @property
    def files(self) -> list[str]:
        """The files as a list, even if there is only one."""
        return [self.file] if isinstance(self.file, str) else list(self.file)


class Model(Settings):
    """A pretrained model."""

    download: str = Field(description="name of the entry under `downloads` that contains it")
    folder: Below = Field(".", description="folder inside the download with config.json, weights and tokenizer")
    family: ModelFamily = Field(
        description="encoder (such as BERT, or T5 without its decoder) or causal (such as GPT-2, Llama)"
    )
    gguf_file: Below | None = Field(None, description="name of a GGUF file in `folder`, if the model is one")
    dtype: StoredType = Field("float32", description="type in which its checkpoints are stored")
    weights: float | None = Field(
        None,
        gt=0,
        description="how many it has, such as 1.7e9: time, memory and disk are told from it until its files are here",
    )
    tasks: list[str] = Field(min_length=1, description="tasks for which a baseline of this model is made")


class TaskKeys(Settings):
    """Keys of a task that do not depend on its kind."""

    kind: str = Field(description="one of the files in fairshrink/tasks/")
    train: Table | None = Field(None, description="the labeled examples")
    test: dict[str, Table] | None = Field(
        None,
        description="named tables to test on; without it a share of `train` is held out, differently in each split",
    )
    splits: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="one baseline is made for each; the number seeds it"
    )
    finetune: bool = Field(
        True,
        description="false: models are used as they are, with the task head that their file has; needs no `train`",
    )
    polarity: dict[Said, float] | None = Field(
        None,
        description="classification of single texts: how positive each label is, for metrics of sentiment "
        "(`{negative: -1, neutral: 0, positive: 1}`), which then score the expected value",
    )

    @field_validator("polarity", mode="before")
    @classmethod
    def _labels_as_text(cls, value: Any) -> Any:
        return {said(label): number for label, number in value.items()} if isinstance(value, Mapping) else value

    @field_validator("polarity")
    @classmethod
    def _two_poles(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value is not None and not (len(set(value.values())) > 1 and all(map(math.isfinite, value.values()))):
            raise ValueError("polarities are at least two different numbers; a negative one for what is negative")
        return value


class CompressionKeys(Settings):
    """Keys of a compression that do not depend on its method."""

    method: str = Field(description="one of the files in fairshrink/compression/, but for controls")
    models: list[str] | None = Field(None, description="models it is applied to; by default all")
    tasks: list[str] | None = Field(None, description="tasks whose baselines it is applied to; by default all")


class ChainKeys(Settings):
    """Several compressions, one after another."""

    chain: Annotated[list[dict[str, Any]], Field(min_length=2)] = Field(
        description="the steps in their order, each a `method` with its settings; a list of values makes a grid"
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_]{1,40}$",
        description="its name in the tables: letters, digits and _; by default its methods, joined by +",
    )
    models: list[str] | None = Field(None, description="models it is applied to; by default all")
    tasks: list[str] | None = Field(None, description="tasks whose baselines it is applied to; by default all")


class ControlKeys(Settings):
    """Keys of a control that do not depend on its method."""

    method: str = Field(description="one of the files in fairshrink/compression/controls/, but for dose")
    models: list[str] | None = Field(None, description="models it is made of; by default all that it can be made of")
    tasks: list[str] | None = Field(
        None, description="tasks whose baselines it is made of; by default all that it can be made of"
    )
    metrics: list[str] | None = Field(
        None, description="names of the metrics that score it; by default all that score its baseline"
    )


class DoseKeys(Settings):
    """A stated stereotype, of which baselines get some rows to learn."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_]+$", max_length=40, description="its name in the tables: letters, digits and _"
    )
    task: str = Field(description="the task whose baselines are trained again")
    table: Table = Field(description="the rows to choose from, with the columns that the task's `train` has")
    amounts: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
        description="how many training examples are replaced by rows of the table; one checkpoint for each amount"
    )
    dose_seed: list[Annotated[int, Field(ge=0)]] = Field(
        [0], min_length=1, description="which draws of rows and of examples to replace; one checkpoint for each"
    )
    models: list[str] | None = Field(None, description="models whose baselines are trained again; by default all")
    metrics: list[str] | None = Field(
        None, description="names of the metrics that score them; by default all that score the baseline"
    )


class MetricKeys(Settings):
    """Keys of a metric that do not depend on which metric it is."""

    metric: str = Field(description="one of the files in fairshrink/metrics/")
    name: str | None = Field(None, description="name in the tables; by default the metric's")
    models: list[str] | None = Field(None, description="models it is applied to; by default all that can be scored")
    tasks: list[str] | None = Field(None, description="tasks it is applied to; by default all that can be scored")
    precision: Precision = Field("fp32", description="arithmetic of the model; bf16: matrix products in bfloat16")
    margin: float | None = Field(
        None,
        gt=0,
        description="the smallest change of its headline that matters, in units of it; by default as its card says",
    )
    data: dict[str, Files] = Field({}, description="where the metric's data are, by role")


class Statistics(Settings):
    """How intervals are computed."""

    level: float = Field(0.95, gt=0, lt=1, description="confidence level of the intervals")


class Request(Settings):
    """What a job of one stage requests from a cluster; doubled, tripled … when a job is retried."""

    minutes: int = Field(ge=1, description="wall time for each artifact that the job makes")
    mem_mb: int = Field(ge=1, description="main memory in MiB")
    gpus: int | None = Field(None, ge=0, description="GPUs; by default 1, or 0 if `device` is cpu")
    cpus: int | None = Field(None, ge=1, description="CPU cores; by default `threads`")


class Execution(Settings):
    """How jobs are grouped and run; changes no result and no key."""

    threads: int = Field(1, ge=1, description="CPU threads of a job")
    checkpoints_per_job: int = Field(
        16, ge=1, description="checkpoints of one baseline that one job compresses or scores"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$",
        description="cpu, cuda, cuda:N, or auto (cuda where there is one)",
    )
    restore: RestorePolicy = Field(
        "required",
        description="artifacts that are missing here but have a DVC pointer: `preferred` fetches them, or computes "
        "those that are not available; `required` stops if one is not available; `never` computes them",
    )
    save_minutes: float = Field(
        5.0, gt=0, description="fine-tuning saves its state this often; a job that was stopped resumes from there"
    )
    finetune: Request = Field(
        Request(minutes=240, mem_mb=16000), description="what fine-tuning requests from a cluster"
    )
    compress: Request = Field(Request(minutes=10, mem_mb=16000), description="what compression requests from a cluster")
    evaluate: Request = Field(Request(minutes=10, mem_mb=16000), description="what scoring requests from a cluster")


class StudyKeys(Settings):
    """Top-level keys of a study."""

    study: str = Field(
        pattern=r"^[A-Za-z0-9_]+$", max_length=80, description="its name: at most 80 letters, digits and _"
    )
    seed: int = Field(0, ge=0, description="added to a split's number to seed everything random in it")
    downloads: dict[str, dict[str, Any]] = Field(description="what is fetched, pinned: `source` and its settings")
    models: dict[str, Any] = Field(description="pretrained models by name")
    tasks: dict[str, dict[str, Any]] = Field(description="tasks by name")
    compressions: list[dict[str, Any]] = Field([], description="methods; a list of values for a setting makes a grid")
    controls: list[dict[str, Any]] = Field(
        [], description="damage without compression, and models that know nothing; a list of values makes a grid"
    )
    doses: list[dict[str, Any]] = Field([], description="baselines trained on examples of a stated stereotype as well")
    metrics: list[dict[str, Any]] = Field(min_length=1, description="metrics and what they are applied to")
    statistics: Statistics = Field(Statistics(), description="intervals")
    validity: Possible | None = Field(
        None,
        description="file `validity.csv` of a study that tested the metrics; a metric that failed is not measurable, "
        "one that failed only where training in general is asked for speaks of the checkpoints at hand",
    )
    execution: Execution = Field(Execution(), description="how jobs are grouped and run; changes no result")
    output: Inside = Field("results", description="folder for tables/, figures/ and report.html, also in `<study>/`")
