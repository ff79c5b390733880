"""What the studies say: each function takes the rows of a study, one a run, and returns one sentence.

Every number in it is from the rows, and so are the words: a sentence says when the outcome contradicts the paper, and
when intervals overlap, so that nothing can be concluded. Networks are named plain (h) and LayerNorm (h*). Unless said
otherwise collapse is the CDNV of the u_kl; means over words are weighted by their frequency, as the rarest are never
met in training.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from feature_collapse import reproduction
from feature_collapse.summaries import interval

TEST, TRAIN = "training_test_accuracy", "training_train_accuracy"
U, WORDS = "u_cdnv", "words_weighted_by_mu_cdnv"
FITTED = 0.99  # of the training sentences classified as labelled; a network below has not trained
COLLAPSED = 0.1  # CDNV: distances inside a concept are a third of those between concepts
STRONG, WEAK = 0.7, 0.3  # rank correlations
FEW = 5  # the paper's n_spl
PAPER = 0.001  # the paper's lambda
NAMES = {
    "none": "plain",
    "layernorm": "LayerNorm",
    "layernorm_affine": "LayerNorm with scale and shift",
    "rmsnorm": "RMSNorm",
    "l2": "L2-normalised words",
    "batchnorm": "BatchNorm",
    "fixed_norm": "fixed-norm table",
}


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval; of one seed, without."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        return cls(float(values.mean()), *map(float, interval(values)))

    def above(self, other: "Estimate") -> bool:
        """Whether the intervals are apart, this one being higher. Never for one seed."""
        return self.low > other.high

    def show(self, form: str) -> str:
        """`mean (low to high)`."""
        ends = "" if np.isnan(self.low) else f" ({self.low:{form}} to {self.high:{form}})"
        return f"{self.mean:{form}}{ends}"

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


def untrained(rows: pd.DataFrame, by: list[str]) -> str:
    """A clause on the configurations, named by the settings `by`, that have not fitted their training sentences."""
    accuracy = rows.groupby(by, sort=False)[TRAIN].mean()
    missed = accuracy[accuracy < FITTED]
    if missed.empty:
        return f"; all train (train accuracy at least {accuracy.min():.1%})"
    named = [f"{_named(missed.index.names, values)} {share:.1%}" for values, share in missed.head(4).items()]
    more = f" and {len(missed) - 4} more" if len(missed) > 4 else ""
    which = f"{', '.join(named)}{more}"
    return f"; {len(missed)} of {len(accuracy)} did not train (train accuracy below {FITTED:.0%}): {which}"


def _named(keys: list[str], values: object) -> str:
    values = values if isinstance(values, tuple) else (values,)
    return " ".join(
        NAMES[value] if key == "normalisation" else str(value) if isinstance(value, str) else f"{key} {value:g}"
        for key, value in zip(keys, values, strict=True)
    )


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def correlation(rows: pd.DataFrame) -> float:
    """Spearman's rank correlation of collapse with test accuracy: -1 where more collapsed is always more accurate."""
    return float(rows[U].corr(rows[TEST], method="spearman"))


def transition(rows: pd.DataFrame) -> str:
    """Theorems 1 and 2: something is learned below a threshold in lambda and nothing above it. Something is where the
    words are longer than they were to begin with, `init_scale sqrt(d)`."""
    learned = rows["words_norm_mean"] > rows["init_scale"] * np.sqrt(rows["d"])
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
    norms = _range(below["words_norm_mean"])
    low = f"below it the mean norm of the words is {norms} and off the prediction by {error:.1%} (median)"
    high = f"above it at most {above['words_norm_mean'].max():.2g}"
    return "; ".join([verdict, *([low] if len(below) else []), *([high] if len(above) else [])]) + "."


def _range(values: pd.Series) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


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
    """Whether a number's agreement with the paper is an accident of the seed."""
    numbers = paper_numbers(rows, reproduction.read_paper()).groupby(["figure", "quantity"], sort=False)
    within = numbers["within"].mean()
    spread = (numbers["ours"].std(ddof=1) / numbers["ours"].mean()).sort_values()
    figure, quantity = spread.index[-1]
    always, never = (within == 1).sum(), (within == 0).sum()
    verdict = (
        f"All {len(within)} numbers of the paper's four figures are within their tolerance with each"
        if always == len(within)
        else f"Of the paper's {len(within)} numbers {always} are within their tolerance with each, {never} with none"
    )
    return (
        f"{verdict} of the {rows['seed'].nunique()} seeds; from seed to seed they move by "
        f"{spread.median():.2%} (median of "
        f"standard deviation over mean), at most by {spread.iloc[-1]:.1%} ({quantity}, Figure {figure})."
    )


