"""Per-item logs in the formats of other programs, drawn from a seed: pairs of CrowS-Pairs with a known preference."""

import json

import numpy as np

KINDS = ("gender", "race-color", "age")


def preferences(n: int = 400, seed: int = 1) -> np.ndarray:
    """log p(sent_more) - log p(sent_less) of a baseline, in nats."""
    return np.random.default_rng(seed).normal(1.5, 3.0, size=n)


def noisy(before: np.ndarray, scale: float, seed: int, kept: float = 1.0) -> np.ndarray:
    """The same of a model that keeps a share of it and adds noise."""
    return kept * before + np.random.default_rng(seed).normal(0.0, scale, size=len(before))


def crows_line(item: int, preference: float, **changes) -> dict:
    """One line as lm-evaluation-harness logs it: numbers are written as text."""
    more, less = -50 + preference / 2, -50 - preference / 2
    answers = [[str(more), "False"], [str(less), "False"]]
    line = {
        "doc_id": item,
        "doc": {
            "sent_more": f"One {item}.",
            "sent_less": f"Other {item}.",
            "stereo_antistereo": "stereo" if item % 5 else "antistereo",
            "bias_type": KINDS[item % 3],
        },
        "target": "0",
        "arguments": {
            f"gen_args_{i}": {"arg_0": "", "arg_1": f"{word} {item}."} for i, word in enumerate(("One", "Other"))
        },
        "resps": [[each] for each in answers],
        "filtered_resps": answers,
        "filter": "none",
        "likelihood_diff": abs(preference),
        "pct_stereotype": float(preference > 0),
    }
    return line | changes


def write_crows(path, values, **changes):
    """A log of pairs; returns its path."""
    return write_lines(path, [crows_line(item, value, **changes) for item, value in enumerate(values)])


def write_lines(path, lines):
    """JSON objects, one a line; returns the path."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
