"""What hypotheses come to: one rule for the verdict, for studies and claims alike.

A mean over seeds has its 95 % interval by Student's t, a comparison that of the difference seed by seed, as both sides
are trained on the same sentences. A hypothesis is supported if its interval lies on its side of the bound, contradicted
if it lies on the other, and undecided in between. One about several settings (`each`) is supported if it is at every
one of them (an intersection-union test) and contradicted if it is at any, by intervals that are as much wider as there
are settings (Bonferroni); with `needs: any` it is the other way round. Of one seed the value decides, and so does each
row of a table without seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest, spearmanr, t

from feature_collapse.workflow.measures import written
from feature_collapse.workflow.studies import Hypothesis, Quantity, Verdict, Where, meets, named

LEVEL = 0.95
Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def interval(values: ArrayLike, level: float = LEVEL) -> tuple[Array, Array]:
    """Ends of the interval of the mean over seeds, the first axis of `values` (seeds, ...), by Student's t (Student,
    1908, https://doi.org/10.1093/biomet/6.1.1). Not a number for one seed, or where a value is missing."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    reach = t.ppf((1 + level) / 2, n - 1) * values.std(0, ddof=1) / np.sqrt(n)
    return values.mean(0) - reach, values.mean(0) + reach


def prediction_interval(values: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Where one more run of the same kind lies, given `values` (seeds,): mean +- t s sqrt(1 + 1/n). Not a number for
    one seed."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    reach = t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(values.mean() - reach), float(values.mean() + reach)


@dataclass(frozen=True)
class Estimate:
    """The mean of a column over seeds. `trials` is the number of sentences behind a test accuracy, 0 for all else:
    where all of them, or none, are right, seeds have no spread, and the interval is that of a share (Clopper and
    Pearson, 1934, https://doi.org/10.1093/biomet/26.4.404)."""

    column: str
    values: Array  # (seeds,)
    trials: int = 0

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if len(self.values) else np.nan

    @property
    def certain(self) -> bool:
        """Whether all sentences of all seeds came out alike."""
        return self.trials > 0 and len(set(self.values)) == 1 and self.values[0] in (0, 1)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Of one seed, its value twice."""
        if self.certain:
            share = binomtest(round(self.values[0] * self.trials), self.trials).proportion_ci(level, "exact")
            return float(share.low), float(share.high)
        if len(self.values) < 2:
            return self.mean, self.mean
        low, high = map(float, interval(self.values, level))
        return (max(low, 0.0), min(high, 1.0)) if self.trials else (low, high)

    def __format__(self, spec: str) -> str:
        """The mean; with `interval` also the ends of its interval, unless the digits do not tell them apart."""
        mean = written(self.column, self.mean)
        if spec != "interval" or len(self.values) < 2:
            return mean
        if self.certain:
            return f"{mean} ({self.wrong})" if self.values[0] == 1 else mean
        low, high = (written(self.column, end, unit=False) for end in self.interval())
        return mean if low == high else f"{mean} ({low} to {high})"

    @property
    def wrong(self) -> str:
        """`0 of 5000 wrong, at most 0.074 %`: what an accuracy of 100 % says."""
        low, _ = self.interval()
        return f"0 of {self.trials} wrong, at most {100 * (1 - low):.2g} %"


@dataclass(frozen=True)
class Several:
    """The same quantity at several settings."""

    estimates: list[Estimate]

    def __format__(self, spec: str) -> str:
        """Of one, the estimate; of more, their least and largest mean."""
        if len(self.estimates) == 1:
            return format(self.estimates[0], spec)
        ends = (
            [format(pick(self.estimates, key=lambda e: e.mean), "") for pick in (min, max)] if self.estimates else ["–"]
        )
        return ends[0] if len(set(ends)) == 1 else f"{ends[0].removesuffix(' %')} to {ends[-1]}"


@dataclass(frozen=True)
class Finding:
    """A hypothesis at one setting: what was measured, what that is compared with, and by how much each seed is on the
    side of the hypothesis."""

    setting: Where
    of: Estimate
    other: Estimate | None
    margins: pd.Series  # by seed
    verdict: Verdict


@dataclass(frozen=True)
class Result:
    """What became of a hypothesis."""

    hypothesis: Hypothesis
    findings: list[Finding]

    @property
    def verdict(self) -> Verdict | None:
        """None where there are no rows that it is about."""
        verdicts = {finding.verdict for finding in self.findings}
        decisive: Verdict = "contradicted" if self.hypothesis.needs == "all" else "supported"
        if decisive in verdicts:
            return decisive
        return None if not verdicts else verdicts.pop() if len(verdicts) == 1 else "undecided"

    @property
    def of(self) -> Several:
        return Several([finding.of for finding in self.findings])

    @property
    def other(self) -> Several:
        return Several([finding.other for finding in self.findings if finding.other])

    @property
    def difference(self) -> Several:
        """Seed by seed, `of` less `other`."""
        return Several(
            [Estimate(f.of.column, f.of.values - f.other.values) for f in self.findings if f.other is not None]
        )

    @property
    def exceptions(self) -> str:
        """The settings at which it is contradicted."""
        return "; ".join(named(finding.setting) for finding in self.findings if finding.verdict == "contradicted")

    @property
    def seeds(self) -> pd.Series:
        """Whether each seed by itself is on the side of the hypothesis, at every setting."""
        if not self.findings:
            return pd.Series(dtype=bool)
        return (pd.concat([f.margins for f in self.findings], axis=1) >= 0).all(axis=1)


def decide(hypothesis: Hypothesis, rows: pd.DataFrame) -> Result:
    """A hypothesis held against a table: a row for each run, with a column `seed`, or of values that stand for
    themselves."""
    parts = list(_settings(hypothesis, rows))
    corrected = 1 - (1 - LEVEL) / max(1, len(parts))
    to_support, to_contradict = (LEVEL, corrected) if hypothesis.needs == "all" else (corrected, LEVEL)
    findings = []
    for setting, mine in parts:
        of, other = estimate(hypothesis, mine), None
        values = _by_seed(hypothesis, mine)
        if hypothesis.other is None:
            margins = pd.Series(_margin(hypothesis, values.to_numpy()), values.index)
            verdict = _bounded(hypothesis, of, to_support, to_contradict)
        else:
            where = {**hypothesis.of, **setting, **hypothesis.other}
            theirs = _by_seed(hypothesis, pick(rows, where)).reindex(values.index)
            if theirs.isna().all():
                continue
            other = Estimate(of.column, theirs.to_numpy(float))
            sign = 1 if hypothesis.above is not None else -1
            margins = sign * (values - hypothesis.times * theirs) - hypothesis.by
            verdict = _signed(Estimate("", margins.to_numpy(float)), to_support, to_contradict)
        findings.append(Finding(setting, of, other, margins, verdict))
    return Result(hypothesis, findings)


def estimate(quantity: Quantity, rows: pd.DataFrame) -> Estimate:
    """The quantity over the rows, whatever their setting."""
    trials = (
        int((rows["K"] * rows["n_test"]).sum()) if quantity.column == "test_accuracy" and not quantity.against else 0
    )
    return Estimate(quantity.column if not quantity.against else "", _by_seed(quantity, rows).to_numpy(float), trials)


def measured(quantity: Quantity, rows: pd.DataFrame) -> Several:
    """The quantity at each of its settings."""
    return Several([estimate(quantity, part) for _, part in _settings(quantity, rows)])


def pick(rows: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows that have what is asked for."""
    for key, asked in where.items():
        rows = rows[[meets(value, asked) for value in rows[key]]]
    return rows


def _settings(quantity: Quantity, rows: pd.DataFrame) -> Iterator[tuple[Where, pd.DataFrame]]:
    """The rows that a quantity is about, setting by setting."""
    rows = pick(rows, quantity.of) if quantity.column in rows else rows.head(0)
    each = quantity.each or ([] if "seed" in rows else [rows.index])
    if rows.empty:
        return
    if not each:
        yield {}, rows
        return
    for values, part in rows.groupby(each, sort=False, dropna=False):
        yield dict(zip(quantity.each, values, strict=True)) if quantity.each else {}, part


def _by_seed(quantity: Quantity, rows: pd.DataFrame) -> pd.Series:
    """The quantity of each seed: its mean over the rows, or its rank correlation. Not a number where a value is
    missing."""
    by = rows["seed"] if "seed" in rows else pd.Series(rows.index, rows.index)
    if quantity.against:
        found = {seed: _correlation(part[quantity.column], part[quantity.against]) for seed, part in rows.groupby(by)}
        return pd.Series(found, dtype=float)
    column = rows[quantity.column].astype(float)
    return (column.abs() if quantity.absolute else column).groupby(by).agg(lambda values: values.mean(skipna=False))


def _correlation(x: pd.Series, y: pd.Series) -> float:
    """Spearman's; not a number of fewer than three rows, or where one of the two does not vary."""
    return float(spearmanr(x, y).statistic) if len(x) > 2 and min(x.nunique(), y.nunique()) > 1 else np.nan


def _margin(hypothesis: Hypothesis, values: ArrayLike) -> Array:
    """By how much values are on the right side of the bound."""
    values = np.asarray(values, dtype=float)
    if hypothesis.at_least is not None:
        return values - hypothesis.at_least
    if hypothesis.at_most is not None:
        return hypothesis.at_most - values
    assert hypothesis.within is not None
    return hypothesis.within - np.abs(values)


def _bounded(hypothesis: Hypothesis, of: Estimate, to_support: float, to_contradict: float) -> Verdict:
    """An interval that ends at the bound is within it."""
    inside, outside = of.interval(to_support), of.interval(to_contradict)
    if (_margin(hypothesis, inside) >= 0).all():
        return "supported"
    sides = np.sign(outside)
    apart = (_margin(hypothesis, outside) < 0).all() and (hypothesis.within is None or sides[0] == sides[1])
    return "contradicted" if apart else "undecided"


def _signed(margin: Estimate, to_support: float, to_contradict: float) -> Verdict:
    """Of a comparison: a difference of zero supports nothing."""
    if margin.interval(to_support)[0] > 0:
        return "supported"
    return "contradicted" if margin.interval(to_contradict)[1] < 0 else "undecided"
