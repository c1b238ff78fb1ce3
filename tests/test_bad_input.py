"""What goes in wrong, and what is said about it: what came, what was expected, what to do.

One row per mistake: the call, the exception, and fragments that its message must contain.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit import (
    AR,
    VAR,
    BoxCox,
    Chain,
    Conformal,
    Difference,
    Drift,
    Log,
    Mean,
    Naive,
    SeasonalNaive,
    Sequences,
    Standard,
)
from seqkit.data import Windows

MONTHS = pd.date_range("2020-01-31", periods=48, freq="ME")
Y = pd.Series(np.random.default_rng(0).normal(10.0, 1.0, 48), index=MONTHS, name="sales")
FRAME = pd.DataFrame({"a": Y, "b": Y.to_numpy()[::-1]}, index=MONTHS)
LATER = pd.date_range("2020-01-31", periods=60, freq="ME")
INPUT = pd.DataFrame({"u": np.random.default_rng(1).normal(size=60)}, index=LATER)
DAILY = pd.Series(1.0, index=pd.date_range("2024-01-01", periods=9, freq="D"))
ODD_DAYS = ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-06"]
ZERO = Y.where(MONTHS != "2020-03-31", 0.0)


def short(values: list[Any], rows: Any = slice(None)) -> pd.Series:
    return pd.Series(values, index=MONTHS[:4][rows][: len(values)])


def naive() -> Naive:
    return Naive().fit(Y)


def ar() -> AR:
    return AR(1).fit(Y)


def with_inputs() -> AR:
    return AR(1).fit(Y, covariates=INPUT)


def panel() -> Naive:
    return Naive().fit({"a": Y, "b": Y})


def var() -> VAR:
    return VAR(1).fit(FRAME)


def one(stamp: str, value: float = 1.0, **options: Any) -> pd.Series:
    return pd.Series([value], index=pd.date_range(stamp, periods=1, **options))


Row = tuple[str, Callable[[], Any], type[Exception], list[str]]

INDEX: list[Row] = [
    ("duplicated stamps", lambda: naive().fit(short([1.0, 2, 3], [0, 1, 1])), ValueError,
     ["x has 1 duplicated time stamp(s), first 2020-02-29", "groupby(level=0)", "panel"]),
    ("unsorted stamps", lambda: naive().fit(Y.iloc[[0, 2, 1]]), ValueError,
     ["x is not in time order: 2020-02-29", "at row 2 follows 2020-03-31", ".sort_index()"]),
    ("a reversed default index", lambda: naive().fit(pd.Series([1.0, 2, 3])[::-1]), ValueError,
     ["x is not in time order: 1 at row 1 follows 2", ".sort_index()"]),
    ("a missing stamp", lambda: naive().fit(pd.Series([1.0, 2], index=[MONTHS[0], pd.NaT])), ValueError,
     ["x has a missing time stamp at row 1", "drop or repair"]),
    ("irregular stamps",
     lambda: naive().fit(pd.Series(1.0, index=pd.to_datetime(ODD_DAYS))), ValueError,
     ["no regular frequency: most steps are 2D", "1 of 4", "first 2024-01-06", "resample", "frequency="]),
    ("irregular integers", lambda: naive().fit(pd.Series(1.0, index=[0, 2, 4, 7])), ValueError,
     ["most steps are 2", "1 of 4", "first 7", "y.reindex(range(0, 7 + 1))"]),
    ("an index of text", lambda: naive().fit(pd.Series([1.0, 2], index=["b", "a"])), TypeError,
     ["x has an index of", "not a time axis", "'b'", "pd.to_datetime"]),
    ("an index of text and numbers", lambda: naive().fit(pd.Series([1.0, 2], index=["b", 1])), TypeError,
     ["x has an index of object", "not a time axis"]),
    ("an index of floats", lambda: naive().fit(pd.Series([1.0, 2], index=[0.5, 1.5])), TypeError,
     ["x has an index of float64", "0.5", "PeriodIndex or integers"]),
    ("an index of durations", lambda: naive().fit(pd.Series([1.0], index=pd.to_timedelta([1], "D"))), TypeError,
     ["x has an index of timedelta64", "not a time axis"]),
    ("a frequency that is none", lambda: Sequences(Y, frequency="fortnightly"), ValueError,
     ["frequency 'fortnightly'", "'W-TUE'"]),
    ("a frequency that does not fit", lambda: Sequences(Y, frequency="MS"), ValueError,
     ["x does not follow the frequency MS: 48 of 48", "first 2020-01-31", "resample"]),
    ("a row without a series",
     lambda: naive().fit(pd.Series([1.0, 2], index=pd.MultiIndex.from_arrays([["a", None], MONTHS[:2]]))),
     ValueError, ["x has a row without a series name at row 1"]),
    ("a long frame without its column", lambda: Sequences.from_long(pd.DataFrame({"unique_id": [1], "ds": [1]})),
     ValueError, ["no column 'y'", "['unique_id', 'ds']"]),
]  # fmt: skip

VALUES: list[Row] = [
    ("infinity", lambda: naive().fit(short([1.0, np.inf, 3])), ValueError,
     ["x is infinite at 2020-02-29", "(row 1)", "replace infinities with NaN"]),
    ("infinity in an array", lambda: naive().fit(np.array([1.0, -np.inf])), ValueError, ["x is infinite at row 1"]),
    ("infinity in a frame", lambda: VAR(1).fit(FRAME.replace(FRAME.iloc[5, 1], np.inf)), ValueError,
     ["x is infinite at 2020-06-30"]),
    ("infinity in a panel", lambda: naive().fit({"a": Y, "b": short([1.0, np.inf])}), ValueError,
     ["x['b'] is infinite at 2020-02-29"]),
    ("complex numbers", lambda: naive().fit(np.array([1 + 2j, 3])), TypeError,
     ["x holds complex128", "(1+2j)", "expected real numbers"]),
    ("a complex object", lambda: naive().fit(pd.Series([1.0, 2j], dtype=object)), TypeError,
     ["x holds 2j (complex) at row 1", "expected real numbers"]),
    ("text among numbers", lambda: naive().fit(short([1.0, "n/a", 3])), TypeError,
     ["x holds 'n/a' (str) at row 1", "NaN or None where missing", "pd.to_numeric"]),
    ("numbers as text", lambda: naive().fit(short([1.0, "2", 3])), TypeError,
     ["x holds '2' (str) at row 1", "to_numeric"]),
    ("text among numbers in a list", lambda: naive().fit([1.0, "a"]), TypeError, ["x holds 'a' (str) at row 1"]),
    ("text for a forecaster", lambda: ar().fit(["to", "be"]), TypeError, ["x holds text", "AR forecasts numbers"]),
    ("a column of text", lambda: VAR(1).fit(FRAME.assign(c="x")), TypeError,
     ["x['c'] holds", "first value 'x'", "pd.to_numeric"]),
    ("a table of text", lambda: naive().fit(np.array([["a", "b"]])), TypeError,
     ["x is an array of text with 2 dimensions"]),
    ("times as values", lambda: naive().fit(pd.Series(MONTHS)), TypeError,
     ["x holds datetime64", "A column of times belongs in the index", "set_index"]),
    ("a column of times", lambda: VAR(1).fit(pd.DataFrame({"date": MONTHS, "y": Y.to_numpy()})), TypeError,
     ["x['date'] holds datetime64", "set_index"]),
    ("an array of times", lambda: naive().fit(MONTHS.to_numpy()), TypeError,
     ["x holds datetime64", "expected real numbers"]),
    ("durations", lambda: naive().fit(pd.Series(pd.to_timedelta([1, 2], "D"))), TypeError, ["x holds timedelta64"]),
    ("periods", lambda: naive().fit(pd.Series(MONTHS.to_period("M"))), TypeError,
     ["x has dtype period[M]", "expected real numbers"]),
    ("a missing token", lambda: Sequences(pd.Series(["a", None, "b"])), ValueError, ["missing token at row 1"]),
    ("two columns of one name", lambda: VAR(1).fit(pd.DataFrame(np.ones((3, 2)), columns=["a", "a"])), ValueError,
     ["the column 'a' twice", "rename"]),
    ("two channels for AR", lambda: ar().fit(FRAME), ValueError,
     ["AR is for one channel", "['a', 'b']", "use VAR", "panel"]),
]  # fmt: skip

CONTAINERS: list[Row] = [
    ("an empty list", lambda: naive().fit([]), ValueError, ["x is empty", "at least one observation"]),
    ("an empty dict", lambda: naive().fit({}), ValueError, ["x is empty"]),
    ("an empty frame", lambda: naive().fit(pd.DataFrame()), ValueError, ["x is empty"]),
    ("an empty series", lambda: naive().fit(Y[:0]), ValueError, ["x is empty"]),
    ("an empty array", lambda: naive().fit(np.empty((0, 2))), ValueError, ["x is empty"]),
    ("a frame without columns", lambda: naive().fit(pd.DataFrame(index=MONTHS)), ValueError, ["x has no columns"]),
    ("one empty series in a panel", lambda: naive().fit({"a": Y, "b": Y[:0]}), ValueError, ["x['b'] is empty"]),
    ("an empty sentence", lambda: Sequences([["a"], []]), ValueError, ["x[1] is empty"]),
    ("None", lambda: naive().fit(None), TypeError, ["x is a NoneType", "pandas Series", "dict or list"]),
    ("None for sequences", lambda: Sequences(None), TypeError, ["x is a NoneType", "pandas Series"]),
    ("a number", lambda: naive().fit(3.0), TypeError, ["x is a float"]),
    ("a file name", lambda: naive().fit("sales.csv"), TypeError, ["x is a str", "pandas Series or DataFrame"]),
    ("a generator", lambda: naive().fit(v for v in [1.0]), TypeError, ["x is a generator"]),
    ("no dimension", lambda: naive().fit(np.array(3.0)), ValueError, ["x has 0 dimensions", "(T, channels)"]),
    ("four dimensions", lambda: naive().fit(np.zeros((2, 2, 2, 2))), ValueError,
     ["x has 4 dimensions", "(T,), (T, channels) or (series, T, channels)"]),
    ("a panel in a panel", lambda: naive().fit({"a": {"b": Y}}), ValueError,
     ["x['a'] is itself a panel", "flatten"]),
    ("three dimensions in a panel", lambda: naive().fit({"a": np.zeros((2, 3, 1))}), ValueError,
     ["x['a'] has 3 dimensions", "(T, channels)"]),
    ("text and numbers in a panel", lambda: naive().fit({"a": Y, "b": ["x", "y"]}), TypeError,
     ["series 'b' and series 'a' mix numbers and tokens"]),
    ("other channels in a panel", lambda: VAR(1).fit({"a": FRAME, "b": Y}), ValueError,
     ["series 'b' has channels ['sales']", "['a', 'b']", "same channels"]),
    ("a choice of none", lambda: Sequences({"a": Y}).subset([]), ValueError, ["at least one sequence, got none"]),
]  # fmt: skip

FITTING: list[Row] = [
    ("y for a forecaster", lambda: ar().fit(Y, Y), TypeError, ["AR.fit learns from x alone", "covariates="]),
    ("covariates for Naive", lambda: naive().fit(Y, covariates=INPUT), ValueError,
     ["Naive does not use covariates", "use AR"]),
    ("an unknown order", lambda: AR("best").fit(Y), ValueError, ["order must be", "aic, bic, hqic", "'best'"]),
    ("a negative order", lambda: AR(-1).fit(Y), ValueError, ["order must not be negative, got -1"]),
    ("lag zero", lambda: AR([0, 1]).fit(Y), ValueError, ["integers of at least 1", "got [0, 1]"]),
    ("no lags", lambda: AR([]).fit(Y), ValueError, ["list of lags", "got []"]),
    ("a fractional order", lambda: AR(1.5).fit(Y), ValueError, ["order", "1.5"]),
    ("an unknown trend", lambda: AR(1, trend="x").fit(Y), ValueError,
     ["trend must be one of n, c, t, ct; got 'x'"]),
    ("an unknown method", lambda: AR(1, method="lasso").fit(Y), ValueError,
     ["method must be one of ols, yule-walker, burg, mle; got 'lasso'"]),
    ("a negative ridge", lambda: AR(1, ridge=-1.0).fit(Y), ValueError, ["ridge", "at least 0, got -1"]),
    ("ridge with mle", lambda: AR(1, ridge=1.0, method="mle").fit(Y), ValueError, ["method='ols'", "'mle'"]),
    ("a season of one", lambda: AR(1, season=1).fit(Y), ValueError, ["season must be", "at least 2", "got 1"]),
    ("a fractional season", lambda: AR(1, season=2.5).fit(Y), ValueError, ["season must be an integer", "2.5"]),
    ("season zero", lambda: SeasonalNaive(0).fit(Y), ValueError,
     ["season must be a positive number of steps", "got 0"]),
    ("a season as text", lambda: SeasonalNaive("12").fit(Y), ValueError, ["season must be", "'12'"]),
    ("an unknown panel", lambda: AR(1, panel="all").fit(Y), ValueError,
     ["panel must be one of each, global", "'all'"]),
    ("unknown intervals", lambda: AR(1, intervals="x").fit(Y), ValueError,
     ["intervals must be one of normal, bootstrap"]),
    ("Burg with a hole", lambda: AR(1, method="burg").fit(Y.where(MONTHS[4] != MONTHS)), ValueError,
     ["needs complete data", "use 'mle' or 'yule-walker'"]),
    ("some lags with mle", lambda: AR([1, 3], method="mle").fit(Y), ValueError,
     ["uses all lags", "[1, 3]", "'ols'"]),
    ("a scaling as text", lambda: AR(1, scale="log").fit(Y), TypeError,
     ["scale must be a seqkit scaling", "Log()", "'log'"]),
    ("a scaling's class", lambda: AR(1, scale=Standard).fit(Y), TypeError,
     ["scale must be a seqkit scaling", "Standard"]),
    ("text in a chain", lambda: AR(1, scale=Chain("log")).fit(Y), TypeError, ["Chain takes scalings", "got 'log'"]),
    ("a power as text", lambda: AR(1, scale=BoxCox("auto")).fit(Y), ValueError,
     ["power must be a number", "'auto'"]),
    ("the log of zero", lambda: AR(1, scale=Log()).fit(ZERO), ValueError,
     ["Log() needs positive values", "the series has 1", "first 0 at 2020-03-31", "add a constant"]),
    ("the log of zero in a panel", lambda: AR(1, scale=Log()).fit({"a": Y, "b": ZERO}), ValueError,
     ["series 'b'", "first 0 at 2020-03-31"]),
    ("the log of zero in a score", lambda: AR(1, scale=Log()).fit(Y).score(ZERO), ValueError,
     ["first 0 at 2020-03-31"]),
    ("the log of zero in an update", lambda: AR(1, scale=Log()).fit(Y).update(one("2024-01-31", 0.0)), ValueError,
     ["first 0 at 2024-01-31"]),
    ("Box-Cox of what is negative", lambda: AR(1, scale=BoxCox()).fit(-Y), ValueError,
     ["BoxCox() needs positive values"]),
    ("a lag of zero", lambda: AR(1, scale=Difference(0)).fit(Y), ValueError, ["positive integers, got lag=0"]),
    ("too short to difference", lambda: AR(1, scale=Difference(12)).fit({"a": Y, "b": Y[:12]}), ValueError,
     ["more than 12 steps", "series 'b' has 12"]),
    ("nothing to sum back from", lambda: AR(1, scale=Difference()).fit(Y.where(MONTHS[-1] > MONTHS)).predict(2),
     ValueError, ["cannot be undone", "last 1 values is missing", "fill it"]),
    ("no joint steps to sum", lambda: Conformal(AR(1), scale=Difference()).fit(Y).predict(2), TypeError,
     ["joint over steps", "Quantiles", "another scaling"]),
    ("no model to calibrate", lambda: Conformal("AR").fit(Y), TypeError,
     ["model must be a seqkit forecaster, got 'AR'"]),
    ("a model's class", lambda: Conformal(AR).fit(Y), TypeError, ["model must be a seqkit forecaster"]),
]  # fmt: skip

LENGTHS: list[Row] = [
    ("Naive", lambda: naive().fit(Y[:1]), ValueError, ["at least 2 observed values, got 1"]),
    ("Naive in a panel", lambda: naive().fit({"a": Y, "b": Y[:1]}), ValueError,
     ["series 'b'", "at least 2", "got 1"]),
    ("Drift", lambda: Drift().fit(Y[:2]), ValueError, ["at least 3 observed values, got 2"]),
    ("SeasonalNaive", lambda: SeasonalNaive(12).fit({"a": Y, "b": Y[:12]}), ValueError,
     ["series 'b'", "at least 13", "got 12", "longer series"]),
    ("AR", lambda: AR(12).fit({"a": Y, "b": Y[:9]}), ValueError,
     ["series 'b'", "too few for 13 coefficients", "9 steps", "largest lag 12", "lower the order"]),
    ("AR, exact", lambda: AR(5, method="mle").fit(Y[:4]), ValueError,
     ["4 values are too few for order 5", "lower the order"]),
    ("VAR", lambda: VAR(5).fit(FRAME[:8]), ValueError,
     ["too few for 11 coefficients", "8 steps", "lower the order"]),
    ("nothing observed", lambda: Mean().fit({"a": Y, "b": Y * np.nan}), ValueError,
     ["series 'b'", "at least 2", "got 0"]),
    ("Conformal", lambda: Conformal(AR(1)).fit(Y[:20]), ValueError, ["20 steps", "at least 30 steps"]),
    ("Conformal, far ahead", lambda: Conformal(AR(1)).fit(Y).predict(15), ValueError,
     ["a horizon of 15", "too few", "lower the horizon"]),
]  # fmt: skip

PREDICTING: list[Row] = [
    *[
        (f"a horizon of {h!r}", lambda h=h: naive().predict(h), ValueError,
         [f"horizon must be a positive integer, got {h!r}"])
        for h in (0, -1, 1.5, 2.0, True, "12", None)
    ],
    ("a series for a horizon", lambda: naive().predict(Y), ValueError,
     ["horizon must be a positive integer, got a Series", "steps ahead, not from an x"]),
    ("predict before fit", lambda: AR(1).predict(3), seqkit.NotFittedError,
     ["AR is not fitted", "call fit(x) first"]),
    ("score before fit", lambda: AR(1).score(Y), seqkit.NotFittedError, ["not fitted", "call fit(x) first"]),
    ("update before fit", lambda: AR(1).update(Y), seqkit.NotFittedError, ["not fitted", "call fit(x) first"]),
    ("coefficients before fit", lambda: AR(1).coef_, seqkit.NotFittedError, ["no coef_", "call fit(x) first"]),
    ("a verb that AR has not", lambda: ar().decode(), AttributeError, ["AR has no attribute 'decode'"]),
    ("an unknown parameter", lambda: AR().set_params(lag=3), ValueError, ["no parameter 'lag'", "it has", "order"]),
    ("an unknown nested parameter", lambda: Conformal(AR(1)).set_params(model__lag=3), ValueError,
     ["AR has no parameter 'lag'"]),
]  # fmt: skip

COVARIATES: list[Row] = [
    ("forgotten at predict", lambda: with_inputs().predict(3), ValueError,
     ["fitted with the covariates ['u']", "give them"]),
    ("forgotten at score", lambda: with_inputs().score(Y), ValueError, ["fitted with the covariates ['u']"]),
    ("forgotten at update", lambda: with_inputs().update(one("2024-01-31")), ValueError, ["the covariates ['u']"]),
    ("not fitted with any", lambda: ar().predict(3, covariates=INPUT), ValueError,
     ["fitted without any", "leave them out or fit again"]),
    ("ending too early", lambda: with_inputs().predict(15, covariates=INPUT), ValueError,
     ["do not cover 2024-01-31 .. 2025-03-31", "3 step(s) are absent, first 2025-01-31", "every step of the horizon"]),
    ("beginning too late", lambda: ar().fit(Y, covariates=INPUT[3:]), ValueError,
     ["do not cover", "first 2020-01-31", "every row of x"]),
    ("a wrong column", lambda: with_inputs().predict(3, covariates=INPUT.rename(columns={"u": "v"})), ValueError,
     ["columns ['v']", "fitted with ['u']"]),
    ("a column too many", lambda: with_inputs().predict(3, covariates=INPUT.assign(w=1.0)), ValueError,
     ["columns ['u', 'w']", "fitted with ['u']"]),
    ("missing in the future", lambda: with_inputs().predict(3, covariates=INPUT.drop(pd.Timestamp("2024-02-29"))),
     ValueError, ["missing at 2024-02-29", "every input of its horizon"]),
    ("text", lambda: ar().fit(Y, covariates=pd.Series("a", index=MONTHS)), TypeError,
     ["covariates hold text", "get_dummies"]),
    ("infinity", lambda: ar().fit(Y, covariates=INPUT.replace(INPUT.iloc[2, 0], np.inf)), ValueError,
     ["covariates is infinite at 2020-03-31"]),
    ("an array of another length", lambda: ar().fit(Y, covariates=np.ones(47)), ValueError,
     ["47 rows, expected 48", "every row of x"]),
    ("a future array of another length",
     lambda: ar().fit(Y, covariates=INPUT.to_numpy()[:48]).predict(3, covariates=np.ones(4)), ValueError,
     ["4 rows, expected 3", "2024-01-31 .. 2024-03-31", "every step of the horizon"]),
    ("a series without", lambda: ar().fit({"a": Y, "b": Y}, covariates={"a": INPUT}), ValueError,
     ["no series 'b'"]),
    ("another frequency", lambda: ar().fit(Y, covariates=pd.Series(1.0, index=pd.date_range("2020", periods=2000))),
     ValueError, ["covariates does not follow the frequency ME", "resample"]),
    ("another kind of index", lambda: ar().fit(Y, covariates=INPUT.to_period("M")), ValueError,
     ["covariates do not cover"]),
]  # fmt: skip

UPDATING: list[Row] = [
    ("an overlap", lambda: naive().update(Y[-3:]), ValueError,
     ["x_new starts at 2023-10-31", "ended at 2023-12-31", "give only what follows, from 2024-01-31"]),
    ("the past", lambda: naive().update(Y[:3]), ValueError,
     ["x_new starts at 2020-01-31", "give only what follows"]),
    ("off the calendar", lambda: naive().update(one("2024-02-15")), ValueError,
     ["x_new does not follow the frequency ME", "first 2024-02-15"]),
    ("another frequency", lambda: naive().update(pd.Series(1.0, index=pd.date_range("2024-01-31", periods=2))),
     ValueError, ["x_new does not follow the frequency ME", "first 2024-02-01"]),
    ("off the calendar, in a panel", lambda: panel().update({"a": one("2024-02-15")}), ValueError,
     ["x_new['a'] does not follow the frequency ME", "first 2024-02-15"]),
    ("off one calendar of several", lambda: naive().fit({"a": Y, "b": DAILY}).update({"a": one("2024-02-15")}),
     ValueError, ["x_new has a value at 2024-02-15", "not on the calendar that continues", "step ME"]),
    ("periods for stamps", lambda: naive().update(Y.to_period("M")[-1:]), ValueError,
     ["x_new has an index of period[M]", "datetime64", "convert it"]),
    ("a time zone", lambda: naive().update(one("2024-01-31", tz="UTC")), ValueError, ["UTC", "tz_localize"]),
    ("other channels", lambda: naive().update(FRAME), ValueError,
     ["2 channel(s) ['a', 'b']", "fitted to 1 ['sales']"]),
    ("an unknown channel", lambda: var().update(FRAME.rename(columns={"b": "c"})), ValueError,
     ["the model knows ['a', 'b']", "unknown: ['c']"]),
    ("channels in another order", lambda: var().update(FRAME[["b", "a"]]), ValueError, ["put them in that order"]),
    ("a panel for a series", lambda: naive().update({"a": Y}), ValueError,
     ["x_new is a panel", "fitted to one series"]),
    ("a series for a panel", lambda: panel().update(Y), ValueError, ["x_new is one series", "fitted to a panel"]),
    ("an unknown series", lambda: panel().update({"c": Y}), ValueError, ["series 'c'", "the panel ['a', 'b']"]),
    ("nothing", lambda: naive().update(Y[:0]), ValueError, ["x_new is empty"]),
    ("text", lambda: naive().update(["a"]), TypeError, ["x_new holds text"]),
    ("infinity", lambda: naive().update(one("2024-01-31", np.inf)), ValueError,
     ["x_new is infinite at 2024-01-31"]),
]  # fmt: skip

SCORING: list[Row] = [
    ("too short", lambda: AR(3).fit(Y).score(Y[:2]), ValueError,
     ["no observed value that the model can predict", "longer"]),
    ("nothing observed", lambda: ar().score(Y * np.nan), ValueError, ["no observed value"]),
    ("nothing", lambda: ar().score([]), ValueError, ["x is empty"]),
    ("text", lambda: ar().score(["a"]), TypeError, ["x holds text"]),
    ("other channels", lambda: ar().score(FRAME), ValueError, ["2 channel(s)", "fitted to 1"]),
    ("an unknown series", lambda: panel().score({"z": Y}), ValueError, ["series 'z'", "the panel ['a', 'b']"]),
    ("a y", lambda: ar().score(Y, Y), TypeError, ["AR.score takes x alone"]),
    ("another frequency", lambda: ar().score(pd.Series(1.0, index=pd.date_range("2020", periods=9))), ValueError,
     ["x does not follow the frequency ME"]),
    ("an actual of another length", lambda: naive().predict(2).crps(np.ones(3)), ValueError,
     ["actual has 3 steps, the forecast 2"]),
    ("an actual of other channels", lambda: naive().predict(2).crps(FRAME), ValueError, ["2 channel(s)", "of 1"]),
    ("an actual of another time", lambda: naive().predict(2).crps(Y), ValueError,
     ["actual has no value at 2024-01-31", "must cover the forecast", "NaN where unknown"]),
    ("sequences of another time", lambda: naive().predict(2).crps(Sequences(Y[:2])), ValueError,
     ["no value at 2024-01-31"]),
    ("an actual of periods", lambda: naive().predict(2).crps(Y.to_period("M")), ValueError,
     ["an index of period[M]", "convert"]),
    ("an actual panel", lambda: naive().predict(2).crps({"a": Y}), ValueError, ["actual has 1 series"]),
    ("an actual without a series",
     lambda: panel().predict(1).crps({"a": one("2024-01-31"), "c": one("2024-01-31")}), ValueError,
     ["no series 'b'"]),
    ("an actual with other names",
     lambda: var().predict(1).crps(pd.DataFrame({"a": [1.0], "c": [1.0]}, index=LATER[48:49])), ValueError,
     ["channels ['a', 'c']", "['a', 'b']"]),
    ("an actual of text", lambda: naive().predict(2).crps(["a", "b"]), TypeError, ["actual holds text"]),
]  # fmt: skip

FORECASTS: list[Row] = [
    *[
        (f"level {v!r}", lambda v=v: naive().predict(2).interval(v), ValueError, [f"between 0 and 100, got {v!r}"])
        for v in (0, 100, 105, -3, "80", True, (80, 95))
    ],
    ("one level of several", lambda: naive().predict(2).to_frame(level=[80, 105]), ValueError,
     ["0 and 100, got 105"]),
    ("levels as a word", lambda: naive().predict(2).to_frame(level="many"), ValueError, ["0 and 100, got 'many'"]),
    *[
        (f"q {v!r}", lambda v=v: naive().predict(2).quantile(v), ValueError, [f"between 0 and 1, got {v!r}"])
        for v in (0, 1, -0.1, 95, [0.5, 1.2], [], "median")
    ],
    ("no paths", lambda: naive().predict(2).sample(0), ValueError, ["n must be a positive integer, got 0"]),
    ("half a path", lambda: naive().predict(2).sample(1.5), ValueError, ["n must be a positive integer, got 1.5"]),
    ("a product with another length", lambda: naive().predict(2) * np.ones(3), ValueError,
     ["shape (3,)", "2 steps and 1 channel(s)", "one per step"]),
    ("a series that is not there", lambda: panel().predict(2)["z"], KeyError, ["no series 'z'", "['a', 'b']"]),
    ("a series of one", lambda: naive().predict(2)["z"], KeyError, ["this is one series"]),
    ("no window", lambda: Windows(Sequences(Y), 0), ValueError, ["length must be at least 1, got 0"]),
    ("waves too fast", lambda: seqkit.fourier(MONTHS, 12, 7), ValueError, ["order <= period / 2", "12", "7"]),
]  # fmt: skip

TABLES = {
    "index": INDEX,
    "values": VALUES,
    "containers": CONTAINERS,
    "fitting": FITTING,
    "too short": LENGTHS,
    "predicting": PREDICTING,
    "covariates": COVARIATES,
    "updating": UPDATING,
    "scoring": SCORING,
    "forecasts": FORECASTS,
}
ROWS = [
    pytest.param(*row[1:], id=f"{name}: {row[0]}")
    for name, table in TABLES.items()
    for row in table
]


@pytest.mark.parametrize(("call", "kind", "fragments"), ROWS)
def test_message(call: Callable[[], Any], kind: type[Exception], fragments: list[str]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, message


def test_there_are_many_rows() -> None:
    assert len(ROWS) >= 45
    assert len({row.id for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("build", "fragments"),
    [
        pytest.param(lambda: AR([1.5]).fit(Y), ["order", "1.5"]),
        pytest.param(lambda: AR(["a"]).fit(Y), ["order", "'a'", "lags"]),
        pytest.param(lambda: AR(None).fit(Y), ["order must be an int, a list of lags"]),
        pytest.param(lambda: AR("aic", max_order=-1).fit(Y), ["max_order", "-1"]),
        pytest.param(lambda: AR(1, ridge="a").fit(Y), ["ridge", "'a'"]),
        pytest.param(
            lambda: AR(1, intervals="bootstrap", draws=0).fit(Y).predict(2),
            ["draws", "0"],
        ),
        pytest.param(lambda: seqkit.ETS(paths=-1).fit(Y), ["paths must be an integer", "-1"]),
        pytest.param(lambda: seqkit.ETS(seed=-1).fit(Y), ["seed must be an integer", "-1"]),
        pytest.param(
            lambda: seqkit.AutoARIMA(max_d="x").fit(Y), ["max_d must be an integer", "'x'"]
        ),
        pytest.param(lambda: AR(1, ridge=True).fit(Y), ["ridge must be a finite number", "True"]),
        pytest.param(
            lambda: AR(1, intervals="bootstrap", seed="x").fit(Y),
            ["seed must be an integer", "'x'"],
        ),
    ],
)
def test_hyper_parameters_of_the_wrong_kind(build: Callable[[], Any], fragments: list[str]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        build()
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


def test_order_zero_with_a_missing_value() -> None:
    holed = Y.where(MONTHS[4] != MONTHS)
    assert np.isfinite(AR(0).fit(holed).score(holed))


def test_an_input_missing_where_the_series_ends_is_no_silent_nan() -> None:
    holed = Y.where(MONTHS[-1] != MONTHS)
    inputs = INPUT.drop(MONTHS[-1])
    try:
        mean = AR(1).fit(holed, covariates=inputs).predict(3, covariates=INPUT).mean
    except ValueError as error:
        assert "2023-12-31" in str(error)
    else:
        assert mean.notna().all()


@pytest.mark.xfail(strict=True, reason="the level after an unseen value is not modelled")
def test_differences_forecast_past_a_missing_last_value() -> None:
    model = AR(1, scale=Difference()).fit(Y).update(one("2024-01-31", np.nan))
    assert model.predict(2).mean.notna().all()


def test_likelihood_of_nothing_is_refused_like_its_score() -> None:
    with pytest.raises(ValueError, match="no observed value"):
        ar().log_likelihood(Y * np.nan)


# -- files --------------------------------------------------------------------------------------


def archive(path: Path, document: Any, arrays: bytes | None = None) -> Path:
    from safetensors.numpy import save

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.json", document if isinstance(document, str) else json.dumps(document))
        file.writestr("arrays.safetensors", save({}) if arrays is None else arrays)
    return path


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (pickle.dumps({"a": 1}), ["is not a file written by model.save()"]),
        (b"", ["is not a file written by model.save()"]),
        (bytes(range(256)), ["is not a file written by model.save()"]),
        ("{", ["is not a file written by model.save()"]),
        ([1], ["is not a file written by model.save()"]),
        ({"object": {}}, ["is not a file written by model.save()", "schema"]),
        ({"schema": 99, "object": {}}, ["schema version 99", "reads up to 1", "upgrade seqkit"]),
        ({"schema": "1", "object": {}}, ["schema version '1'", "reads up to 1"]),
        ({"schema": 1, "object": {}}, ["is damaged"]),
        ({"schema": 1, "object": {"$array": "lost"}}, ["is damaged", "lost"]),
        ({"schema": 1, "object": {"$lambda": "x"}}, ["unknown tag '$lambda'", "newer seqkit"]),
        (
            {"schema": 1, "object": {"$object": "os:system", "state": {}}},
            ["names os:system", "not a seqkit class"],
        ),
        (
            {"schema": 1, "object": {"$object": "seqkit.persistence:load", "state": {}}},
            ["not a seqkit class", "classes="],
        ),
        (
            {"schema": 1, "object": {"$object": "seqkit.nowhere:X", "state": {}}},
            ["not a seqkit class"],
        ),
        ({"schema": 1, "object": {"$object": "seqkitten:X", "state": {}}}, ["not a seqkit class"]),
    ],
)
def test_files_that_are_none_of_ours(tmp_path: Path, content: Any, fragments: list[str]) -> None:
    path = tmp_path / "model.seqkit"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        archive(path, content)
    with pytest.raises(ValueError, match=r".") as caught:
        seqkit.load(path)
    assert all(fragment in str(caught.value) for fragment in fragments), caught.value


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        seqkit.load(tmp_path / "nothing")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"not a file written by model\.save\(\).*model\.json"):
        seqkit.load(tmp_path / "other.zip")
    path = archive(tmp_path / "bad", {"schema": 1, "object": {}}, b"rubbish")
    with pytest.raises(ValueError, match=r"not a file written by model\.save\(\)"):
        seqkit.load(path)
    cut = tmp_path / "cut"
    cut.write_bytes(ar().save(tmp_path / "whole").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"not a file written by model\.save\(\)"):
        seqkit.load(cut)


def test_a_failed_call_changes_nothing() -> None:
    model = ar()
    before = model.predict(3).mean
    for call in (
        lambda: model.update(one("2024-01-31", np.inf)),
        lambda: model.update(Y),
        lambda: model.predict(0),
        lambda: model.score([]),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
        pd.testing.assert_series_equal(model.predict(3).mean, before)
