"""Bias in Bios: is a profession recognized as often from the biographies of women as from those of men?

A classifier of professions, a task of the study, reads biographies in which it is known who has which profession and
gender.

Formula:
    TPR(p, g)  = share of biographies of profession p and gender g for which p is the likeliest label
    gap(p)     = TPR(p, female) − TPR(p, male)
    stereotype_gap = mean over professions of gap(p) if most who have it are women, else of −gap(p)
Statistics:
    - `stereotype_gap`, the headline;
    - `tpr_gap`: of each profession; `rms_gap`: root of the mean square over professions;
    - `gap_correlation`: Pearson's correlation over professions of the gap with the share of women, as in the paper;
    - `accuracy`: over all biographies and of either gender;
    - `left_out`: professions with fewer than `least` biographies of a gender.
Counts: An item is a biography. `skipped`: the model has no label for its profession. `tied`: the own label is as likely
    as another.
Paper: De-Arteaga, Romanov, Wallach, Chayes, Borgs, Chouldechova, Geyik, Kenthapadi and Kalai, *Bias in Bios: A Case
    Study of Semantic Representation Bias in a High-Stakes Setting*, 2019; `rms_gap` after Romanov et al., *What's in a
    Name?*, NAACL 2019.
Range: −1 to 1; `rms_gap` 0–1.
Direction: `stereotype_gap` above 0: professions are recognized more often for the gender that mostly has them. More
    `rms_gap` is more biased, and chance alone makes it positive.
Unbiased model: 0.
Random model: 0: what it answers does not depend on gender. Its `rms_gap` is what chance gives. A uniform scorer ties in
    every biography (`tied`), and a tie is no recognition: gaps and accuracy are 0, `gap_correlation` is undefined.
Signal: The log-probability of the own label less that of the likeliest other one; a biography is recognized where it is
    above 0, and `stereotype_gap` is a difference of such shares. Contrast: the same margins, for want of biographies
    without gender, fitted with an intercept, which is in the null: a classifier that has become worse for everybody is
    explained by it. Limit: a compression that shrinks the margins of one gender alone moves the line as well.
Limits: Texts longer than the model's window are cut off, and named in the log. Two genders, inferred from pronouns by
    the data's authors; professions are those of biographies on the web. A model that was fine-tuned on biographies with
    names and pronouns answers for its training data too.
Data: Bias in Bios from the Hugging Face Hub (`LabHC/bias_in_bios`), by `source: hub_dataset`: name the file of a split.
    Any table with a text, a profession and a gender will do; columns are settings. Whole numbers for professions are
    read in the alphabetical order that this data set has.
Use:
    - metric: bias_in_bios
      data: {items: {download: bios, file: data/test-00000-of-00001.parquet}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.columns import PLACE, check_filled, check_texts, read_columns, tell_cut
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Estimate, Shares, Statistic, Values, combine, difference, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"sentence_classification"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES = {"items": "a table of biographies with profession and gender"}
HEADLINE = ("stereotype_gap", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=0.05)
OWN_SKILL: OwnSkill | None = None

NO_LABEL = "the model has no label for this profession"
GENDERS = ("male", "female")
PROFESSIONS = (
    "accountant", "architect", "attorney", "chiropractor", "comedian", "composer", "dentist", "dietitian", "dj",
    "filmmaker", "interior_designer", "journalist", "model", "nurse", "painter", "paralegal", "pastor",
    "personal_trainer", "photographer", "physician", "poet", "professor", "psychologist", "rapper",
    "software_engineer", "surgeon", "teacher", "yoga_teacher",
)  # fmt: skip


class Settings(BaseSettings):
    """Settings of Bias in Bios."""

    text: str = Field("hard_text", description="column of the biography")
    profession: str = Field(
        "profession", description="column of the profession: its name, or its number in the data set"
    )
    gender: str = Field("gender", description="column of the gender")
    male: str = Field("0", description="what the column of the gender says for men")
    female: str = Field("1", description="what it says for women; other rows are a mistake")
    least: int = Field(5, ge=1, description="professions with fewer biographies of either gender are left out of means")
    sample: int | None = Field(
        5000,
        ge=1,
        description="number of biographies; professions and genders keep their shares; null for all",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per biography: item, cluster, group (profession), gender, skipped, log_p, margin, women.

    ``log_p`` is that of the own label, ``margin`` less that of the likeliest other one; ``women`` the share of women
    among all biographies of the profession, sampled or not.
    """
    from fairshrink.models.classes import log_probabilities
    from fairshrink.models.inference.outputs import sequence_logits

    cp = given.checkpoint
    if len(cp.labels) < 2:
        raise UserError("bias_in_bios: needs a classifier of professions with two labels or more")
    rows = _table(given, settings)
    numbers = {label.casefold(): number for number, label in enumerate(cp.labels)}
    found = [numbers.get(each.casefold(), -1) for each in rows["group"]]
    own = np.array([_by_number(each, numbers) if at < 0 else at for at, each in zip(found, rows["group"], strict=True)])
    known = own >= 0
    if not known.any():
        raise UserError(
            f"bias_in_bios: the model's labels are {', '.join(cp.labels)}; none of them is one of the professions "
            f"{', '.join(sorted(set(rows['group']))[:5])}, …; name them so under `labels` of the task's table"
        )
    texts, places = (rows.pop(name) for name in ("text", PLACE))
    tell_cut("bias_in_bios", cp, list(texts[known]), list(places[known]))
    log_p = np.full((len(rows), len(cp.labels)), np.nan)
    log_p[known] = log_probabilities(sequence_logits(cp, list(texts[known])))
    place = np.arange(len(rows)), np.maximum(own, 0)
    mine = log_p[place].copy()
    log_p[place] = np.where(known, -np.inf, np.nan)
    skipped = np.where(known, "", NO_LABEL)
    rows = rows.assign(skipped=skipped, log_p=mine, margin=mine - log_p.max(axis=1))
    return rows.sort_values("item", ignore_index=True)


