"""The exit status of `fairshrink judge` for each verdict, on tables drawn from a seed and changed in a known way."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from tiny_study import ROOT, environment

from fairshrink.commands import main as commands

N = 1500
SIZES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Amplitudes of the controls' damage, four seeds each; a damage is the square."""


def table(path, kept=1.0, noise=0.0, extra=0.0, seed=0, n=N):
    """Pairs with a bias of 1 and a neutral score: a share of both is kept, noise added, and a bias in excess."""
    truth, draw = np.random.default_rng(1), np.random.default_rng((2, seed))
    bias, neutral = truth.normal(1.0, 1.0, N)[:n], truth.normal(2.0, 2.0, N)[:n]
    rows = pd.DataFrame({"item": [f"i{at:04d}" for at in range(n)], "second": -20.0})
    rows["first"] = rows["second"] + kept * bias + extra + noise * draw.normal(size=n)
    rows.assign(neutral=kept * neutral + noise * draw.normal(size=n)).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("logs")
    table(made / "base.csv")
    table(made / "few.csv", n=25)
    table(made / "same.csv", noise=0.02, seed=1)
    table(made / "random.csv", kept=0.6, noise=0.8, seed=2)
    table(made / "biased.csv", noise=0.2, extra=0.8, seed=3)
    table(made / "dead.csv", kept=0.01, noise=1.0, seed=4)
    table(made / "few_changed.csv", noise=1.0, seed=5, n=25)
    excess = np.random.default_rng(6)
    for number, size in enumerate(np.repeat(SIZES, 4)):
        name = made / f"control-{number:02d}.csv"
        table(name, 1 / (1 + size), size, 0.02 * size * excess.normal(), 100 + number)
    return made


def judge(folder, base, *names, damages=()):
    """The status and what is said; ``damages`` of the named logs, beside all controls."""
    more = []
    if damages:
        controls = sorted(folder.glob("control-*.csv"))
        stated = [f"{each.stem}={size**2:.6f}" for each, size in zip(controls, np.repeat(SIZES, 4), strict=True)]
        stated += [f"{name}={damage}" for name, damage in zip(names, damages, strict=True)]
        more = ["--controls", *controls, "--damage", *stated]
    paths = [folder / f"{each}.csv" for each in (base, *names)]
    return ["judge", *map(str, paths), "--metric", "paired_gap", "--margin", "0.2", *map(str, more)]


CASES = {
    "more biased": (10, "base", ["biased"], [0.04]),
    "changed, damage not controlled": (11, "base", ["biased"], []),
    "cannot resolve": (12, "few", ["few_changed"], []),
    "not measurable": (13, "base", ["dead"], []),
    "only more random": (14, "base", ["random"], []),
    "unchanged": (0, "base", ["same"], []),
    "the gravest of several": (10, "base", ["same", "random", "biased"], [0.0025, 0.3, 0.04]),
    "not measurable before only more random": (13, "base", ["random", "dead"], []),
    "an error": (1, "base", ["nowhere"], []),
    "items that do not match": (1, "base", ["few"], []),
}


@pytest.mark.parametrize("name", CASES)
def test_the_status_is_that_of_the_verdict(folder, name, capsys):
    status, base, names, damages = CASES[name]
    with pytest.raises(SystemExit) as ended:
        commands.main(judge(folder, base, *names, damages=damages))
    said = capsys.readouterr()
    assert (ended.value.code or 0) == status
    if status == 1:
        assert said.err.startswith("error: ") and "Traceback" not in said.err
    elif len(names) == 1:
        assert f"{names[0]}, paired_gap: {name}" in said.out


def test_the_status_of_the_program_itself(folder):
    command = [sys.executable, "-m", "fairshrink"]
    for arguments, status in ((judge(folder, "base", "random"), 14), (["judge", "--frobnicate"], 2)):
        done = subprocess.run([*command, *arguments], capture_output=True, env=environment(), cwd=ROOT, check=False)
        assert done.returncode == status, done.stderr
