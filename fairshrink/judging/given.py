"""A checkpoint as it is given to be judged: a file, a folder of files, or a folder that `export-items` has written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fairshrink.contracts import BASELINE, CONTROLS, UNDIRECTED
from fairshrink.errors import UserError
from fairshrink.judging.records import json_file
from fairshrink.judging.scorers import stated_damage
from fairshrink.judging.tables import ENDINGS, Options, Table, read, read_all, read_folder
from fairshrink.study.jobs import Identity

MANIFEST = "items.json"
"""What `export-items` writes beside the tables of a checkpoint."""
AGGREGATES = "results_"
"""How names of files begin that lm-evaluation-harness writes beside its samples."""
DAMAGE = "damage"


@dataclass(frozen=True)
class Given:
    """One checkpoint: its tables by split and label. ``ledgers``: size and cost, by split; ``seeds`` too."""

    name: str
    identity: Identity
    tables: Mapping[int, Mapping[str, Table]]
    ledgers: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    seeds: Mapping[int, int] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)

    def with_damage(self, damage: float) -> Given:
        """The same with a stated damage, in place of whatever damage it has. UserError for a negative number."""
        try:
            items = stated_damage.table(damage)
        except ValueError as error:
            raise UserError(f"--damage {self.name}={damage}: {error}") from error
        stated = Table(DAMAGE, "stated_damage", items, {"stated": "--damage"})
        return replace(self, tables={split: {**tables, DAMAGE: stated} for split, tables in self.tables.items()})


def load(path: Path, options: Options) -> Given:
    """The tables at a path. UserError if there is nothing, or something that is no log."""
    if path.is_file():
        found = read_all(path, options)
        if len(found) == 1:
            # Its name is no part of what it is about: two files that are compared have two names.
            found = [replace(found[0], entry=found[0].metric)]
        return _plain(path, {each.label: each for each in found})
    if not path.is_dir():
        raise UserError(f"{path}: there is no such file or folder")
    if (path / MANIFEST).is_file():
        return _exported(path)
    files = [
        each
        for each in sorted(path.iterdir())
        if each.suffix in ENDINGS and each.is_file() and not each.name.startswith(AGGREGATES)
    ]
    if not files:
        below = sorted(each.parent.as_posix() for each in path.rglob(MANIFEST))
        hint = f"; checkpoints are in {', '.join(below[:5])}" if below else ""
        raise UserError(f"{path}: there are no logs in it ({', '.join(ENDINGS)}){hint}")
    tables: dict[str, Table] = {}
    for file, table in read_folder(files, options):
        if table.label in tables:
            raise UserError(f"{file}: a second log of {table.label} in this folder; leave the logs of one run in it")
        tables[table.label] = table
    return _plain(path, tables)


def whole_study(folder: Path) -> list[Given]:
    """All checkpoints below a folder that `export-items` has written; [] if it is no such folder."""
    return [_exported(each.parent) for each in sorted(folder.glob(f"*/*/{MANIFEST}"))] if folder.is_dir() else []


def as_baseline(given: Given) -> Given:
    """The checkpoint in the role of the baseline."""
    return replace(
        given, identity=replace(given.identity, method=BASELINE, method_family="baseline", setting="", sparsity=0.0)
    )


def as_control(given: Given) -> Given:
    """The checkpoint in the role of a control: undirected damage, unless it says which control it is."""
    who = given.identity
    if who.method_family == CONTROLS:
        return given
    return replace(
        given, identity=replace(who, method=UNDIRECTED[0], method_family=CONTROLS, setting=given.name, sparsity=None)
    )


def write_manifest(folder: Path, given: Given, files: Mapping[int, Mapping[str, str]]) -> None:
    """Describe the tables in a folder; ``files``: names of files by split and label."""
    content = {
        "identity": asdict(given.identity),
        "study": dict(given.study),
        "splits": {
            str(split): {
                "ledger": dict(given.ledgers.get(split, {})),
                "seed": given.seeds.get(split, 0),
                "tables": [
                    {
                        "file": files[split][label],
                        "entry": table.entry,
                        "metric": table.metric,
                        "dataset": table.dataset,
                        "settings": dict(table.settings),
                    }
                    for label, table in tables.items()
                ],
            }
            for split, tables in given.tables.items()
        },
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _plain(path: Path, tables: dict[str, Table]) -> Given:
    who = Identity("given", "", "logs", 0, 0, path.stem, "given", "", None)
    return Given(path.stem, who, {0: tables})


def _exported(folder: Path) -> Given:
    content = json_file(folder / MANIFEST)
    try:
        who = Identity(**content["identity"])
        splits = {int(split): dict(each) for split, each in content["splits"].items()}
        tables = {split: dict(_tables(folder, each["tables"])) for split, each in splits.items()}
        ledgers = {split: dict(each["ledger"]) for split, each in splits.items()}
        seeds = {split: int(each["seed"]) for split, each in splits.items()}
        return Given(folder.name, who, tables, ledgers, seeds, dict(content["study"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder / MANIFEST}: not as `fairshrink export-items` writes it ({error!r}); export again"
        ) from error


def _tables(folder: Path, listed: list[Mapping[str, Any]]) -> Iterator[tuple[str, Table]]:
    for each in listed:
        table = read(folder / each["file"], Options(each["metric"], settings=each["settings"]))
        named = replace(table, entry=each["entry"], dataset=each["dataset"])
        yield named.label, named
