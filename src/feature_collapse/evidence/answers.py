"""What the studies say: each function takes the rows of a study, one a run, and returns one sentence.

Every number in it is from the rows, and so are the words: a sentence says when the outcome contradicts the paper, and
when intervals overlap, so that nothing can be concluded. Networks are named plain (h) and LayerNorm (h*). Unless said
otherwise collapse is the CDNV of the u_kl, direction and size; means over words are weighted by their frequency, as the
rarest are never met in training.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.summaries import interval
from feature_collapse.model import data

TEST, TRAIN = "training_test_accuracy", "training_train_accuracy"
U, WORDS = "u_cdnv", "words_weighted_by_mu_cdnv"
FITTED = 0.99  # of the training sentences classified as labelled; a network below has not trained
SOLVED = 0.99  # of fresh sentences classified rightly; above, a difference is none of generalisation
COLLAPSED = 0.1  # CDNV: vectors are from their concept's mean by a third of the distance between two such means
STRONG, WEAK = 0.7, 0.3  # rank correlations
FEW = 5  # the paper's n_spl
PAPER = 0.001  # the paper's lambda
NAMED = 3  # settings that a sentence names one by one
NAMES = {
    "none": "plain",
    "layernorm": "LayerNorm",
    "layernorm_affine": "LayerNorm with scale and shift",
    "rmsnorm": "RMSNorm",
    "l2": "L2-normalised words",
    "batchnorm": "BatchNorm",
    "fixed_norm": "fixed-norm table",
}
ARCHITECTURES = {
    "linear": "no hidden layer",
    "mlp1": "one hidden layer",
    "mlp2": "two hidden layers",
    "transformer": "Transformer block",
}
SETTINGS = {
    "lambda_U": "lambda",
    "zipf_exponent": "Zipf exponent",
    "init_scale_W": "initial scale",
    "lr": "learning rate",
}


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval; of one seed, without. Not a number where a value is missing."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        return cls(float(values.mean(skipna=False)), *map(float, interval(values)))

    def above(self, other: "Estimate") -> bool:
        """Whether the intervals are apart, this one being higher. Never for one seed."""
        return self.low > other.high

    def better(self, other: "Estimate") -> bool:
        """The same of test accuracies, if the other network has not solved the task as well."""
        return self.above(other) and other.mean < SOLVED

    def show(self, form: str) -> str:
        """`mean (low to high)`; the ends are left out where the digits do not tell them apart."""
        mean, low, high = (f"{value:{form}}" for value in self)
        return mean if np.isnan(self.low) or low == high else f"{mean} ({low} to {high})"

    @property
    def percent(self) -> str:
        return self.show(".1%")

    @property
    def number(self) -> str:
        return self.show(".2g")


def pick(rows: pd.DataFrame, **settings: object) -> pd.DataFrame:
    """The rows that have these settings."""
    for key, value in settings.items():
        rows = rows[rows[key] == value]
    return rows


def by_network(rows: pd.DataFrame, measure: str) -> tuple[Estimate, Estimate]:
    """A measure of the plain network and of the one with LayerNorm."""
    plain, normed = (Estimate.of(pick(rows, normalisation=n)[measure]) for n in ("none", "layernorm"))
    return plain, normed


def trained(rows: pd.DataFrame, by: list[str]) -> pd.Series:
    """Whether the setting of each row, named by the settings `by`, has trained: it has fitted its training sentences
    or, where too many latents coincide for that, tells apart on fresh sentences what can be told apart."""
    means = rows.assign(most=told_apart(rows)).groupby(by)[[TRAIN, TEST, "most"]].transform("mean")
    return (means[TRAIN] >= FITTED) | ((means["most"] < FITTED) & (means[TEST] >= SOLVED * means["most"]))


def told_apart(rows: pd.DataFrame) -> pd.Series:
    """The highest accuracy to be expected on fresh sentences, run by run: classes with the same latent cannot be told
    apart, so that it is the share of distinct ones among the K latents, here drawn again as for the run's data."""
    shares = []
    for n_c, L, K, seed, distinct in rows[["n_c", "L", "K", "seed", "distinct_latents"]].itertuples(index=False):
        Z = data.draw_latents(n_c, L, K, data.generator(seed, "latents"), distinct)
        shares.append(len(Z.unique(dim=0)) / K)
    return pd.Series(shares, index=rows.index)