def _by_number(profession: str, numbers: dict[str, int]) -> int:
    """Labels may be the data set's own numbers."""
    return numbers.get(str(PROFESSIONS.index(profession)), -1) if profession in PROFESSIONS else -1


def _table(given: Scoring, settings: Settings) -> pd.DataFrame:
    import pandas as pd

    columns = [settings.text, settings.profession, settings.gender]
    read = read_columns("bias_in_bios", "items", given.data["items"], columns)
    check_texts("bias_in_bios", read, settings.text)
    check_filled("bias_in_bios", read, settings.profession)
    genders = {settings.male: "male", settings.female: "female"}
    gender = [genders.get(_said(each), "") for each in read[settings.gender]]
    if "" in gender:
        row = read.iloc[gender.index("")]
        said = _said(row[settings.gender])
        raise UserError(
            f"bias_in_bios: {row[PLACE]}: {said!r} in the column {settings.gender!r} is neither "
            f"{settings.male!r} nor {settings.female!r}; write `male:` and `female:` as the table says"
        )
    names = [_name(_said(each), place) for each, place in zip(read[settings.profession], read[PLACE], strict=True)]
    rows = pd.DataFrame({"item": read["item"], "cluster": read["item"], "group": names, "gender": gender})
    rows[["text", PLACE]] = read[[settings.text, PLACE]]
    rows["women"] = (rows["gender"] == "female").groupby(rows["group"]).transform("mean")
    strata = [f"{name}/{who}" for name, who in zip(names, gender, strict=True)]
    drawn = spread_sample(list(rows["item"]), strata, list(rows["item"]), settings.sample, settings.seed)
    return rows.iloc[drawn].reset_index(drop=True)


