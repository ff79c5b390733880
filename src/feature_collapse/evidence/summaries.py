"""Means over seeds with their 95 % intervals, for tables, figures and sentences alike."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from feature_collapse.model.experiment import Experiment

RESAMPLES = 2000


def interval(values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % interval of the mean over seeds, the first axis of `values` (seeds, ...): percentile bootstrap
    (Efron, 1979, https://doi.org/10.1214/aos/1176344552), always with the same draws. Not a number for one seed, or
    where a value is missing."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan), np.full(values.shape[1:], np.nan)
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975], axis=0)
    return low, high


def varying(rows: pd.DataFrame) -> list[str]:
    """The settings in which the runs of a study differ, besides the seed."""
    return [key for key in Experiment.model_fields if key in rows and rows[key].nunique() > 1]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each configuration and measure of a study's rows: what varies, `measure`, `mean`, `low`, `high` and
    the number of `seeds`. A measure that a run of the configuration does not have is left out."""
    settings = varying(rows)
    numbers = rows.select_dtypes("number")
    measures = [name for name in numbers if name not in Experiment.model_fields and name != "seed"]
    configurations = rows.groupby(settings, sort=False) if settings else [((), rows)]
    parts = []
    for values, part in configurations:
        low, high = interval(part[measures])
        mean = part[measures].mean(skipna=False).to_numpy()
        table = pd.DataFrame({"measure": measures, "mean": mean, "low": low, "high": high, "seeds": len(part)})
        parts.append(table.assign(**dict(zip(settings, values, strict=True)))[[*settings, *table]])
    return pd.concat(parts, ignore_index=True).dropna(subset="mean")
