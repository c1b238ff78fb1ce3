"""Splits, backtests, comparisons, tests of difference, pictures and the page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data import as_sequences
from seqkit.distributions import Normal
from seqkit.evaluation import (
    BlockedKFold,
    HoldOut,
    RollingOrigin,
    backtest,
    compare,
    cross_validate,
    diebold_mariano,
    friedman_nemenyi,
    metrics,
)

# ---------------------------------------------------------------- models that obey the contract


@dataclass
class Given:
    distribution: Normal


@dataclass
class Last:
    """The last value plus ``shift``, standard deviation ``scale``. Counts its fits in a log."""

    shift: float = 0.0
    scale: float = 1.0
    pooled: bool = False
    log: list | None = None

    def get_params(self, deep=True):
        return {k: getattr(self, k) for k in ("shift", "scale", "pooled", "log")}

    def fit(self, x, y=None, *, covariates=None):
        self._note("fit", x, covariates)
        self.last_ = np.array([x.array(i)[-1] for i in range(len(x))])
        return self

    def update(self, x_new, *, covariates=None):
        self._note("update", x_new, covariates)
        self.last_ = np.array([x_new.array(i)[-1] for i in range(len(x_new))])
        return self

    def predict(self, horizon, *, covariates=None):
        self._note("predict", horizon, covariates)
        mean = np.repeat(self.last_[:, None, :] + self.shift, horizon, axis=1)
        return Given(Normal(mean, np.full(mean.shape, self.scale)))

    def _note(self, verb, x, covariates):
        if self.log is not None:
            rows = x if isinstance(x, int) else x.lengths.tolist()
            self.log.append(
                (verb, rows, None if covariates is None else covariates.lengths.tolist())
            )


class Climb(Last):
    """One more at every step ahead."""

    def predict(self, horizon, *, covariates=None):
        d = super().predict(horizon).distribution
        return Given(Normal(d.mean + np.arange(1.0, horizon + 1)[:, None], d.scale))


class Fussy(Last):
    """Fails on series called ``bad``, and forecasts NaN for series called ``hole``."""

    def fit(self, x, y=None, *, covariates=None):
        if "bad" in x.keys:
            raise RuntimeError("the matrix is singular")
        super().fit(x)
        self.last_[[key == "hole" for key in x.keys]] = np.nan
        return self


def monthly(values, name=None):
    index = pd.date_range("2000-01-01", periods=len(values), freq="MS")
    return pd.Series(np.asarray(values, dtype=float), index=index, name=name)


def panel(n=6, seed=0, lengths=None):
    rng = np.random.default_rng(seed)
    sizes = lengths or [40 + 3 * i for i in range(n)]
    return {f"s{i}": monthly(rng.normal(size=size).cumsum()) for i, size in enumerate(sizes)}


# ---------------------------------------------------------------- splits


def test_hold_out_and_rolling_origin_by_hand():
    assert HoldOut(2, gap=1).slices(6) == [(slice(0, 3), slice(4, 6))]
    rolling = RollingOrigin(2, windows=3, step=1, window=3)
    assert rolling.slices(9) == [
        (slice(2, 5), slice(5, 7)),
        (slice(3, 6), slice(6, 8)),
        (slice(4, 7), slice(7, 9)),
    ]
    assert len(RollingOrigin(2, windows=None, initial=4).slices(11)) == 3


@settings(max_examples=100, deadline=None)
@given(
    horizon=st.integers(1, 5),
    windows=st.integers(1, 4),
    step=st.one_of(st.none(), st.integers(1, 6)),
    gap=st.integers(0, 3),
    window=st.one_of(st.just("expanding"), st.integers(1, 8)),
    lengths=st.lists(st.integers(40, 60), min_size=1, max_size=4),
)
def test_time_splits_never_look_ahead(horizon, windows, step, gap, window, lengths):
    splits = RollingOrigin(horizon, windows, step=step, gap=gap, window=window)
    cuts = splits.windows_for(lengths)
    assert len(cuts) == windows == splits.get_n_splits()
    for length in lengths:
        ends = []
        for cut in cuts:
            train, test = cut.slices(length)
            assert 0 <= train.start < train.stop == test.start - gap
            assert test.stop - test.start == horizon and test.stop <= length
            assert train.start == 0 or train.stop - train.start == window
            ends.append(test.stop)
        assert ends[-1] == length  # counted from each sequence's own end
        assert np.diff(ends).tolist() == [step or horizon] * (windows - 1)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(12, 40), k=st.integers(2, 5), gap=st.integers(0, 2))
def test_blocked_k_fold_covers_every_row_once(length, k, gap):
    tests = []
    for train, test in BlockedKFold(k, gap).positions(length):
        apart = np.abs(train[:, None] - test[None, :]).min()
        assert apart > gap
        assert (np.diff(test) == 1).all()
        tests.extend(test.tolist())
    assert tests == list(range(length))


def test_splits_are_scikit_learn_splitters():
    x = np.arange(10)
    (train, test), *rest = RollingOrigin(2, windows=2).split(x)
    assert train.tolist() == [0, 1, 2, 3, 4, 5] and test.tolist() == [6, 7] and len(rest) == 1
    assert BlockedKFold(3).get_n_splits() == len(list(BlockedKFold(3).split(x))) == 3
    assert HoldOut(3).get_n_splits(x) == 1
    assert RollingOrigin(2, None, initial=4).get_n_splits(x) == 3


def test_too_short_series_are_named():
    with pytest.raises(ValueError, match=r"series 'b' has 6 rows; 2 window.* need 7"):
        RollingOrigin(3, 2).windows_for([20, 6], ["a", "b"])
    with pytest.raises(ValueError, match="data set 'p': series 's1' has 5 rows"):
        compare({"m": Last()}, {"p": panel(lengths=[30, 5])}, 5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: HoldOut(0),
        lambda: RollingOrigin(2, windows=0),
        lambda: RollingOrigin(2, windows=None),
        lambda: RollingOrigin(2, gap=-1),
        lambda: RollingOrigin(2, step=1.5),
        lambda: BlockedKFold(1),
        lambda: list(BlockedKFold(2, gap=20).positions(10)),
        lambda: list(BlockedKFold(5).positions(3)),
    ],
)
def test_splits_refuse_what_makes_no_sense(build):
    with pytest.raises(ValueError):
        build()


# ---------------------------------------------------------------- backtest


def test_backtest_is_a_long_frame_on_the_calendar():
    y = monthly(np.arange(10), name="sales")
    model = Last(shift=1.0, scale=2.0)
    frame = backtest(model, y, RollingOrigin(2, 2), level=80)
    assert list(frame) == [
        *("series", "window", "cutoff", "step", "time", "actual", "mean", "median"),
        *("lo-80", "hi-80"),
    ]
    assert frame["series"].unique().tolist() == ["sales"]
    assert frame["actual"].tolist() == [6.0, 7.0, 8.0, 9.0]
    assert frame["mean"].tolist() == [6.0, 6.0, 8.0, 8.0]
    assert frame["cutoff"].tolist() == [y.index[5]] * 2 + [y.index[7]] * 2
    assert frame["time"].tolist() == y.index[6:].tolist()
    assert frame["hi-80"][0] == pytest.approx(6 + 2 * 1.2815515655446004)
    assert not hasattr(model, "last_")  # the model given is never fitted


def test_backtest_of_a_ragged_panel_with_channels_and_gap():
    two = {k: pd.DataFrame({"a": v, "b": -v}) for k, v in panel(lengths=[12, 9]).items()}
    frame = backtest(Last(), two, RollingOrigin(2, 2, gap=1, step=3))
    assert len(frame) == 2 * 2 * 2 * 2
    row = frame[(frame.series == "s1") & (frame.window == 1) & (frame.channel == "b")]
    assert row["actual"].tolist() == two["s1"]["b"].iloc[-2:].tolist()
    assert (row["mean"] == two["s1"]["b"].iloc[-4]).all()
    assert row["step"].tolist() == [1, 2]


def test_a_gap_leaves_out_the_first_steps():
    splits = RollingOrigin(2, 2, gap=3)
    frame = backtest(Climb(), monthly(np.arange(20)), splits)
    assert (frame["mean"] == frame["actual"]).all()
    board = compare(
        {"m": Climb()}, monthly(np.arange(20)), splits=splits, metrics="mae"
    ).leaderboard
    assert board["mae"].item() == 0.0


@pytest.mark.parametrize(
    ("refit", "verbs"),
    [
        (True, "fit predict fit predict fit predict"),
        (False, "fit predict update predict update predict"),
        (2, "fit predict update predict fit predict"),
    ],
)
def test_refit_and_update(refit, verbs):
    log: list = []
    frame = backtest(Last(log=log), monthly(np.arange(12)), RollingOrigin(2, 3), refit=refit)
    assert " ".join(entry[0] for entry in log) == verbs
    assert frame["mean"].tolist() == [5, 5, 7, 7, 9, 9]
    assert [rows for verb, rows, _ in log if verb == "update"] == [[2]] * verbs.count("update")


def test_covariates_are_cut_like_the_series():
    log: list = []
    y = monthly(np.arange(10))
    backtest(Last(log=log), y, RollingOrigin(2, 2, gap=1), covariates=y.to_frame("x"), refit=False)
    assert log == [
        ("fit", [5], [5]),
        ("predict", 3, [3]),
        ("update", [2], [2]),
        ("predict", 3, [3]),
    ]
    with pytest.raises(ValueError, match="a row for every row of x"):
        backtest(Last(), y, HoldOut(2), covariates=y.iloc[:-1].to_frame("x"))


def test_backtest_refuses_splits_that_look_ahead():
    with pytest.raises(TypeError, match="HoldOut or RollingOrigin"):
        backtest(Last(), monthly(np.arange(9)), BlockedKFold(3))
    with pytest.raises(ValueError, match="refit is 0"):
        backtest(Last(), monthly(np.arange(9)), HoldOut(2), refit=0)


# ---------------------------------------------------------------- compare

MODELS = {"last": Last(), "high": Last(shift=3.0), "wide": Last(scale=9.0)}
EVERY = [
    "mase",
    "smape",
    "rmse",
    "rmsse",
    "crps",
    "log_score",
    "coverage-80",
    "winkler-80",
    "msis-95",
]


def test_compare_agrees_with_the_functions():
    data = panel(4)
    result = compare(MODELS, {"p": data}, 3, 2, metrics=[*EVERY, "owa", "pinball-0.9"], season=2)
    assert len(result.scores) == 3 * 4 * 2 * 10
    s = as_sequences(data)
    for model, estimator in MODELS.items():
        parts = []
        for cut in RollingOrigin(3, 2).windows_for(s.lengths):
            train = s.window(None, -cut.cutoff)
            d = estimator.fit(train).predict(3).distribution
            actual = np.stack([s.array(i)[cut.slices(len(s.array(i)))[1]] for i in range(4)])
            history = [train.array(i) for i in range(4)]
            options = {"history": history, "season": 2}
            low, high = d.quantile(0.1), d.quantile(0.9)
            parts.append(
                {
                    "mase": metrics.mase(actual, d.median, **options),
                    "rmse": metrics.rmse(actual, d.mean),
                    "rmsse": metrics.rmsse(actual, d.mean, **options),
                    "crps": metrics.crps(actual, d),
                    "log_score": metrics.log_score(actual, d),
                    "coverage-80": metrics.coverage(actual, low, high),
                    "winkler-80": metrics.winkler(actual, low, high, level=80),
                    "pinball-0.9": metrics.pinball(actual, high, q=0.9),
                }
            )
        expected = pd.DataFrame(parts).mean()
        row = result.leaderboard.loc[("p", model)]
        assert row[expected.index].to_dict() == pytest.approx(expected.to_dict())


def test_leaderboard_order_ranks_and_orientation():
    data = panel(5)
    result = compare(MODELS, {"p": data}, 3, metrics=["mase", "log_score"])
    board = result.leaderboard.loc["p"]
    assert board["mase"].is_monotonic_increasing
    assert board.index[-1] == "high" and (board["failures"] == 0).all()
    assert board.loc[["last", "wide"], "rank"].tolist() == pytest.approx(
        [1.5, 1.5]
    )  # the same median
    by_log = compare(MODELS, {"p": data}, 3, metrics=["log_score"]).leaderboard.loc["p"]
    assert by_log["log_score"].is_monotonic_decreasing
    nearest = compare(MODELS, {"p": data}, 3, metrics=["coverage-80"]).leaderboard.loc["p"]
    assert (nearest["coverage-80"] - 0.8).abs().is_monotonic_increasing
    assert "last" in repr(result) and "mase (lower is better)" in repr(result)


def test_horizon_scores_average_to_the_leaderboard():
    result = compare(MODELS, {"p": panel(5)}, 4, 2, metrics=["mase", "rmse", "owa"])
    by_step = result.horizon_scores.pivot_table(index=["model", "metric"], values="value")["value"]
    board = result.leaderboard.loc["p"]
    for model in MODELS:
        assert by_step[model, "mase"] == pytest.approx(board.loc[model, "mase"])
    assert result.horizon_scores["step"].max() == 4
    # of the last value, the error of step k is the value k steps later
    one = compare(
        {"last": Last()}, monthly([0.0, 1, 2, 3, 6]), 2, metrics=["rmse", "mae"], season=1
    )
    assert one.horizon_scores["value"].tolist() == [1.0, 1.0, 4.0, 4.0]
    assert one.leaderboard["rmse"].item() == pytest.approx(np.sqrt(17 / 2))


def test_owa_of_naive2_itself_is_one():
    data = panel(5)
    result = compare({"last": Last()}, {"p": data}, 3, 2, metrics="owa", season=1)
    assert result.leaderboard["owa"].item() == pytest.approx(1.0)
    assert result.horizon_scores["value"].tolist() == pytest.approx([1.0] * 3)
    assert sorted(result.scores["metric"].unique()) == ["mase", "smape"]
    seasonal = {"t": monthly(np.tile([1.0, 2.0, 5.0, 2.0], 8) * 1.01 ** np.arange(32))}
    worse = compare({"last": Last()}, seasonal, 4, metrics=["owa"], season=4)
    assert worse.leaderboard["owa"].item() > 5


def test_one_failing_series_does_not_stop_the_rest():
    data = panel(5)
    data["bad"], data["hole"] = data.pop("s1"), data.pop("s3")
    result = compare(
        {"last": Last(), "fussy": Fussy()}, {"p": data}, 3, 2, metrics=["mase", "crps"]
    )
    failed = result.failures
    assert set(zip(failed["series"], failed["window"], strict=True)) == {
        *(("bad", 0), ("bad", 1), ("hole", 0), ("hole", 1)),
    }
    assert set(failed["model"]) == {"fussy"}
    assert failed.set_index("series").loc["bad", "message"].unique() == ["the matrix is singular"]
    assert "NaN from step 1" in failed.set_index("series").loc["hole", "message"].iloc[0]
    assert result.leaderboard.loc[("p", "fussy"), "failures"] == 4
    scores = result.scores.set_index("model").loc["fussy"]
    assert set(scores.loc[scores["value"].isna(), "series"]) == {"bad", "hole"}
    ranks = result.leaderboard["rank"]
    assert ranks["p", "fussy"] > ranks["p", "last"]  # failing is worse than losing
    assert "failure" in repr(result)


def test_a_model_that_fails_does_not_lead_by_its_easy_series():
    rng = np.random.default_rng(5)
    data = {"easy": monthly(np.arange(40.0)), "bad": monthly(40 * rng.normal(size=40))}
    models = {"last": Last(), "fussy": Fussy(shift=1.0)}
    result = compare(models, {"p": data}, 3, metrics=["mae", "coverage-80", "owa"])
    board = result.leaderboard.loc["p"]
    assert board.loc["fussy", "mae"] < board.loc["last", "mae"]
    assert board.index.tolist() == ["last", "fussy"]
    assert result.overall["best"].to_dict() == {"last": 1, "fussy": 0}
    # over the series that both have: errors 0, 1, 2 against 1, 2, 3
    assert result.overall.loc["fussy", "relative_mae"] == pytest.approx(0.5)
    for metric in ("mae", "owa"):
        ax = result.plot("leaderboard", metric=metric).axes[0]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["last", "fussy"]
    assert ["fewer cases" in text.get_text() for text in ax.texts] == [False, True]
    gain = compare(models, {"p": data}, 3, metrics=["log_score"]).overall
    alone = compare(models, {"p": {"easy": data["easy"]}}, 3, metrics=["log_score"]).overall
    assert gain.loc["fussy", "gain_log_score"] == alone.loc["fussy", "gain_log_score"] > 0


def test_a_pooled_model_that_fails_fails_on_all():
    data = panel(3) | {"bad": panel(1)["s0"]}
    result = compare({"a": Fussy(pooled=True), "b": Last()}, {"p": data}, 2)
    assert result.failures["series"].tolist() == ["all"]
    assert result.leaderboard.loc[("p", "a"), "failures"] == 4
    assert result.leaderboard.index.get_level_values("model").tolist() == ["b", "a"]


def test_a_measure_that_cannot_be_had_is_a_failure_of_that_measure_only():
    class Points(Last):
        def predict(self, horizon, *, covariates=None):
            from seqkit.evaluation.work import PointForecasts

            return Given(PointForecasts(super().predict(horizon).distribution.mean))

    result = compare(
        {"points": Points(), "last": Last()}, {"p": panel(2)}, 2, metrics=["mae", "crps"]
    )
    board = result.leaderboard.loc["p"]
    assert board["mae"].notna().all() and np.isnan(board.loc["points", "crps"])
    assert result.failures["message"].str.startswith("crps: ").all()
    assert result.plot("forecasts") is not None


def test_interrupts_are_not_swallowed():
    class Interrupted(Last):
        def fit(self, x, y=None, *, covariates=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare({"m": Interrupted()}, {"p": panel(2)}, 2)


def test_two_processes_give_what_one_gives():
    data = {"p": panel(9) | {"bad": panel(1)["s0"]}, "one": monthly(np.arange(30.0) ** 1.1)}
    models = {"last": Last(), "fussy": Fussy(), "pool": Last(shift=1.0, pooled=True)}
    options = {"metrics": ["mase", "owa", "crps"], "refit": False}
    serial = compare(models, data, 3, 2, **options)
    parallel = compare(models, data, 3, 2, n_jobs=2, **options)
    for table in ("scores", "horizon_scores", "failures"):
        pd.testing.assert_frame_equal(
            getattr(serial, table), getattr(parallel, table), check_exact=True
        )
    seconds = ["fit_seconds", "predict_seconds"]
    pd.testing.assert_frame_equal(
        serial.leaderboard.drop(columns=seconds), parallel.leaderboard.drop(columns=seconds)
    )


def test_missing_actuals_and_series_without_any():
    data = panel(3)
    data["s0"].iloc[-1] = np.nan
    data["s2"].iloc[-2:] = np.nan
    result = compare({"last": Last()}, {"p": data}, 2, metrics=["mae"])
    values = result.scores.set_index("series")["value"]
    assert values["s0"] == pytest.approx(abs(data["s0"].iloc[-2] - data["s0"].iloc[-3]))
    assert np.isnan(values["s2"]) and not len(result.failures)
    assert result.datasets.loc["p", "unscored"] == 1
    assert result.leaderboard["mae"].item() == pytest.approx(values[["s0", "s1"]].mean())


def test_series_without_a_scale_are_named():
    data = panel(2) | {"flat": monthly(np.ones(30))}
    with pytest.warns(RuntimeWarning, match="mase is not defined for series 'flat' of 'p'"):
        result = compare({"last": Last()}, {"p": data}, 3, metrics=["mase", "mae"])
    values = result.scores.set_index(["series", "metric"])["value"]
    assert np.isnan(values["flat", "mase"]) and values["flat", "mae"] == 0.0
    assert not len(result.failures)


def test_season_comes_from_the_calendar_or_the_caller():
    y = monthly(np.arange(30.0))
    assert compare({"m": Last()}, y, 2, metrics="mae").datasets["season"].item() == 12
    assert compare({"m": Last()}, y, 2, metrics="mae", season=3).datasets["season"].item() == 3
    mixed = {"a": y, "b": y.set_axis(pd.date_range("2000", periods=30, freq="D"))}
    with pytest.raises(ValueError, match="different seasons"):
        compare({"m": Last()}, {"p": mixed}, 2)


def test_each_data_set_may_have_its_own_protocol():
    data = {"a": monthly(np.arange(30.0)), "b": monthly(np.arange(20.0) ** 2)}
    result = compare({"m": Last(), "n": Last(shift=1.0)}, data, {"a": 4, "b": 2}, {"a": 1, "b": 3})
    assert result.datasets["horizon"].to_dict() == {"a": 4, "b": 2}
    assert result.datasets["windows"].to_dict() == {"a": 1, "b": 3}
    overall = result.overall
    assert overall.loc["m", "relative_mase"] == pytest.approx(1.0)
    ratios = result.leaderboard["mase"].unstack("model")
    expected = np.exp(np.log(ratios["n"] / ratios["m"]).mean())
    assert overall.loc["n", "relative_mase"] == pytest.approx(expected)
    assert overall["best"].sum() == 2
    with pytest.raises(ValueError, match="horizon has no entry for data set 'b'"):
        compare({"m": Last()}, data, {"a": 4})


def test_compare_refuses_what_does_not_fit():
    y = monthly(np.arange(20.0))
    with pytest.raises(ValueError, match="either horizon"):
        compare({"m": Last()}, y)
    with pytest.raises(ValueError, match="unknown metric 'maze'"):
        compare({"m": Last()}, y, 2, metrics=["maze"])
    with pytest.raises(ValueError, match="models is empty"):
        compare({}, y, 2)
    with pytest.raises(TypeError, match=r"models\['m'\] is"):
        compare({"m": Last}, y, 2)
    assert [*compare([Last(), Last(shift=1.0)], y, 2).models] == ["Last", "Last-2"]


def test_cross_validate():
    table = cross_validate(Last(), panel(2), RollingOrigin(2, 3), metrics=["mae", "crps"])
    assert table.shape == (6, 2) and list(table) == ["mae", "crps"]
    assert table.index.names == ["series", "window"]
    with pytest.raises(RuntimeError, match=r"Fussy failed on 1 case.*'bad'.*singular"):
        cross_validate(Fussy(), {"bad": panel(1)["s0"]}, HoldOut(2))


def test_real_models_on_a_real_calendar():
    from seqkit.models.baselines import Naive, SeasonalNaive

    months = np.arange(72)
    y = monthly(100 + months + 20 * np.sin(2 * np.pi * months / 12), name="sales")
    result = compare({"naive": Naive(), "seasonal": SeasonalNaive()}, y, 12, 3, refit=False)
    assert result.leaderboard.index[0] == ("sales", "seasonal")
    assert not len(result.failures)


# ---------------------------------------------------------------- tests of difference


def test_diebold_mariano_by_hand():
    a, b = np.array([1.0, 4.0, 2.0, 5.0, 3.0]), np.array([0.0, 2.0, 3.0, 1.0, 1.0])
    d = a - b  # 1 2 -1 4 2
    mean = 8 / 5
    centred = d - mean
    gamma = [centred @ centred / 5, centred[1:] @ centred[:-1] / 5]
    plain = diebold_mariano(a, b)
    correction = np.sqrt((5 + 1 - 2 + 0) / 5)
    assert plain.statistic == pytest.approx(correction * mean / np.sqrt(gamma[0] / 5))
    from scipy.stats import t, ttest_1samp

    assert plain.p_value == pytest.approx(2 * t.sf(plain.statistic, 4))
    assert plain.p_value == pytest.approx(ttest_1samp(d, 0).pvalue)  # without lags, a paired t-test
    lagged = diebold_mariano(a, b, lags=1)
    total = gamma[0] + 2 * gamma[1]
    total = total if total > 0 else gamma[0] + gamma[1]
    correction = np.sqrt((5 + 1 - 4 + 2 / 5) / 5)
    assert lagged.statistic == pytest.approx(correction * mean / np.sqrt(total / 5))
    assert diebold_mariano(a, b, alternative="greater").p_value == pytest.approx(plain.p_value / 2)
    assert diebold_mariano(a, b, alternative="less").p_value == pytest.approx(1 - plain.p_value / 2)


def test_diebold_mariano_at_the_edges():
    same = diebold_mariano([1.0, 2.0], [1.0, 2.0])
    assert same.statistic == 0.0 and same.p_value == 1.0
    certain = diebold_mariano([2.0, 3.0], [1.0, 2.0])
    assert certain.statistic == np.inf and certain.p_value == 0.0
    assert diebold_mariano([1.0, np.nan, 2.0, 4.0], [2.0, 1.0, 4.0, 5.0]).n == 3
    with pytest.raises(ValueError, match="1 pairs of losses are not enough"):
        diebold_mariano([1.0], [2.0])
    assert "p = " in repr(same)


def test_diebold_mariano_of_a_comparison():
    models = {"last": Last(), "high": Last(shift=2.0)}
    one = compare(
        models,
        monthly(np.random.default_rng(1).normal(size=60)),
        splits=RollingOrigin(3, 10, step=1),
    )
    found = one.diebold_mariano("last", "high", "crps")
    assert (found.over, found.n, found.lags) == ("windows", 10, 2)
    values = one.scores[one.scores.metric == "crps"].pivot(
        index="window", columns="model", values="value"
    )
    expected = diebold_mariano(values["last"], values["high"], lags=2)
    assert found.statistic == pytest.approx(expected.statistic)
    many = compare(models, {"p": panel(8)}, 3, 2)
    assert (many.diebold_mariano("last", "high").over, many.diebold_mariano("last", "high").n) == (
        "series",
        8,
    )
    assert many.diebold_mariano("last", "high", over="windows").n == 2
    with pytest.raises(ValueError, match="unknown model 'x'"):
        many.diebold_mariano("last", "x")
    with pytest.raises(ValueError, match="cannot be tested"):
        many.diebold_mariano("last", "high", "coverage-80")


def test_friedman_is_scipys_and_nemenyi_is_demsars():
    from scipy.stats import friedmanchisquare

    rng = np.random.default_rng(3)
    shifts = np.array([0, 0, 0.5, 2])
    table = pd.DataFrame(rng.normal(size=(20, 4)).round(1) + shifts, columns=list("abcd"))
    found = friedman_nemenyi(table)
    expected = friedmanchisquare(*table.to_numpy().T)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    # Demsar (2006), table 5a: q(0.05) = 2.569 for 4 classifiers
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 20)), abs=1e-3)
    p_values, means = found.p_values, found.mean_ranks
    for a in "abcd":
        for b in "abcd":
            apart = abs(means[a] - means[b]) > found.critical_difference
            assert (p_values.loc[a, b] < 0.05) == apart
            assert apart or a == b or any({a, b} <= set(group) for group in found.groups)


def test_ranks_put_failures_last_and_leave_empty_cases_out():
    table = pd.DataFrame({"a": [1.0, np.nan, np.nan, 1.0], "b": [2.0, 5.0, np.nan, 1.0]})
    found = friedman_nemenyi(table)
    assert found.cases == 3
    assert found.mean_ranks.to_dict() == pytest.approx(
        {"a": (1 + 2 + 1.5) / 3, "b": (2 + 1 + 1.5) / 3}
    )
    with pytest.raises(ValueError, match="two models and two cases"):
        friedman_nemenyi(table[["a"]])
    with pytest.raises(ValueError, match="got 2 models and 1 case "):
        friedman_nemenyi(table[:1])
    result = compare(MODELS | {"fussy": Fussy()}, {"p": panel(4) | {"bad": panel(1)["s0"]}}, 2, 2)
    ranks = result.ranks()
    assert ranks.cases == 5 and "Friedman" in repr(ranks)
    assert ranks.mean_ranks["fussy"] > ranks.mean_ranks["last"]


# ---------------------------------------------------------------- pictures and the page


@pytest.fixture(scope="module")
def shown():
    data = {"p": panel(4) | {"bad": panel(1)["s0"]}, "<b>one</b>": monthly(np.arange(40.0) ** 1.1)}
    models = MODELS | {"fussy <i>": Fussy()}
    return compare(models, data, 4, 2, metrics=["mase", "log_score", "coverage-80", "owa"])


@pytest.mark.parametrize("kind", ["leaderboard", "horizon", "ranks", "forecasts"])
def test_pictures_are_drawn_without_a_display(shown, kind):
    from matplotlib.figure import Figure

    assert isinstance(shown.plot(kind), Figure)
    if kind in ("leaderboard", "horizon"):
        for metric in ("log_score", "coverage-80", "owa"):
            assert shown.plot(kind, metric=metric, dataset="p").axes
    with pytest.raises(ValueError, match="kind is 'bars'"):
        shown.plot("bars")


def test_the_page_stands_on_its_own(shown, tmp_path):
    page = shown.to_html(tmp_path / "page.html", title="Sales & more").read_text(encoding="utf-8")
    assert "<title>Sales &amp; more</title>" in page
    assert not re.search(r"https?:", page, flags=re.IGNORECASE)
    assert not re.search(r"<script[^>]+src|<link|@import|<img|<iframe", page)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)"', page))
    assert "<b>one</b>" not in page and "<i>" not in page  # names are text
    assert page.count("<svg") == 2 * 3 + 1 and "currentColor" in page
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    for part in ("Leaderboard", "Example forecasts", "Ranks", "singular", "Versions", "numpy"):
        assert part in page
    for target in re.findall(r"url\(#([^)]+)\)", page):
        assert target in names
    assert "under the leading three models:" in page
    rows = re.findall(r"<tr>\s*<td>fussy.*?</tr>", page, flags=re.DOTALL)
    assert len(rows) >= 2 and 'class="number best"' not in rows[0]  # it failed on a series of p


def test_examples_show_about_three_horizons_of_history(shown):
    assert [len(example.history) for example in shown._result("p").examples] == [12] * 3
    long = compare({"m": Last()}, monthly(np.arange(90.0)), 10)
    assert len(long._result(None).examples[0].history) == 30


def test_the_table_of_data_leaves_out_what_says_nothing(shown):
    from seqkit.evaluation.report import _datasets

    table = _datasets(shown)
    assert table["length"].tolist() == ["40 to 49", "40"]
    assert not {"channels", "missing", "unscored"} & set(table)
    holes = monthly(np.arange(30.0))
    holes.iloc[3] = np.nan
    assert _datasets(compare({"m": Last()}, holes, 2))["missing"].tolist() == [1]


def test_the_tables_as_json(shown, tmp_path):
    document = json.loads(shown.to_json(tmp_path / "scores.json"))
    assert len(document["scores"]) == len(shown.scores)
    assert document["metrics"]["log_score"] == "higher is better"
    assert json.loads((tmp_path / "scores.json").read_text()) == document
