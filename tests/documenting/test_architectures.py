"""The page of compressions by architecture: one row for each, and what its cells say."""

import re

from fairshrink import registry
from fairshrink.documenting import architectures
from fairshrink.models.architecture.families import FAMILIES


def rows():
    lines = [line.strip("|").split("|") for line in architectures.markdown().splitlines() if line.startswith("|")]
    names = [cell.strip(" `") for cell in lines[0]]
    cells = ([cell.strip() for cell in line] for line in lines[2:])
    return {row[1].strip("`"): dict(zip(names, row, strict=True)) for row in cells}


def test_every_architecture_has_a_row_and_every_family_a_column():
    families = {registry.modules("compression").family(name) for name in registry.names("compression")}
    assert set(rows()) == set(FAMILIES)
    assert all(set(row) == {"architecture", "model_type", *families, "layers"} for row in rows().values())


def test_what_is_not_possible_is_in_its_row_with_the_reason_below():
    unusual = {kind for kind, row in rows().items() if {row["structured"], row["controls"]} != {"all"}}
    assert unusual == {"albert", "olmo2"}
    assert (rows()["olmo2"]["structured"], rows()["olmo2"]["controls"]) == (
        "all but `head_pruning`",
        "all but `random_heads`",
    )
    assert rows()["albert"]["structured"] == "all but `layer_dropping`, `redundant_layers`"
    assert re.search(
        r"^- attention heads of the architecture 'olmo2' .* together;", architectures.markdown(), re.MULTILINE
    )


def test_unusual_layers_are_described():
    assert rows()["gpt2"]["layers"] == "query, key and value in one matrix"
    assert rows()["bloom"]["layers"].endswith("head by head")
    assert rows()["modernbert"]["layers"].endswith("; gate and up in one matrix")
    assert rows()["albert"]["layers"].startswith("shared")
    assert rows()["bert"]["layers"] == ""


def test_methods_say_what_they_remove():
    parts = {name: architectures.part_of(name) for name in registry.names("compression")}
    assert {name for name, part in parts.items() if part == "heads"} == {"head_pruning", "random_heads"}