def untrained(rows: pd.DataFrame, by: list[str]) -> str:
    """A clause on the configurations, named by the settings `by`, that have not trained, and on those that have as far
    as their latents differ (see `trained`)."""
    rows = rows.assign(trained=trained(rows, by), most=told_apart(rows))
    settings = rows.groupby(by, sort=False)[["trained", TRAIN, TEST, "most"]].mean()
    fitted, done = settings[TRAIN] >= FITTED, settings["trained"] == 1
    missed = [f"{_named(by, values)} ({share:.1%})" for values, share in settings.loc[~done, TRAIN].items()]
    clause = (
        f"; {len(missed)} of {len(settings)} settings do not train (train accuracy below {FITTED:.0%}): {first(missed)}"
        if missed
        else f"; all train (train accuracy {_ends(settings.loc[fitted, TRAIN], '.1%')})"
    )
    return clause + "".join(
        f"; {_named(by, values)} tells {of[TEST]:.1%} of fresh sentences apart, of at most {of['most']:.1%}, as "
        "latents coincide"
        for values, of in settings[done & ~fitted].iterrows()
    )


def _named(keys: list[str], values: object) -> str:
    """`plain at lambda 0.01 and n_spl 5`."""
    settings = dict(zip(keys, values if isinstance(values, tuple) else (values,), strict=True))
    words = {key: NAMES.get(value, value) for key, value in settings.items() if isinstance(value, str)}
    numbers = [f"{SETTINGS.get(key, key)} {value:g}" for key, value in settings.items() if key not in words]
    return " at ".join(part for part in (" ".join(words.values()), joined(numbers)) if part)


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`; nothing of nothing."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def first(parts: list[str]) -> str:
    """The first three and how many more."""
    return joined(parts[:NAMED] + ([f"{len(parts) - NAMED} more"] if len(parts) > NAMED else []))


def span(estimates: list[Estimate], form: str) -> str:
    """`lowest to highest` of means, or the one with its interval."""
    if len(estimates) == 1:
        return estimates[0].show(form)
    return _ends(pd.Series([e.mean for e in estimates]), form)


def _ends(values: pd.Series, form: str = ".3g") -> str:
    low, high = f"{values.min():{form}}", f"{values.max():{form}}"
    return low if low == high else f"{low} to {high}"


def correlation(rows: pd.DataFrame) -> float:
    """Spearman's rank correlation of collapse with test accuracy: -1 where more collapsed is always more accurate. Not
    a number where one of them is the same in all runs."""
    return float(rows[U].corr(rows[TEST], method="spearman")) if min(rows[[U, TEST]].nunique()) > 1 else np.nan


def transition(rows: pd.DataFrame) -> str:
    """Theorems 1 and 2: something is learned below a threshold in lambda and nothing above it. Something is where the
    words are longer than they were to begin with, `init_scale_W sqrt(d)`."""
    learned = rows["words_norm_mean"] > rows["init_scale_W"] * np.sqrt(rows["d"])
    wrong = rows[learned != rows["learnable"]]
    below, above = rows[rows["learnable"]], rows[~rows["learnable"]]
    error = (below["words_norm_mean"] / below["predicted_words_norm_mean"] - 1).abs().median()
    verdict = (
        f"As the theorems say, something is learned below the threshold in lambda and nothing above it, in "
        f"all {len(rows)} runs"
        if wrong.empty
        else f"Against the theorems, {len(wrong)} of {len(rows)} runs learn above the threshold in lambda "
        f"or do not below it "
        f"(lambda {joined([f'{value:g}' for value in sorted(set(wrong['lambda_U']))])})"
    )
    norms = _ends(below["words_norm_mean"])
    low = f"below it the mean norm of the words is {norms} and off the prediction by {error:.1%} (median)"
    high = f"above it at most {above['words_norm_mean'].max():.2g}"
    return "; ".join([verdict, *([low] if len(below) else []), *([high] if len(above) else [])]) + "."


def paper_numbers(rows: pd.DataFrame, paper: reproduction.Paper) -> pd.DataFrame:
    """Each number of the paper for each seed: `figure`, `quantity`, `paper`, `ours`, `tolerance`, `seed`, `off` (in
    units of the tolerance) and `within`."""
    found = []
    for row in rows.to_dict("records"):
        experiment = row["run"].split("/")[-2].split("+")[0]
        for path, (number, name) in paper.experiments.get(experiment, {}).items():
            part, *rest = path.split(".")
            ours = row[f"{part}_sigma_{int(rest[1]) + 1}" if rest[0] == "sigma" else f"{part}_{rest[0]}"]
            tolerance = paper.tolerances[name]
            found.append(
                {
                    "figure": experiment.removeprefix("fig"),
                    "quantity": reproduction.NAMES[path],
                    "paper": number,
                    "ours": ours,
                    "tolerance": str(tolerance),
                    "seed": row["seed"],
                    "off": tolerance.units(number, ours),
                    "within": tolerance.holds(number, ours),
                }
            )
    return pd.DataFrame(found)


def seeds(rows: pd.DataFrame) -> str:
    """Whether a number's agreement with the paper is an accident of the seed. A seed is named of whose latents some
    happen to coincide."""
    table, count = paper_numbers(rows, reproduction.read_paper()), rows["seed"].nunique()
    numbers = table.groupby(["figure", "quantity"], sort=False)
    within = numbers["within"].mean()
    always, never = (within == 1).sum(), (within == 0).sum()
    verdict = (
        f"All {len(within)} numbers of the paper's four figures are within their tolerance with each"
        if always == len(within)
        else f"Of the paper's {len(within)} numbers {always} are within their tolerance with each, {never} with none"
    )
    spread = (numbers["ours"].std(ddof=1) / numbers["ours"].mean()).dropna().sort_values()
    if spread.empty:
        return f"{verdict} of the {count} seeds, too few to say how far they move."
    figure, quantity = spread.index[-1]
    coincide = coinciding(rows)
    rest = table[~table["seed"].isin(coincide)].groupby(["figure", "quantity"])["within"].all()
    apart = (
        f"; with seed {joined([str(seed) for seed in coincide])} some classes have the same latent and cannot be told "
        f"apart, and with each of the others {rest.sum()} numbers are within"
        if 0 < len(coincide) < count
        else ""
    )
    return (
        f"{verdict} of the {count} seeds{apart}; from seed to seed they move by {spread.median():.2%} (median of "
        f"standard deviation over mean), at most by {spread.iloc[-1]:.1%} ({quantity}, Figure {figure})."
    )


def coinciding(rows: pd.DataFrame) -> list[int]:
    """The seeds that give some classes the same latent."""
    return sorted(set(rows.loc[told_apart(rows) < 1, "seed"]))


class Fit(NamedTuple):
    """`limit + factor * n_spl ** -rate`."""

    rate: float
    factor: float
    limit: float


def onset(rows: pd.DataFrame, measure: str = U) -> Fit:
    """How a measure falls as sentences become many: a power law above its value with fresh sentences at every step,
    fitted by least squares to the logarithms of its means at each n_spl, so that those that have come down to the limit
    count little. Not a number where fewer than two are above the limit."""
    limit = rows.loc[rows["fresh"], measure].mean()
    means = rows[~rows["fresh"]].groupby("n_spl")[measure].mean()
    if (means > limit).sum() < 2:
        return Fit(np.nan, np.nan, limit)
    n, values = np.log(means.index.to_numpy(float)), np.log(means.to_numpy())
    least = np.log(limit) if limit > 0 else -np.inf

    def off(parameters: np.ndarray) -> np.ndarray:
        rate, start = parameters
        return np.logaddexp(least, start - rate * n) - values

    rate, start = least_squares(off, (1.0, values[0] + n[0])).x
    return Fit(float(rate), float(np.exp(start)), limit)


def onsets(rows: pd.DataFrame) -> pd.DataFrame:
    """The onset of collapse for each network and law, fitted seed by seed: estimates of its `power` of n_spl and of its
    `limit`. Without a power where no seed has one."""
    found = []
    for (n, exponent), part in rows.groupby(["normalisation", "zipf_exponent"], sort=False):
        fits = pd.DataFrame([onset(of_seed) for _, of_seed in part.groupby("seed")])
        estimates = {"power": Estimate.of(-fits["rate"].dropna()), "limit": Estimate.of(fits["limit"])}
        found.append({"normalisation": n, "words": "Zipf" if exponent else "uniform", **estimates})
    return pd.DataFrame(found)


def sample_size(rows: pd.DataFrame) -> str:
    """The tail alone decides if, at the paper's n_spl, uniform words let the plain network generalise and Zipf words do
    not. That with still fewer sentences it fails on uniform words too is said."""
    sampled = pick(rows, fresh=False)
    few = FEW if FEW in set(sampled["n_spl"]) else sampled["n_spl"].min()
    at, size = pick(sampled, n_spl=few), f"with {few} sentences a class"
    (uniform, _), (zipf, normed) = (by_network(pick(at, zipf_exponent=s), TEST) for s in (0, 1))
    if zipf.better(uniform):
        verdict = f"Against the paper, the long tail does not lower the plain network's test accuracy {size}"
    elif not uniform.better(zipf):
        verdict = f"It is not decided whether the long tail lowers the plain network's test accuracy {size}"
    elif uniform.mean >= SOLVED:
        verdict = f"{size.capitalize()} it is the long tail, not that sentences are few"
    else:
        verdict = f"{size.capitalize()} it is both, the long tail and that sentences are few"
    least = sampled["n_spl"].min()
    of_least, _ = by_network(pick(sampled, n_spl=least, zipf_exponent=0), TEST)
    fewer = least < few and of_least.mean < SOLVED
    alone = f"; with {least}, few sentences are enough to fail: {of_least.percent} of uniform words" if fewer else ""
    rho = correlation(rows)
    together = (
        "go together"
        if rho <= -STRONG
        else "go together, but weakly"
        if rho <= -WEAK
        else "do not vary together, as one of them does not vary"
        if np.isnan(rho)
        else "against the paper do not go together"
    )
    powers = [
        f"{'an unclear one' if np.isnan(power.mean) else f'{power.mean:.2g}'} ({NAMES[n]}, {words} words)"
        for n, words, power, _ in onsets(rows).itertuples(index=False)
    ]
    return (
        f"{verdict}: the plain network classifies {uniform.percent} of fresh sentences of uniform words and "
        f"{zipf.percent} of Zipf words, with LayerNorm {normed.percent} of these{alone}; "
        f"over all {len(rows)} runs collapse and test accuracy {together} (rank correlation of CDNV with accuracy "
        f"{rho:.2f}); CDNV approaches its limit like n_spl to the power {joined(powers)}"
        + untrained(sampled, ["normalisation", "zipf_exponent", "n_spl"])
        + "."
    )


def normalisation(rows: pd.DataFrame) -> str:
    """A control of the norm brings collapse back if its test accuracy is above the plain network's, and its CDNV below
    that and at most 0.1. One that has not trained is left out of the verdict."""
    of = {n: (Estimate.of(part[TEST]), Estimate.of(part[U])) for n, part in rows.groupby("normalisation", sort=False)}
    missed = set(rows.loc[~trained(rows, ["normalisation"]), "normalisation"])
    accuracy, collapse = of.pop("none")
    tried = {n: estimates for n, estimates in of.items() if n not in missed}
    helps = [n for n, (a, c) in tried.items() if a.better(accuracy) and collapse.above(c) and c.mean <= COLLAPSED]
    rest = [n for n in tried if n not in helps]
    a, c = of["layernorm"]
    if accuracy.better(a) or c.above(collapse):
        verdict = "Against the paper, LayerNorm does not bring collapse and generalisation back"
    elif "layernorm" not in helps:
        verdict = "It is not decided whether LayerNorm brings collapse and generalisation back"
    elif not rest:
        verdict = f"It is any control of the norm: all {len(helps)} that train bring collapse and generalisation back"
    elif set(helps) <= {"layernorm", "layernorm_affine"}:
        verdict = "It is LayerNorm, not any control of the norm"
    else:
        verdict = (
            f"It is control of the norm, LayerNorm or another, but not any: not {joined([NAMES[n] for n in rest])}"
        )
    parts = [f"test accuracy is {accuracy.percent} and CDNV {collapse.number} in the plain network"]
    alone = [n for n in rest if tried[n][0].better(accuracy) and tried[n][1].mean > COLLAPSED]
    others = [n for n in rest if n not in alone]
    for names, remark in ((helps, ""), (alone, ", accurate without collapse"), (others, "")):
        if names:
            which = joined([NAMES[n] for n in names])
            accuracies, collapses = zip(*(of[n] for n in names), strict=True)
            parts.append(f"{span(accuracies, '.1%')} and {span(collapses, '.2g')} with {which}{remark}")
    return f"{verdict}; {', '.join(parts)}" + untrained(rows, ["normalisation"]) + "."


def tail(rows: pd.DataFrame) -> str:
    """The failure grows with the tail if the plain network's test accuracy falls from the least exponent to the one at
    which it is lowest, and LayerNorm prevents it if that network's does not, or stays above 99 %."""
    plain, normed = (
        {s: Estimate.of(of[TEST]) for s, of in pick(rows, normalisation=n).groupby("zipf_exponent")}
        for n in ("none", "layernorm")
    )
    (start, first), (end, last) = min(plain.items()), max(plain.items())
    worst, lowest = min(plain.items(), key=lambda item: item[1].mean)
    lowest_normed = min(normed.values(), key=lambda e: e.mean)
    network = "prevents it" if not normed[start].better(lowest_normed) else "does not prevent it"
    if last.better(first):
        verdict = "Against the paper, the plain network fails less with a longer tail"
    elif not first.better(lowest):
        verdict = "It is not decided whether the plain network fails more with a longer tail"
    elif last.above(lowest):
        verdict = f"The plain network fails most at exponent {worst:g}, less on both sides, and LayerNorm {network}"
    else:
        verdict = f"The longer the tail, the more the plain network fails, and LayerNorm {network}"
    shown = {s: plain[s] for s in sorted({start, worst, end})}
    return (
        f"{verdict}: its test accuracy is {joined([f'{e.percent} at exponent {s:g}' for s, e in shown.items()])}, "
        f"with LayerNorm it is {span(list(normed.values()), '.1%')}"
        + untrained(rows, ["normalisation", "zipf_exponent"])
        + "."
    )


def weight_decay(rows: pd.DataFrame) -> str:
    """The picture, with or without weight decay: LayerNorm is above the plain network in test accuracy and below it in
    CDNV."""

    def picture(at: pd.DataFrame) -> bool:
        (plain, normed), (spread, normed_spread) = by_network(at, TEST), by_network(at, U)
        return normed.better(plain) and spread.above(normed_spread)

    values = sorted(set(rows["lambda_U"]))
    with_decay = PAPER if PAPER in values else values[-1]
    without, paper = (pick(rows, lambda_U=value) for value in (0, with_decay))
    # By how much LayerNorm is above, seed by seed: the two are trained on the same sentences.
    gain, gain_paper = (
        Estimate.of(at.pivot(index="seed", columns="normalisation", values=TEST).eval("layernorm - none"))
        for at in (without, paper)
    )
    if picture(without) and picture(paper):
        verdict = "The picture is the same without weight decay"
    elif picture(paper) and gain_paper.above(gain):
        verdict = "Against the paper, the picture is not the same without weight decay"
    elif picture(paper):
        verdict = "Not decided: the picture is there with weight decay and not clearly without it"
    elif picture(without):
        verdict = "Not decided: the picture is there without weight decay and not clearly with it"
    else:
        verdict = "Not decided: the picture is clear neither with nor without weight decay"
    shown = []
    for value, at in ((0, without), (with_decay, paper)):
        (plain, normed), (spread, normed_spread) = by_network(at, TEST), by_network(at, U)
        shown.append(
            f"at lambda {value:g} test accuracy is {plain.percent} plain and {normed.percent} with LayerNorm, CDNV "
            f"{spread.number} and {normed_spread.number}"
        )
    clear = sum(picture(pick(rows, lambda_U=value)) for value in values)
    return (
        f"{verdict}: {'; '.join(shown)}; the picture is clear at {clear} of {len(values)} values of lambda"
        + untrained(rows, ["normalisation", "lambda_U"])
        + "."
    )


def task(rows: pd.DataFrame) -> str:
    """How far the norms of the u_kl are from the prediction: at the smallest and largest K, all else as in most runs,
    and over all runs of which something is predicted. Settings that have not trained are left out."""
    settings = ["normalisation", "n_c", "L", "K", "d"]
    missed, base = untrained(rows, settings), {key: rows[key].mode()[0] for key in ("n_c", "L", "d")}
    rows = rows[(rows["predicted_u_norm_mean"] > 0) & trained(rows, settings)]
    rows = rows.assign(error=(rows["u_norm_mean"] / rows["predicted_u_norm_mean"] - 1).abs())
    falls, grows, parts = [], [], []
    for n, part in pick(rows, **base).groupby("normalisation", sort=False):
        at = {K: Estimate.of(of["error"]) for K, of in part.groupby("K")}
        (few, first), (many, last) = min(at.items()), max(at.items())
        falls.append(first.above(last))
        grows.append(last.above(first))
        parts.append(f"{first.percent} at K = {few} and {last.percent} at K = {many} ({NAMES[n]})")
    if not parts:
        return f"It is not decided whether predicted norms hold{missed}."
    verdict = (
        "Predicted norms of the u_kl come closer to the measured ones as latents become many"
        if all(falls)
        else "Against the theory, predicted norms of the u_kl get further from the measured ones as latents become many"
        if any(grows)
        else "It is not decided whether predicted norms of the u_kl come closer to the measured ones as latents become "
        "many"
    )
    worst = rows.loc[rows["error"].idxmax()]
    return (
        f"{verdict}: they are off by {', by '.join(parts)}; over all {len(rows)} runs by {rows['error'].median():.1%} "
        f"(median), at most by {worst['error']:.1%} ({_named(settings, tuple(worst[settings]))}){missed}."
    )


def depth(rows: pd.DataFrame) -> str:
    """Whether words, and what comes out of the last layer, have collapsed (see `collapsed`). A network that has not
    trained is left out of the verdict."""
    rows = rows[rows["architecture"] != "linear"]
    settings = ["normalisation", "architecture"]
    missed, rows = untrained(rows, settings), rows[trained(rows, settings)]
    if rows.empty:
        return f"It is not decided whether collapse appears in nonlinear networks{missed}."
    seen, parts, tests = [], [], []
    for n, networks in rows.groupby("normalisation", sort=False):
        of = [part for _, part in networks.groupby("architecture", sort=False)]
        words, last = [Estimate.of(part[WORDS]) for part in of], [Estimate.of(_last_layer(part)) for part in of]
        seen += map(collapsed, words + last)
        counts = [f"{list(map(collapsed, e)).count(True)} of {len(of)} ({span(e, '.2g')})" for e in (words, last)]
        parts.append(f"{NAMES[n]}, words collapse in {counts[0]} and what comes out of the last layer in {counts[1]}")
        tests.append(f"{span([Estimate.of(part[TEST]) for part in of], '.1%')} ({NAMES[n]})")
    if all(seen):
        verdict = "Collapse appears in all nonlinear networks, in words and deeper layers"
    elif any(seen):
        verdict = "Collapse appears in nonlinear networks, but not everywhere"
    elif None in seen:
        verdict = "It is not decided whether collapse appears in nonlinear networks"
    else:
        verdict = f"Collapse appears in no nonlinear network within {_ends(rows['epochs'], 'g')} epochs"
    return f"{verdict} (CDNV at most {COLLAPSED:g}): {'; '.join(parts)}; test accuracy is {joined(tests)}{missed}."


def _last_layer(rows: pd.DataFrame) -> pd.Series:
    """CDNV behind the last layer of an architecture."""
    return rows[max(key for key in rows if re.fullmatch(r"layer\d_cdnv", key) and rows[key].notna().any())]


def collapsed(cdnv: Estimate) -> bool | None:
    """Whether the interval of a CDNV, or its one value, is at most 0.1; None if 0.1 is inside."""
    low, high = (cdnv.mean, cdnv.mean) if np.isnan(cdnv.low) else (cdnv.low, cdnv.high)
    return True if high <= COLLAPSED else False if low > COLLAPSED else None


def depth_search(rows: pd.DataFrame) -> str:
    """The learning rates and initial scales at which an architecture trains both with and without LayerNorm, and which
    of the two is the more accurate there."""
    settings = ["architecture", "lr", "init_scale_W"]
    worse = rows.groupby(settings, sort=False)[TRAIN].min()  # of both networks, and seeds
    parts, never = [], []
    for architecture, of in worse.groupby("architecture", sort=False):
        name = ARCHITECTURES[architecture]
        trains = [f"lr {lr:g} with initial scale {scale:g}" for (_, lr, scale), share in of.items() if share >= FITTED]
        if len(trains) == len(of):
            parts.append(f"{name} at all {len(of)} settings")
        elif trains:
            parts.append(f"{name} at {joined(trains)}")
        else:
            parts.append(f"{name} at none (train accuracy at most {of.max():.1%})")
            never.append(name)
    verdict = (
        f"No setting trains {joined(never)} both with and without LayerNorm"
        if never
        else "Every architecture has a setting at which it trains both with and without LayerNorm"
    )
    tests = rows.groupby([*settings, "normalisation"])[TEST].mean().unstack().loc[worse.index[worse >= FITTED]]
    better = (tests["layernorm"] > tests["none"]).sum()
    return (
        f"{verdict} (train accuracy at least {FITTED:.0%}): {'; '.join(parts)}; LayerNorm is the more accurate in "
        f"{better} of the {len(tests)} settings at which both train."
    )


def label_noise(rows: pd.DataFrame) -> str:
    """Collapse is harmful where a network has collapsed (see `collapsed`), clearly more than the other, and is clearly
    less accurate on fresh sentences. Where neither has, which of the two has the smaller CDNV is set beside which
    is more accurate. A network that collapses may not fit wrong labels, so that train accuracy is only told."""
    found = []
    for (noise, n_spl), part in rows.groupby(["label_noise", "n_spl"]):
        accuracies, spreads = by_network(part, TEST), by_network(part, U)
        less, more = (accuracies[i] for i in sorted((0, 1), key=lambda i: -spreads[i].mean))
        apart = spreads[0].above(spreads[1]) or spreads[1].above(spreads[0])
        found.append(
            {
                "name": f"{noise:.0%} wrong labels and n_spl {n_spl} ({more.mean:.1%} against {less.mean:.1%})",
                "noise": noise,
                "spreads": spreads,
                "collapsed": any(map(collapsed, spreads)),
                "useful": apart and more.better(less),
                "harmful": apart and less.better(more),
            }
        )
    settings = pd.DataFrame(found)
    there, rest = settings[settings["collapsed"]], settings[~settings["collapsed"]]
    where = (
        f"the settings in which a network collapses (CDNV at most {COLLAPSED:g}: {len(there)} of {len(settings)}, with "
        f"{_ends(there['noise'], '.0%')} wrong labels)"
    )
    if there.empty:
        verdict = (
            f"It is not decided whether collapse is harmful: in none of {len(settings)} settings does a network "
            f"collapse (CDNV at most {COLLAPSED:g})"
        )
    elif there["harmful"].any():
        names = list(there.loc[there["harmful"], "name"])
        verdict = f"Against the paper, collapse is harmful in {len(names)} of {where}: {first(names)}"
    elif there["useful"].any():
        verdict = f"Collapse is harmful in none and useful in {there['useful'].sum()} of {where}"
    else:
        verdict = f"It is not decided in any of {where} whether it is harmful"
    if len(there) and len(rest):
        spreads = [spread for pair in rest["spreads"] for spread in pair]
        verdict += f"; in the other {len(rest)} neither does (CDNV {span(spreads, '.2g')})"
    if len(rest):
        verdict += (
            f", and the one with the smaller CDNV is the more accurate in {rest['useful'].sum()} and the less accurate "
            f"in {rest['harmful'].sum()}"
        )
    most = rows["label_noise"].max()
    shown = []
    for n_spl, part in pick(rows, label_noise=most).groupby("n_spl"):
        plain, normed = by_network(part, TEST)
        shown.append(f"{normed.percent} against {plain.percent} at n_spl {n_spl}")
    train = _ends(rows.groupby(["normalisation", "label_noise", "n_spl"])[TRAIN].mean(), ".1%")
    return (
        f"{verdict}; with {most:.0%} wrong labels test accuracy with LayerNorm against plain is {joined(shown)}; "
        f"train accuracy, wrong labels counted in, is {train}."
    )


def mechanism(rows: pd.DataFrame) -> str:
    """The paper's §2.3: u_kl takes its size from the words it met, so that it varies in size as they do, and LayerNorm
    takes away what varies."""
    plain, normed = (pick(rows, normalisation=n) for n in ("none", "layernorm"))
    rho, spread = plain["u_norm_follows_met"].mean(), "words_weighted_by_mu_size_spread"
    sizes = [x["u_size_spread"].mean() for x in (plain, normed)]
    if np.isnan([rho, *sizes]).any():
        verdict = "It is not decided whether the size of u_kl follows the sizes of the words that it met"
    elif abs(rho) < WEAK:
        verdict = "Against the paper, the size of u_kl does not follow the sizes of the words that it met"
    elif sizes[0] <= sizes[1]:
        verdict = (
            "The size of u_kl follows the sizes of the words that it met, but against the paper LayerNorm does not "
            "make it vary less"
        )
    else:
        verdict = (
            f"As the paper explains, the size of u_kl {'grows' if rho > 0 else 'falls'} with the sizes of the words "
            f"that it met{'' if abs(rho) >= STRONG else ', but weakly'}"
        )
    return (
        f"{verdict}: the rank correlation is {rho:.2f} in the plain network, where words vary in size by "
        f"{plain[spread].mean():.1%} and u_kl of one concept by {sizes[0]:.1%}; with LayerNorm it is "
        f"{normed['u_norm_follows_met'].mean():.2f}, words vary by {normed[spread].mean():.1%} and u_kl by "
        f"{sizes[1]:.1%}."
    )


ANSWERS: dict[str, Callable[[pd.DataFrame], str]] = {
    "lambda": transition,
    "seeds": seeds,
    "sample_size": sample_size,
    "normalisation": normalisation,
    "tail": tail,
    "weight_decay": weight_decay,
    "task": task,
    "depth": depth,
    "depth_search": depth_search,
    "label_noise": label_noise,
    "mechanism": mechanism,
}