class Fit(NamedTuple):
    """`limit + factor * n_spl ** -rate`."""

    rate: float
    factor: float
    limit: float


def onset(rows: pd.DataFrame, measure: str = U) -> Fit:
    """How a measure falls as sentences become many: a power law above its value with fresh sentences at every step,
    fitted to the means at each n_spl that are above that. Not a number for fewer than two of them."""
    limit = rows.loc[rows["fresh"], measure].mean()
    excess = rows[~rows["fresh"]].groupby("n_spl")[measure].mean() - limit
    excess = excess[excess > 0]
    if len(excess) < 2:
        return Fit(np.nan, np.nan, limit)
    slope, start = np.polyfit(np.log(excess.index), np.log(excess), 1)
    return Fit(-slope, np.exp(start), limit)


def sample_size(rows: pd.DataFrame) -> str:
    """The tail alone decides if, at the paper's n_spl, uniform words let the plain network generalise and Zipf words do
    not. The rate of collapse is fitted seed by seed."""
    few = FEW if FEW in set(rows["n_spl"]) else rows["n_spl"].min()
    at = pick(rows, fresh=False, n_spl=few)
    uniform, zipf, normed = (
        Estimate.of(pick(at, normalisation=n, zipf_exponent=s)[TEST])
        for n, s in (("none", 0), ("none", 1), ("layernorm", 1))
    )
    if not uniform.above(zipf):
        verdict = (
            "Against the paper, the long tail does not lower"
            if zipf.above(uniform)
            else "It is not decided whether the long tail lowers"
        )
        verdict += " the plain network's test accuracy"
    elif uniform.mean >= FITTED:
        verdict = "It is the long tail, not that sentences are few"
    else:
        verdict = "It is both, the long tail and that sentences are few"
    rho = correlation(rows)
    together = (
        "collapse and test accuracy go together"
        if rho <= -STRONG
        else "collapse and test accuracy go together, but weakly"
        if rho <= -WEAK
        else "against the paper, collapse and test accuracy do not go together"
    )
    rates = []
    for (n, s), part in rows.groupby(["normalisation", "zipf_exponent"], sort=False):
        by_seed = pd.Series([onset(of_seed).rate for _, of_seed in part.groupby("seed")]).dropna()
        law = "Zipf" if s else "uniform"
        rate = f"like n_spl to the power -{Estimate.of(by_seed).number}" if len(by_seed) else "not by a power of n_spl"
        rates.append(f"{rate} towards {onset(part).limit:.2g} ({NAMES[n]}, {law})")
    return (
        f"{verdict}: with {few} sentences a class it classifies {uniform.percent} of fresh sentences of "
        f"uniform words and "
        f"{zipf.percent} of Zipf words, with LayerNorm {normed.percent} of these; over all {len(rows)} runs "
        f"{together} (rank "
        f"correlation of CDNV with accuracy {rho:.2f}); CDNV falls {joined(rates)}"
        + untrained(rows, ["normalisation", "zipf_exponent", "n_spl"])
        + "."
    )


def normalisation(rows: pd.DataFrame) -> str:
    """A control of the norm brings collapse back if its test accuracy is above the plain network's, its CDNV below."""
    of = {n: (Estimate.of(part[TEST]), Estimate.of(part[U])) for n, part in rows.groupby("normalisation", sort=False)}
    accuracy, collapse = of.pop("none")
    helps = [n for n, (a, c) in of.items() if a.above(accuracy) and collapse.above(c)]
    rest = [n for n in of if n not in helps]
    if "layernorm" not in helps:
        verdict = "Against the paper, or not decided: LayerNorm does not clearly bring collapse back"
    elif not rest:
        verdict = "It is any control of the norm: all of them bring collapse and generalisation back"
    elif len(helps) == 1:
        verdict = "It is LayerNorm alone"
    else:
        verdict = f"It is control of the norm, but not any: not {joined([NAMES[n] for n in rest])}"
    shown = [f"{NAMES[n]} {a.percent}, {c.number}" for n, (a, c) in of.items()]
    return (
        f"{verdict}; test accuracy and CDNV are {accuracy.percent}, {collapse.number} without, and with "
        + "; ".join(shown)
        + untrained(rows, ["normalisation"])
        + "."
    )


