"""Plans on disk, where the processes of their jobs find them.

``.snakemake/fairshrink/plan-<hash>/`` contains ``plan.json`` (the jobs with their files, from which the rules are made)
and ``jobs/<name>.json`` (everything that one job needs), so that no job has to read the data of thousands of others.
The hash is that of ``plan.json``, which has the hashes of the jobs' files: what was changed since is not followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fairshrink.contracts import CodeEntry
from fairshrink.errors import UserError
from fairshrink.planning.described import adapter
from fairshrink.planning.plan import Job, Order, Plan
from fairshrink.store.artifacts import Recipe
from fairshrink.study.jobs import StageJob
from fairshrink.study.uses import Use

FOLDER = Path(".snakemake/fairshrink")
MAX_PLANS = 20
SHA256 = "sha256"
"""The key of ``plan.json`` with the hash of a job's file."""
EXPECTED: TypeAdapter[tuple[tuple[str, Use], ...]] = TypeAdapter(tuple[tuple[str, Use], ...])


def write(plan: Plan, folder: Path = FOLDER) -> Path:
    """Write a plan, named by its content; returns its ``plan.json``. The oldest that no run uses are removed."""
    texts = {f"jobs/{job.name}.json": _dump(_packed(job)) for job in plan.jobs}
    outlines = [_outline(job) | {SHA256: _sha256(texts[f"jobs/{job.name}.json"])} for job in plan.jobs]
    texts["plan.json"] = _dump(asdict(replace(plan, jobs=())) | {"jobs": outlines})
    target = folder / _name(texts["plan.json"])
    if (target / "plan.json").is_file():
        os.utime(target)
    else:
        try:
            _fill(target, texts)
        except FileNotFoundError:  # a run that began meanwhile has taken it for a leftover
            _fill(target, texts)
    for old in sorted(folder.glob("plan-*/"), key=_age)[:-MAX_PLANS]:
        if not _in_use(old / "plan.json"):
            shutil.rmtree(old, ignore_errors=True)
    return target / "plan.json"


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Inside, a plan is not removed, however many others are written: a job reads it when it starts."""
    with path.open() as stream:
        with suppress(OSError):  # a disk without locks
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


def _in_use(path: Path) -> bool:
    with suppress(OSError), path.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _age(plan: Path) -> float:
    """When a plan was written last; one that another process is removing counts as the oldest."""
    try:
        return plan.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _fill(target: Path, texts: dict[str, str]) -> None:
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    (temporary / "jobs").mkdir(parents=True)
    for name, text in texts.items():
        (temporary / name).write_text(text, encoding="utf-8")
    try:
        temporary.rename(target)
    except OSError:
        # Another process has just written the same plan, or an interrupted removal left half of it.
        if not (target / "plan.json").is_file():
            shutil.rmtree(target)
            temporary.rename(target)
    shutil.rmtree(temporary, ignore_errors=True)


def read(path: Path) -> Plan:
    """A plan written by `write`; its jobs have their files, but not their artifacts (see `read_job`).

    UserError if it was changed since it was written.
    """
    return _plan(_whole(path))


def _plan(value: dict[str, Any]) -> Plan:
    jobs = tuple(_job({name: each for name, each in job.items() if name != SHA256}) for job in value["jobs"])
    return Plan(**(value | {"jobs": jobs, "paths": tuple(value["paths"])}))


def read_job(path: Path, name: str) -> Job:
    """One job of the plan at ``path`` with its artifacts. UserError if it was changed or removed since."""
    return read_with_job(path, name)[1]


def read_with_job(path: Path, name: str, stage: str = "") -> tuple[Plan, Job]:
    """A plan and one of its jobs (of a ``stage``) with its artifacts, read at once. UserError as for the two alone."""
    value = _whole(path)
    hashes = {job["name"]: job[SHA256] for job in value["jobs"] if stage in ("", job["stage"])}
    if name not in hashes:
        of = f" of stage {stage}" if stage else ""
        raise UserError(f"{path}: no job '{name}'{of}; it has: {', '.join(hashes) or 'none'}")
    file = path.parent / "jobs" / f"{name}.json"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if _sha256(text) != hashes[name]:
        raise UserError(f"{file}: it is not as the plan was written; delete {path.parent} and run again")
    return _plan(value), _job(json.loads(text))


def _whole(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    if _name(text) != path.parent.name:
        raise UserError(f"{path}: it is not as it was written; delete {path.parent} and run again")
    value: dict[str, Any] = json.loads(text)
    return value


def _name(text: str) -> str:
    return f"plan-{_sha256(text)[:16]}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _outline(job: Job) -> dict[str, Any]:
    return {name: value for name, value in vars(job).items() if name not in ("artifacts", "expects")}


def _packed(job: Job) -> dict[str, Any]:
    """The job as JSON; artifacts made by the same code refer to one table of it."""
    codes: list[dict[str, Any]] = []
    indices: dict[int, int] = {}
    packed = []
    for each in job.artifacts:
        recipe = each.recipe
        code = recipe.parts["code"]
        if id(code) not in indices:
            indices[id(code)] = len(codes)
            codes.append({"hashes": code, "entries": [list(entry) for entry in map(astuple, each.entries)]})
        written = {
            "stage": recipe.stage,
            "name": recipe.name,
            "key": recipe.key,
            "path": recipe.path,
            "parts": {**recipe.parts, "code": indices[id(code)]},
        }
        packed.append({"recipe": written, "job": adapter(recipe.stage).dump_python(each.job, mode="json")})
    expected = EXPECTED.dump_python(job.expects, mode="json")
    return _outline(job) | {"artifacts": packed, "codes": codes, "expects": expected}


def _job(value: dict[str, Any]) -> Job:
    codes = value.pop("codes", [])
    orders = tuple(_order(each["recipe"], each["job"], codes) for each in value.get("artifacts", ()))
    files = {name: tuple(value[name]) for name in ("inputs", "outputs")}
    expected = EXPECTED.validate_python(value.get("expects", ()))
    return Job(**(value | files | {"artifacts": orders, "expects": expected}))


def _order(recipe: dict[str, Any], job: dict[str, Any], codes: list[dict[str, Any]]) -> Order[StageJob]:
    code = codes[recipe["parts"]["code"]]
    parts = recipe["parts"] | {"code": code["hashes"]}
    entries = tuple(CodeEntry(*each) for each in code["entries"])
    return Order(Recipe(**(recipe | {"parts": parts})), adapter(recipe["stage"]).validate_python(job), entries)