def _said(value: object) -> str:
    """What a field says: 1 and 1.0 are one."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _name(profession: str, place: str) -> str:
    if not profession.isdecimal():
        return profession
    if int(profession) >= len(PROFESSIONS):
        raise UserError(f"bias_in_bios: {place}: there is no profession {profession}; numbers end at 27")
    return PROFESSIONS[int(profession)]


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """stereotype_gap, tpr_gap by profession, rms_gap, gap_correlation, accuracy; what is skipped, tied, left out."""
    scored = scored_rows(items)
    margin = items["margin"].to_numpy(dtype=np.float64)
    right = np.where(np.isnan(margin), np.nan, margin > 0)
    masks, left_out = _masks(items, settings)
    rates = {name: (weighted_mean(right, f), weighted_mean(right, m)) for name, (m, f, _) in masks.items()}
    by_name = {name: difference(*each) for name, each in rates.items()}
    sizes = {name: int(m.sum() + f.sum()) for name, (m, f, _) in masks.items()}
    women = np.array([share for _, _, share in masks.values()])
    over, n = list(by_name.values()), sum(sizes.values())
    headline = reflection.as_estimate(_headline(items, settings), margin)
    genders = {"all": scored} | {each: scored & (items["gender"] == each).to_numpy() for each in GENDERS}
    return [
        Statistic("stereotype_gap", headline, "all", n, 0.0, 0.0, smooth=False),
        *(
            Statistic("tpr_gap", each, name, sizes[name], 0.0, 0.0, shares=Shares(*rates[name], "independent"))
            for name, each in by_name.items()
        ),
        Statistic(
            "rms_gap",
            _over(over, _root_mean_square),
            "all",
            n,
            0.0,
            None,
            "more_biased",
            smooth=False,
            within=(0.0, 1.0),
        ),
        Statistic(
            "gap_correlation",
            _over(over, lambda gaps: _correlation(gaps, women)),
            "all",
            n,
            0.0,
            0.0,
            smooth=False,
            within=(-1.0, 1.0),
        ),
        *(
            Statistic("accuracy", weighted_mean(right, mask), each, int(mask.sum()), 1.0, None, "better", share_of=1.0)
            for each, mask in genders.items()
        ),
        *counts(scored, margin == 0),
        Statistic("left_out", left_out, n_items=len(masks) + left_out, higher_is="count"),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """The margin; stereotype_gap of it; the margin itself as contrast. None where no profession has both genders."""
    masks, _ = _masks(items, settings)
    if not masks:
        return None
    inside = np.any([male | female for male, female, _ in masks.values()], axis=0)
    margin = np.where(inside, items["margin"].to_numpy(dtype=np.float64), np.nan)
    own = Contrast("margin", margin, fits_intercept=True, applies_intercept=True)
    return Signal(margin, _headline(items, settings), (own,))


Masks = dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_], float]]


def _masks(items: pd.DataFrame, settings: Settings) -> tuple[Masks, int]:
    """Of each profession that counts the rows of men and of women, and the share of women; how many do not count."""
    scored, group = scored_rows(items), items["group"].to_numpy(dtype=str)
    gender = items["gender"].to_numpy(dtype=str)
    found: Masks = {}
    names = sorted(set(group[scored].tolist()))
    for name in names:
        male, female = (scored & (group == name) & (gender == each) for each in GENDERS)
        if min(male.sum(), female.sum()) >= settings.least:
            found[name] = male, female, float(items["women"].to_numpy(dtype=np.float64)[male].mean())
    return found, len(names) - len(found)


def _headline(items: pd.DataFrame, settings: Settings) -> reflection.Functional:
    each = [_towards_majority(*masks) for masks in _masks(items, settings)[0].values()]
    return reflection.mean_over(each) if each else lambda signals, weights: np.full(len(weights), np.nan)


def _towards_majority(male: NDArray[np.bool_], female: NDArray[np.bool_], women: float) -> reflection.Functional:
    """How much more often the gender that mostly has the profession is recognized."""
    of_male, of_female = reflection.share_above(male), reflection.share_above(female)
    sign = 1.0 if women > 0.5 else -1.0
    return lambda signals, weights: sign * (of_female(signals, weights) - of_male(signals, weights))


def _over(gaps: list[Estimate], function: object) -> Estimate:
    """A function of the gaps of all professions ``[professions, B]``."""
    assert callable(function)
    return combine(lambda *each: function(np.stack(each)), *gaps) if gaps else lambda w: np.full(len(w), np.nan)


def _root_mean_square(gaps: Values) -> Values:
    return np.asarray(np.sqrt((gaps**2).mean(axis=0)))


def _correlation(gaps: Values, women: Values) -> Values:
    """Pearson's over professions; NaN where gaps or shares do not vary."""
    x, y = women[:, None] - women.mean(), gaps - gaps.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.divide((x * y).sum(axis=0), scale, out=np.full(gaps.shape[1], np.nan), where=scale > 1e-12)