def tail(rows: pd.DataFrame) -> str:
    """The failure grows with the tail if the plain network's test accuracy falls with the exponent, and LayerNorm stops
    it if that network's does not."""
    falls = {}
    for n in ("none", "layernorm"):
        part = pick(rows, normalisation=n)
        by = {s: Estimate.of(of[TEST]) for s, of in part.groupby("zipf_exponent")}
        (_, first), (_, last) = min(by.items()), max(by.items())
        shown = ", ".join(f"{e.percent} at {s:g}" for s, e in by.items())
        falls[n] = first.above(last), shown, part["zipf_exponent"].corr(part[TEST], method="spearman")
    plain, normed = falls["none"], falls["layernorm"]
    if not plain[0]:
        verdict = "Against the paper, or not decided: the plain network does not clearly fail more with a longer tail"
    elif normed[0]:
        verdict = "Both networks fail more the longer the tail"
    else:
        verdict = "The plain network fails more the longer the tail, and the one with LayerNorm does not"
    return (
        f"{verdict}: by Zipf exponent its test accuracy is {plain[1]} (rank correlation {plain[2]:.2f}), "
        f"with LayerNorm {normed[1]}" + untrained(rows, ["normalisation", "zipf_exponent"]) + "."
    )


def weight_decay(rows: pd.DataFrame) -> str:
    """The picture, with or without weight decay: LayerNorm is above the plain network in test accuracy and below it in
    CDNV."""
    seen, shown = [], []
    for value in (0, PAPER if PAPER in set(rows["lambda_U"]) else rows["lambda_U"].max()):
        at = pick(rows, lambda_U=value)
        plain, normed = (
            [Estimate.of(pick(at, normalisation=n)[measure]) for measure in (TEST, U)] for n in ("none", "layernorm")
        )
        seen.append(normed[0].above(plain[0]) and plain[1].above(normed[1]))
        shown.append(
            f"at lambda {value:g} test accuracy is {plain[0].percent} plain and {normed[0].percent} with LayerNorm, "
            f"CDNV {plain[1].number} and {normed[1].number}"
        )
    verdict = {
        (True, True): "The picture is the same without weight decay",
        (False, True): "Against the paper, the picture is not the same without weight decay",
        (True, False): "Not decided: the picture is there without weight decay and not clearly with it",
        (False, False): "Not decided: the picture is clear neither with nor without weight decay",
    }[tuple(seen)]
    return f"{verdict}: {'; '.join(shown)}" + untrained(rows, ["normalisation", "lambda_U"]) + "."


def task(rows: pd.DataFrame) -> str:
    """How far the norms of the u_kl are from the prediction over the whole study, and at its smallest and largest K."""
    rows = rows.assign(error=(rows["u_norm_mean"] / rows["predicted_u_norm_mean"] - 1).abs())
    base = {key: rows[key].mode()[0] for key in ("n_c", "L", "d")}
    parts, falls = [], []
    for n, part in rows.groupby("normalisation", sort=False):
        at = {K: Estimate.of(of["error"]) for K, of in pick(part, **base).groupby("K")}
        (few, first), (many, last) = min(at.items()), max(at.items())
        falls.append(first.above(last))
        worst = part.loc[part["error"].idxmax()]
        changed = [f"{key} {worst[key]:g}" for key in ("n_c", "L", "K", "d")]
        parts.append(
            f"{NAMES[n]}: off by {part['error'].median():.1%} (median over {len(part)} runs; most at "
            f"{', '.join(changed)}: "
            f"{worst['error']:.1%}), {first.percent} at K = {few} and {last.percent} at K = {many}"
        )
    verdict = (
        "Predicted norms of the u_kl come closer to the measured ones as latents become many"
        if all(falls)
        else "For one of the networks only, predicted norms of the u_kl come closer to the measured ones as "
        "latents become many"
        if any(falls)
        else "Predicted norms of the u_kl do not clearly come closer to the measured ones as latents become many"
    )
    return f"{verdict}; {'; '.join(parts)}" + untrained(rows, ["normalisation", "n_c", "L", "K", "d"]) + "."


