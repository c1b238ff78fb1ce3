"""Splits of examples, searches, nested cross-validation, curves and their pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import AR, Conformal, Covariates, HMMTagger, Identity, Log, Standard
from seqkit.base import Model
from seqkit.data import as_sequences
from seqkit.distributions import Normal
from seqkit.evaluation import (
    BlockedKFold,
    HoldOut,
    Integer,
    KFold,
    LeaveOneOut,
    LogInteger,
    LogUniform,
    RollingOrigin,
    Stratified,
    Uniform,
    cross_validate,
    learning_curve,
    nested_cross_validate,
    search,
    validation_curve,
)
from seqkit.evaluation.objective import make_objective

# ---------------------------------------------------------------- models and data


@dataclass(eq=False, repr=False)
class Least(Model):
    """Least squares on rows, with a ridge; ``answer`` says by which measure `score` is minus."""

    ridge: float = 0.0

    def fit(self, x, y):
        x = np.asarray(x)
        self.coef_ = np.linalg.solve(x.T @ x + self.ridge * np.eye(x.shape[1]), x.T @ y)
        return self

    def predict(self, x):
        return np.asarray(x) @ self.coef_

    def score(self, x, y):
        return -float(np.square(self.predict(x) - y).mean())


@dataclass
class Said:
    distribution: Normal


@dataclass(eq=False, repr=False)
class Off(Model):
    """The last value plus ``shift``. Counts its fits, notes the largest value it saw, and stops at a given fit."""

    shift: float = 0.0
    fails_at: float = 9e9
    fits: ClassVar[int] = 0
    killed_at: ClassVar[int] = 10**9
    largest: ClassVar[float] = -np.inf

    def fit(self, x, y=None):
        Off.fits += 1
        if Off.fits == Off.killed_at:
            raise KeyboardInterrupt
        if self.shift > self.fails_at:
            raise RuntimeError(f"no luck with {self.shift:g}")
        data = as_sequences(x)
        Off.largest = max(Off.largest, float(data.values.max()))
        self.last_ = np.array([data.array(i)[-1] for i in range(len(data))])
        return self

    def predict(self, horizon):
        mean = np.repeat(self.last_[:, None, :] + self.shift, horizon, axis=1)
        return Said(Normal(mean, np.ones_like(mean)))


@pytest.fixture(autouse=True)
def fresh_counters():
    Off.fits, Off.killed_at, Off.largest = 0, 10**9, -np.inf


def monthly(values):
    index = pd.date_range("2000-01-01", periods=len(values), freq="MS")
    return pd.Series(np.asarray(values, dtype=float), index=index)


def walk(n=80, seed=0):
    return monthly(np.random.default_rng(seed).normal(size=n).cumsum())


SENTENCES = [["the", "dog", "barks"], ["a", "cat", "sleeps"], ["the", "cat"], ["dog", "barks"]] * 5
TAGS = [["D", "N", "V"], ["D", "N", "V"], ["D", "N"], ["N", "V"]] * 5


# ---------------------------------------------------------------- splits


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 40), k=st.integers(2, 9), shuffle=st.booleans(), seed=st.integers(0, 9))
def test_k_fold_is_scikit_learns_and_a_partition(n, k, shuffle, seed):
    from sklearn.model_selection import KFold as Theirs

    if n < k:
        with pytest.raises(ValueError, match="cannot be cut"):
            list(KFold(k).positions(n))
        return
    ours = list(KFold(k, shuffle, seed).positions(n))
    theirs = list(Theirs(k).split(np.zeros(n)))
    assert [len(test) for _, test in ours] == [len(test) for _, test in theirs]
    assert sorted(i for _, test in ours for i in test) == list(range(n))
    assert all(sorted([*train, *test]) == list(range(n)) for train, test in ours)
    if not shuffle:
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(ours, theirs, strict=True))
    one_out = list(LeaveOneOut().split(np.zeros(n)))
    assert [test.tolist() for _, test in one_out] == [[i] for i in range(n)]
    assert all(len(train) == n - 1 for train, _ in one_out)


@settings(max_examples=60, deadline=None)
@given(
    y=st.lists(st.sampled_from("aaaaabbc"), min_size=8, max_size=60),
    k=st.integers(2, 5),
    seed=st.integers(0, 9),
)
def test_stratified_spreads_every_class(y, k, seed):
    if max(y.count(c) for c in set(y)) < k:
        return
    parts = [[y[i] for i in test] for _, test in Stratified(k, seed=seed).split(y, y)]
    assert sorted(label for part in parts for label in part) == sorted(y)
    for label in set(y):
        counts = [part.count(label) for part in parts]
        assert max(counts) - min(counts) <= 1
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_stratified_refuses_what_has_no_classes():
    with pytest.raises(ValueError, match="pass y="):
        list(Stratified(2).split(range(4)))
    with pytest.raises(ValueError, match="KFold where y is a quantity"):
        list(Stratified(2).split(range(6), np.arange(6.0)))
    with pytest.raises(ValueError, match="3 labels and X 4"):
        list(Stratified(2).split(range(4), [0, 0, 1]))


# ---------------------------------------------------------------- cross-validation of examples


def test_leave_one_out_of_least_squares_is_the_press_formula():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    hat = x @ np.linalg.solve(x.T @ x, x.T)
    expected = ((y - hat @ y) / (1 - np.diag(hat))) ** 2
    table = cross_validate(Least(), x, LeaveOneOut(), y, metrics=["mse", "score"])
    assert np.allclose(table["mse"], expected, rtol=1e-10, atol=0)
    assert np.allclose(table["score"], -expected, rtol=1e-10, atol=0)


def test_scikit_learns_models_and_splitters_give_their_own_scores():
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import ShuffleSplit, cross_val_score

    rng = np.random.default_rng(2)
    x, y = pd.DataFrame(rng.normal(size=(40, 3))), pd.Series(rng.normal(size=40))
    splits = ShuffleSplit(4, random_state=0)
    ours = cross_validate(Ridge(), x, splits, y)["score"]
    assert np.allclose(ours, cross_val_score(Ridge(), x, y, cv=splits), rtol=1e-12, atol=0)


@pytest.mark.parametrize("form", ["lists", "panel"])
def test_taggers_are_parted_by_sentence(form):
    x, y = SENTENCES, TAGS
    if form == "panel":
        x = {f"s{i}": np.array(s, dtype=object) for i, s in enumerate(x)}
        y = {name: np.array(t, dtype=object) for name, t in zip(x, y, strict=True)}
    table = cross_validate(HMMTagger(), x, Stratified(4), y, metrics=["score", "accuracy", "f1"])
    assert table.shape == (4, 3) and table.index.name == "fold"
    by_hand = []
    for train, test in Stratified(4).split(SENTENCES, TAGS):
        model = HMMTagger().fit([SENTENCES[i] for i in train], [TAGS[i] for i in train])
        by_hand.append(model.score([SENTENCES[i] for i in test], [TAGS[i] for i in test]))
    assert np.allclose(table["score"], by_hand, rtol=1e-12, atol=0)
    assert np.allclose(table["accuracy"], by_hand, rtol=1e-12, atol=0)


def test_blocks_of_one_series_leave_the_test_rows_missing():
    y = walk(60)
    table = cross_validate(AR(1), y, BlockedKFold(3))
    holes = y.copy()
    holes.iloc[20:40] = np.nan
    expected = AR(1).fit(holes).score(y.iloc[20:40])
    assert table.loc[1, "score"] == pytest.approx(expected, rel=1e-10)
    table = cross_validate(AR(1), y.to_numpy(), BlockedKFold(3))  # places go along without an index
    assert table.loc[1, "score"] == pytest.approx(expected, rel=1e-10)


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="y has 3 rows and x 4"):
        cross_validate(Least(), np.zeros((4, 1)), KFold(2), np.zeros(3))
    with pytest.raises(TypeError, match="cuts in time"):
        cross_validate(HMMTagger(), SENTENCES, HoldOut(1), TAGS)
    with pytest.raises(ValueError, match="need HoldOut or RollingOrigin"):
        cross_validate(HMMTagger(), SENTENCES, KFold(2), TAGS, metrics="mase")
    with pytest.raises(ValueError, match="'log_score'"):
        search(Off(), {"shift": [0.0]}, walk(), HoldOut(3), "score")
    with pytest.raises(ValueError, match="belong to forecasts"):
        search(Least(), {"ridge": [0.0]}, np.zeros((9, 1)), y=np.zeros(9), horizon=3)


# ---------------------------------------------------------------- spaces


@settings(max_examples=50, deadline=None)
@given(u=st.floats(0, 1, exclude_max=True))
def test_ranges_stay_inside_and_reach_their_ends(u):
    assert 0.5 <= Uniform(0.5, 2.0).at(u) <= 2.0
    assert 1e-4 <= LogUniform(1e-4, 1e-1).at(u) <= 1e-1
    assert Integer(1, 10, step=4).at(u) in (1, 5, 9)
    assert LogInteger(1, 4).at(u) in (1, 2, 3, 4)
    almost = np.nextafter(1.0, 0.0)
    assert [Integer(1, 10, step=4).at(v) for v in (0.0, almost)] == [1, 9]
    assert [LogInteger(3, 70).at(v) for v in (0.0, almost)] == [3, 70]


def test_log_ranges_are_even_in_the_logarithm():
    u = (np.arange(1000) + 0.5) / 1000
    logs = np.log10([LogUniform(1e-3, 1e1).at(v) for v in u])
    assert np.histogram(logs, bins=4, range=(-3, 1))[0].tolist() == [250] * 4
    whole = np.array([LogInteger(1, 8).at(v) for v in u])
    expected = np.diff(np.log(np.arange(0.5, 9))) / np.log(17)  # what rounds to each number
    assert np.allclose(np.bincount(whole)[1:] / 1000, expected, rtol=0, atol=0.002)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"nonsense": [1]}, "has no parameter 'nonsense'"),
        ({"shift": []}, "list of values that is not empty"),
        ({}, "pass a dict"),
        ({"shift": Uniform(0, 1)}, "is a continuum"),
    ],
)
def test_spaces_that_make_no_sense(space, words):
    with pytest.raises((ValueError, TypeError), match=words):
        search(Off(), space, walk(), method="grid")
    assert Off.fits == 0


@pytest.mark.parametrize(
    "build",
    [lambda: Uniform(1, 1), lambda: LogUniform(0, 1), lambda: Integer(1, 5.5), lambda: LogInteger(0, 2)],
)  # fmt: skip
def test_ranges_that_make_no_sense(build):
    with pytest.raises(ValueError, match=r"low|high"):
        build()


# ---------------------------------------------------------------- search

SHIFTS = [3.0, -1.0, 0.2, 0.0, -4.0]
PANEL = {"a": walk(60, 1), "b": walk(75, 2)}


@pytest.mark.parametrize("metric", ["mase", "rmse", "log_score", "coverage-80"])
def test_a_grid_finds_what_cross_validation_ranks_first(metric):
    splits = RollingOrigin(4, 3)
    found = search(Off(), {"shift": SHIFTS}, PANEL, splits, metric, method="grid", prune=False)
    tables = [cross_validate(Off(s), PANEL, splits, metrics=metric) for s in SHIFTS]
    expected = [table[metric].mean() for table in tables]
    assert np.allclose(found.results_["score"], expected, rtol=1e-12, atol=0)
    bad = found.metric.badness(np.array(expected))
    assert found.best_trial_ == np.argmin(bad)
    assert found.best_params_ == {"shift": SHIFTS[int(np.argmin(bad))]}
    by_fold = tables[0][metric].groupby("window").mean()
    assert np.allclose(found.fold_scores_.loc[0], by_fold, rtol=1e-12, atol=0)
    last = [PANEL[k].iloc[-1] for k in PANEL]  # refitted on all rows
    assert found.best_model_.last_[:, 0].tolist() == last


def test_owa_of_a_search_is_that_of_compare():
    from seqkit.evaluation import compare

    found = search(Off(), {"shift": [1.0]}, PANEL, RollingOrigin(4, 3), "owa", method="grid")
    table = compare({"off": Off(1.0)}, {"d": PANEL}, 4, 3, metrics="owa")
    assert found.best_score_ == pytest.approx(table.leaderboard.loc[("d", "off"), "owa"], rel=1e-12)


def test_default_windows_are_the_last_horizons():
    def windows(model, x, **options):
        return make_objective(model, x, **options).dataset.splits

    assert windows(Off(), walk(80)) == RollingOrigin(12, 3)  # a season of months
    assert windows(Off(), walk(80), horizon=20) == RollingOrigin(20, 2)
    assert windows(Off(), np.arange(30.0)) == RollingOrigin(3, 3)
    assert windows(Off(), walk(80), horizon=4, metric="rmse") == RollingOrigin(4, 3)


def test_nested_parameters_and_objects_in_a_space():
    y = walk(90).abs() + 1
    space = {"model__order": [1, 3], "model": [AR(scale=Log()), AR(scale=Identity())]}
    found = search(Conformal(AR()), space, y, HoldOut(6), "crps", method="grid")
    assert len(found.results_) == 4
    assert found.best_model_.model.order == found.best_params_["model__order"]
    assert space["model"][0].order == AR().order  # what was given is not changed


def test_random_draws_do_not_repeat_and_depend_on_the_seed_alone():
    space = {"shift": [*np.arange(6.0)], "fails_at": [1e9, 2e9, 3e9]}
    found = search(Off(), space, walk(), HoldOut(3), trials=99, seed=3)
    assert len(found.results_) == 18
    assert not found.results_[["shift", "fails_at"]].duplicated().any()
    fewer = search(Off(), space, walk(), HoldOut(3), trials=7, seed=3)
    pd.testing.assert_frame_equal(
        fewer.results_.drop(columns="seconds"), found.results_.head(7).drop(columns="seconds")
    )
    other = search(Off(), {"shift": Uniform(-1, 1)}, walk(), HoldOut(3), trials=7, seed=4)
    assert other.results_["shift"].nunique() == 7


def test_bayes_closes_in_on_the_optimum():
    y = monthly(np.arange(60.0) * 2.0)  # the best shift for horizon 1 is 2
    space = {"shift": Uniform(-20, 20)}
    options = {"method": "bayes", "trials": 30, "prune": False}
    distance = []
    for seed in range(4):
        found = search(Off(), space, y, HoldOut(1), "mae", seed=seed, **options)
        distance += [*(found.results_["shift"].iloc[15:] - 2.0).abs()]
        assert abs(found.best_params_["shift"] - 2.0) < 2.0
    assert np.median(distance) < 7.0  # 10 for draws in the dark


def test_bayes_leaves_what_fails():
    space = {"shift": [0.0, 9.0], "fails_at": Uniform(0.5, 1.5)}
    found = search(Off(), space, walk(), HoldOut(3), method="bayes", trials=40)
    assert (found.results_["state"] == "failed").sum() <= 13  # 20 for draws in the dark


def test_two_processes_give_what_one_gives():
    def run(n_jobs):
        space = {"order": [1, 2, 3, 5, 8, 13], "scale": [Identity(), Standard()]}
        return search(AR(), space, walk(90), RollingOrigin(6, 3), method="random", n_jobs=n_jobs)

    one, two = run(1), run(2)
    columns = ["order", "score", "state", "folds"]
    pd.testing.assert_frame_equal(one.results_[columns], two.results_[columns])
    assert one.best_trial_ == two.best_trial_


def test_the_median_rule_by_hand():
    # MAE of a constant series is |shift| in every window: after 8 trials the median is that of theirs
    shifts = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 4.4, 4.6, 0.0]
    y = monthly(np.r_[np.ones(39), 1.0])
    found = search(Off(), {"shift": shifts}, y, RollingOrigin(2, 3), "mae", method="grid")
    assert found.results_["state"].tolist() == ["complete"] * 9 + ["pruned", "complete"]
    assert found.results_["folds"].tolist() == [3] * 9 + [1, 3]
    assert found.best_params_ == {"shift": 0.0}
    whole = search(
        Off(), {"shift": shifts}, y, RollingOrigin(2, 3), "mae", method="grid", prune=False
    )
    assert (whole.results_["state"] == "complete").all()


def test_failures_are_recorded_and_only_fatal_together():
    found = search(Off(fails_at=1.0), {"shift": [0.0, 2.0]}, walk(), HoldOut(3), method="grid")
    assert found.results_["state"].tolist() == ["complete", "failed"]
    assert found.results_["error"][1] == "RuntimeError: no luck with 2"
    with pytest.raises(RuntimeError, match=r"all 2 trials failed.*'shift': 3.*no luck with 3"):
        search(Off(fails_at=1.0), {"shift": [3.0, 2.0]}, walk(), HoldOut(3), method="grid")


# ---------------------------------------------------------------- storage


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
@pytest.mark.parametrize("killed_at", [2, 17, 31])
def test_a_killed_search_ends_as_if_it_had_not_been(method, killed_at, tmp_path):
    space = {"shift": [*np.linspace(-3, 3, 13)]} if method == "grid" else {"shift": Uniform(-3, 3)}
    options = {"method": method, "storage": tmp_path / "trials.jsonl"}
    options |= {} if method == "grid" else {"trials": 14}
    whole = search(Off(), space, walk(), RollingOrigin(3, 3), **{**options, "storage": None})
    Off.fits, Off.killed_at = 0, killed_at
    with pytest.raises(KeyboardInterrupt):
        search(Off(), space, walk(), RollingOrigin(3, 3), **options)
    with options["storage"].open("ab") as file:  # a kill in the middle of a line
        file.write(b'{"number": 5, "codes": {"sh')
    Off.fits, Off.killed_at = 0, 10**9
    after = search(Off(), space, walk(), RollingOrigin(3, 3), **options)
    columns = ["shift", "score", "state", "folds"]
    pd.testing.assert_frame_equal(
        after.results_[columns], whole.results_[columns], check_exact=True
    )
    needed = int(whole.results_["folds"].sum()) + 1
    assert Off.fits <= needed - (killed_at - 1) + 2  # lost: what the trial at the kill had done
    fits = Off.fits
    again = search(Off(), space, walk(), RollingOrigin(3, 3), **options)
    assert Off.fits == fits + 1 and again.best_score_ == whole.best_score_  # the last fit alone


def test_a_search_can_be_extended_but_not_mistaken(tmp_path):
    file = tmp_path / "deep" / "trials.jsonl"
    space = {"shift": Uniform(-1, 1)}
    search(Off(), space, walk(), HoldOut(3), trials=3, method="bayes", storage=file)
    longer = search(Off(), space, walk(), HoldOut(3), trials=8, method="bayes", storage=file)
    assert len(file.read_text().splitlines()) == 9
    fresh = search(Off(), space, walk(), HoldOut(3), trials=8, method="bayes")
    assert longer.results_["shift"].tolist() == fresh.results_["shift"].tolist()
    others = {"data": {"x": walk(seed=9)}, "seed": {"seed": 5}, "protocol": {"splits": HoldOut(4)}}
    for word, changed in others.items():
        given = {"x": walk(), "splits": HoldOut(3), "method": "bayes", "storage": file, **changed}
        with pytest.raises(ValueError, match=f"belongs to another search: its {word}"):
            search(Off(), space, **given)
    file.write_text(json.dumps({"format": 1}) + "\nnonsense\n")
    with pytest.raises(ValueError, match="does not hold the trials"):
        search(Off(), space, walk(), HoldOut(3), trials=3, method="bayes", storage=file)


# ---------------------------------------------------------------- nested


def test_nested_scores_are_those_of_the_procedure_by_hand():
    y, space = walk(120, 4), {"shift": SHIFTS}
    table = nested_cross_validate(
        Off(), space, y, RollingOrigin(5, 3), RollingOrigin(5, 2), "mae", method="grid"
    )
    for fold, (train, test) in enumerate(RollingOrigin(5, 3).slices(len(y))):
        inner = search(Off(), space, y.iloc[train], RollingOrigin(5, 2), "mae", method="grid")
        mean = inner.best_model_.predict(5).distribution.mean.ravel()
        assert table.loc[fold, "score"] == pytest.approx(np.abs(mean - y.iloc[test]).mean())
        assert table.loc[fold, "shift"] == inner.best_params_["shift"]
        assert table.loc[fold, "inner_score"] == inner.best_score_


def test_the_outer_test_part_touches_neither_search_nor_preprocessing():
    space = {"order": [1, 3], "scale": [Identity(), Standard()], "ridge": [0.0, 5.0]}
    splits = {"outer": HoldOut(6), "inner": RollingOrigin(6, 2), "method": "grid"}
    y = walk(80, 5)
    spoilt = y.copy()
    spoilt.iloc[-6:] = 1e6
    clean, dirty = (nested_cross_validate(AR(), space, x, metric="mae", **splits) for x in (y, spoilt))  # fmt: skip
    chosen = ["inner_score", "order", "ridge"]
    pd.testing.assert_frame_equal(clean[chosen], dirty[chosen], check_exact=True)
    assert dirty["score"][0] > 1e5
    nested_cross_validate(Off(), {"shift": SHIFTS}, spoilt, metric="mae", **splits)
    assert Off.largest < 1e6


def test_scaling_is_learnt_inside_every_fold():
    y = walk(60, 6)
    spoilt = y.copy()
    spoilt.iloc[-6:] = 1e6

    def forecast(x):
        folds = make_objective(AR(2, scale=Standard()), x, HoldOut(6), "mae").run(
            AR(2, scale=Standard())
        )
        return np.asarray(next(folds).model.predict(6).distribution.mean)

    assert np.array_equal(forecast(y), forecast(spoilt))


def test_nested_of_labelled_sequences_and_its_files(tmp_path):
    options = {"y": TAGS, "method": "grid", "storage": tmp_path}
    space = {"suffix": [0, 3], "order": [1, 2]}
    table = nested_cross_validate(
        HMMTagger(), space, SENTENCES, Stratified(3), KFold(3), "accuracy", **options
    )
    assert list(table) == [
        "score", "inner_score", "suffix", "order", "train_size", "trials", "seconds",
    ]  # fmt: skip
    assert len(list(tmp_path.glob("*.jsonl"))) == 3 and table["trials"].eq(4).all()
    assert table["score"].between(0, 1).all()


def test_covariates_are_shown_as_they_become_known():
    seen = []

    class Looks(Off):
        def fit(self, x, y=None, *, covariates=None):
            seen.append((covariates.future, covariates.past, covariates.static))
            return super().fit(x)

        def predict(self, horizon, *, covariates=None):
            seen.append(covariates)
            return super().predict(horizon)

    rows = pd.DataFrame({"a": np.arange(40.0)}, index=walk(40).index)
    known = Covariates(future=rows, past=-rows, static={"size": 2.0})
    search(Looks(), {"shift": [0.0]}, walk(40), HoldOut(3), covariates=known, method="grid")
    (future, past, static), ahead, (whole, *_) = seen
    assert future.values.ravel().tolist() == [*range(37)] and static == {"size": 2.0}
    assert np.array_equal(past.values, -future.values)
    assert ahead.values.ravel().tolist() == [37, 38, 39]
    assert len(whole) == 40
    short = Covariates(past=rows.iloc[:-1])
    with pytest.raises(ValueError, match=r"covariates\.past have \(series: rows\)"):
        search(Looks(), {"shift": [0.0]}, walk(40), HoldOut(3), covariates=short)


# ---------------------------------------------------------------- curves


def test_learning_curve_of_forecasts_trains_on_the_last_rows():
    y = walk(100, 7)
    curve = learning_curve(AR(1), y, [20, 1.0], RollingOrigin(5, 2), "mae")
    assert curve["size"].tolist() == [20, 20, 90, 90]
    expected = cross_validate(AR(1), y, RollingOrigin(5, 2, window=20), metrics="mae")["mae"]
    assert np.allclose(curve["score"][:2], expected, rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"91 rows was asked for; the shortest one .* has 90"):
        learning_curve(AR(1), y, [91], RollingOrigin(5, 2))
    with pytest.raises(ValueError, match=r"sizes holds 1\.5"):
        learning_curve(AR(1), y, [1.5], RollingOrigin(5, 2))


def test_learning_curve_of_examples_shows_the_gap_closing():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(200, 8))
    y = x @ np.ones(8) + rng.normal(size=200)
    curve = learning_curve(Least(), x, [10, 40, 160], KFold(5), "mse", y=y).groupby("size").mean()
    gap = curve["score"] - curve["train_score"]
    assert (np.diff(gap) < 0).all() and (gap > 0).all()
    assert np.allclose(curve.loc[160, ["score", "train_score"]], 1.0, rtol=0, atol=0.2)


def test_validation_curve_is_one_cross_validation_per_value():
    curve = validation_curve(Off(), "shift", SHIFTS, PANEL, RollingOrigin(4, 3), "rmse")
    for value in SHIFTS:
        table = cross_validate(Off(value), PANEL, RollingOrigin(4, 3), metrics="rmse")["rmse"]
        ours = curve.loc[curve["shift"] == value, "score"]
        assert np.allclose(ours, table.groupby("window").mean(), rtol=1e-12, atol=0)
    assert curve.attrs == {"metric": "rmse", "orientation": "lower is better", "name": "shift"}


def test_pictures_are_drawn_without_a_display(tmp_path):
    from seqkit.plotting.selection import plot_learning_curve, plot_search, plot_validation_curve

    space = {"shift": Uniform(-2, 2), "fails_at": [0.5, 1e9]}
    found = search(Off(), space, walk(), RollingOrigin(3, 3), trials=15)
    assert {"complete", "failed"} <= set(found.results_["state"])
    assert len(found.plot().axes) == 3
    assert len(plot_search(found, parameters=["shift"]).axes) == 2
    with pytest.raises(ValueError, match="'order' was not searched"):
        plot_search(found, parameters=["order"])
    names = validation_curve(AR(), "scale", [Identity(), Standard()], walk(), HoldOut(3))
    labels = [t.get_text() for t in plot_validation_curve(names).get_xticklabels()]
    assert labels == ["Identity()", "Standard()"]
    sizes = learning_curve(AR(1), walk(), [20, 40], RollingOrigin(3, 2))
    ax = plot_learning_curve(sizes)
    assert ax.get_ylabel() == "mase (lower is better)"
    ax.figure.savefig(tmp_path / "curve.png")
