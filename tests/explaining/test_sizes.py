"""What large models take is told by their stated number of weights."""

from fairshrink.explaining.sizes import line, sizes
from fairshrink.planning import grid, studies


def test_disk_and_memory_of_the_large_models_by_hand():
    study = studies.load("configs/llm.yaml")
    whole = grid.expand(study)
    made = [path for path, each in whole.items() if each.stage in ("finetune", "compress", "evaluate")]
    found = {each.model: each for each in sizes(study, whole, made)}
    model = found["qwen2_5_7b"]
    weights = study.models["qwen2_5_7b"].weights
    assert 7.5e9 < weights < 7.7e9
    # The model as it is, int8 and int4; two bytes a weight as stored, two copies of four bytes in memory.
    assert (model.checkpoints, model.disk, model.memory) == (3, 3 * 2 * weights, 2 * 4 * weights)
    assert "46 GB of disk; 61 GB of memory" in line(model)
    assert sizes(study, whole, [path for path in made if "qwen2_5_7b" not in path])[1].model == "pythia_1_4b"