def depth(rows: pd.DataFrame) -> str:
    """Words, and what comes out of the last layer, collapse if their CDNV is at most 0.1. A network that has not
    trained is left out of the verdict."""
    first, deep, shown = {}, {}, []
    for (architecture, n), part in rows.groupby(["architecture", "normalisation"], sort=False):
        last = max(
            (key for key in rows if key.startswith("layer") and key.endswith("_cdnv") and part[key].notna().all()),
            default=None,
        )
        words, test = Estimate.of(part[WORDS]), Estimate.of(part[TEST])
        behind = Estimate.of(part[last]) if last else None
        shown.append(
            f"{architecture} {NAMES[n]}: words {words.number}"
            + (f", behind the last layer {behind.number}" if behind else "")
            + f", test accuracy {test.percent}, train {part[TRAIN].mean():.1%}"
        )
        if part[TRAIN].mean() >= FITTED and architecture != "linear":
            first[architecture, n] = words.mean <= COLLAPSED
            deep[architecture, n] = behind is not None and behind.mean <= COLLAPSED
    if not first:
        return f"Not decided: no nonlinear network trained (CDNV of words; {'; '.join(shown)})."

    def count(of: dict, n: str) -> str:
        held = [value for (_, other), value in of.items() if other == n]
        return f"{sum(held)} of {len(held)}"

    return (
        f"Words collapse (CDNV at most {COLLAPSED:g}) in {count(first, 'layernorm')} trained nonlinear "
        f"networks with LayerNorm and in "
        f"{count(first, 'none')} without, what comes out of the last layer in {count(deep, 'layernorm')} "
        f"and {count(deep, 'none')}; "
        f"CDNV: {'; '.join(shown)}."
    )


def label_noise(rows: pd.DataFrame) -> str:
    """Collapse is harmful where the network that collapses more classifies fresh sentences worse than the other."""
    harmful, useful, undecided = [], [], []
    for (n_spl, noise), part in rows.groupby(["n_spl", "label_noise"]):
        plain, normed = (pick(part, normalisation=n) for n in ("none", "layernorm"))
        of = [Estimate.of(x[TEST]) for x in (plain, normed)]
        more, less = reversed(of) if normed[U].mean() < plain[U].mean() else of
        name = f"{noise:.0%} wrong labels and n_spl {n_spl} ({less.percent} against {more.percent})"
        (harmful if less.above(more) else useful if more.above(less) else undecided).append(name)
    total = len(harmful) + len(useful) + len(undecided)
    verdict = (
        f"Collapse is harmful, the network that collapses more being the less accurate, in {len(harmful)} "
        f"of {total} settings: {joined(harmful)}"
        if harmful
        else f"Collapse is harmful in none of {total} settings"
    )
    return (
        f"{verdict}; it is useful in {len(useful)} and makes no clear difference in {len(undecided)}; over "
        f"all runs the rank "
        f"correlation of CDNV with test accuracy is {correlation(rows):.2f}."
    )


def mechanism(rows: pd.DataFrame) -> str:
    """The paper's §2.3: u_kl takes its size from the words it met, so that it varies in size as they do, and LayerNorm
    takes away what varies."""
    plain, normed = (pick(rows, normalisation=n) for n in ("none", "layernorm"))
    rho, spread = plain["u_norm_follows_met"].mean(), "words_weighted_by_mu_size_spread"
    sizes = [x["u_size_spread"].mean() for x in (plain, normed)]
    if abs(rho) < WEAK:
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
        f"{plain[spread].mean():.1%} and "
        f"u_kl of one concept by {sizes[0]:.1%}; with LayerNorm it is "
        f"{normed['u_norm_follows_met'].mean():.2f}, words vary by "
        f"{normed[spread].mean():.1%} and u_kl by {sizes[1]:.1%}."
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
    "label_noise": label_noise,
    "mechanism": mechanism,
}
