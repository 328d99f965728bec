"""Energy from counters of processor packages: differences, counters that start anew, and why it cannot be told."""

import itertools

import pytest

from fairshrink.store import artifacts, energy


def machine(folder, **microjoules):
    """Counters as Linux shows them: a folder for each zone, of whole packages and of their parts."""
    for name, shown in microjoules.items():
        zone = folder / f"intel-rapl:{name[1:].replace('_', ':')}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "name").write_text("core\n" if "_" in name else "psys\n" if name == "z9" else f"package-{name[1:]}\n")
        (zone / "energy_uj").write_text(f"{shown}\n")
        (zone / "max_energy_range_uj").write_text("999999999\n")
    return folder


def clock(*seconds):
    times = itertools.chain(seconds)
    return lambda: next(times)


def test_whole_packages_are_added_up_and_nothing_that_is_in_them_or_around_them(tmp_path):
    before = energy.read(machine(tmp_path, z0=1_000_000, z1=5_000_000, z0_0=400_000, z9=10_000_000), clock(0.0))
    after = energy.read(machine(tmp_path, z0=3_500_000, z1=5_250_000, z0_0=900_000, z9=90_000_000), clock(1.0))
    assert energy.used(before, after) == {"energy_j": 2.75}


def test_a_counter_that_started_anew_goes_on_from_its_largest_number(tmp_path):
    before = energy.read(machine(tmp_path, z0=999_500_000), clock(0.0))
    after = energy.read(machine(tmp_path, z0=1_500_000), clock(1.0))
    assert energy.used(before, after) == {"energy_j": 2.0}


def test_what_takes_longer_than_a_counter_lasts_is_not_told(tmp_path):
    machine(tmp_path, z0=0)
    # 500 W fill 999.999999 J in just under two seconds.
    for end, known in ((1.9, True), (2.1, False)):
        found = energy.used(energy.read(tmp_path, clock(0.0)), energy.read(tmp_path, clock(end)))
        assert ("energy_j" in found) is known
    assert "more than once" in found["energy_unknown"]


@pytest.mark.parametrize("missing", ["folder", "package", "number", "gpu"])
def test_where_it_cannot_be_told_the_reason_is(missing, tmp_path):
    machine(tmp_path, z0=0)
    if missing == "package":
        (tmp_path / "intel-rapl:0" / "name").write_text("dram\n")
    if missing == "number":
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("")
    reading = energy.read(tmp_path / "none" if missing == "folder" else tmp_path)
    found = energy.used(reading, reading, gpus=int(missing == "gpu"))
    words = {"folder": "is not there", "package": "no counter", "number": "cannot be read", "gpu": "GPU"}
    assert words[missing] in found["energy_unknown"] and "energy_j" not in found


@pytest.mark.parametrize("there", [True, False])
def test_the_record_of_an_artifact_has_the_energy_or_the_reason(there, tmp_path, monkeypatch):
    folder = machine(tmp_path / "counters", z0=0)
    readings, known = iter((0, 4_000_000)), energy.read

    def read():
        return known(machine(folder, z0=next(readings)) if there else tmp_path / "none", lambda: 0.0)

    monkeypatch.setattr(artifacts.energy, "read", read)
    recipe = artifacts.Recipe("evaluate", "x", "0123456789ab", str(tmp_path / "x-0123456789ab"), {})
    artifacts.make(recipe, lambda target: {"items": 8})
    made = artifacts.read_provenance(tmp_path / "x-0123456789ab")["made"]
    assert made.get("energy_j") == (4.0 if there else None)
    assert ("energy_unknown" in made) is not there
