"""Every kind of calendar: inferred with and without holes, continued as pandas would, forecast and updated."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_index_equal, assert_series_equal

from seqkit import (
    AR,
    ETS,
    Drift,
    Naive,
    Naive2,
    SeasonalNaive,
    Sequences,
    Theta,
    calendar_features,
)
from seqkit.data import Calendar

TOTAL, FITTED, AHEAD = 72, 48, 24


def dates(freq: Any, start: str = "2023-01-01", tz: str | None = None) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=TOTAL, freq=freq, tz=tz)


# name: (the complete calendar of fit and future, its season)
CALENDARS: dict[str, tuple[pd.Index, int]] = {
    "MS": (dates("MS"), 12),
    "ME": (dates("ME"), 12),
    "BME": (dates("BME"), 12),
    "BMS": (dates("BMS"), 12),
    "2ME": (dates("2ME"), 6),
    "QE": (dates("QE"), 4),
    "QE-NOV": (dates("QE-NOV"), 4),
    "QS-FEB": (dates("QS-FEB"), 4),
    "BQE": (dates("BQE"), 4),
    "YS": (dates("YS", "1990-01-01"), 1),
    "YE-JUN": (dates("YE-JUN", "1990-01-01"), 1),
    "the 15th": (dates(pd.DateOffset(months=1), "2023-01-15"), 12),
    "W-TUE": (dates("W-TUE"), 52),
    "2W-FRI": (dates("2W-FRI"), 1),
    "SMS": (dates("SMS"), 1),
    "SME": (dates("SME"), 1),
    "WOM-2MON": (dates("WOM-2MON"), 12),
    "LWOM-FRI": (dates("LWOM-FRI"), 12),
    "D": (dates("D"), 7),
    "3D": (dates("3D"), 1),
    "B": (dates("B"), 5),
    "h UTC": (dates("h", tz="UTC"), 24),
    "h": (dates("h"), 24),
    "2h": (dates("2h"), 12),
    "15min": (dates("15min"), 96),
    "min": (dates("min"), 60),
    "10s": (dates("10s"), 6),
    "h Berlin, spring": (dates("h", "2024-03-29 12:00", tz="Europe/Berlin"), 24),
    "h Berlin, autumn": (dates("h", "2024-10-25 12:00", tz="Europe/Berlin"), 24),
    "15min Berlin, autumn": (dates("15min", "2024-10-26 20:00", tz="Europe/Berlin"), 96),
    "D Berlin, spring": (dates("D", "2024-02-20", tz="Europe/Berlin"), 7),
    "D 09:00 New York": (dates("D", "2024-02-20 09:00", tz="America/New_York"), 7),
    "24h seen in Berlin": (dates("24h", "2024-02-20", tz="UTC").tz_convert("Europe/Berlin"), 7),
    "12h on the wall": (dates("12h", "2024-03-10").tz_localize("Europe/Berlin"), 2),
    "6h on the wall, autumn": (dates("6h", "2024-10-18").tz_localize("Europe/Berlin"), 4),
    "MS Berlin": (dates("MS", tz="Europe/Berlin"), 12),
    "B Berlin": (dates("B", "2024-03-01", tz="Europe/Berlin"), 5),
    "periods M": (pd.period_range("2011-03", periods=TOTAL, freq="M"), 12),
    "periods Q": (pd.period_range("2011-01", periods=TOTAL, freq="Q"), 4),
    "periods Q-NOV": (pd.period_range("2011-01", periods=TOTAL, freq="Q-NOV"), 4),
    "periods D": (pd.period_range("2011-03-05", periods=TOTAL, freq="D"), 7),
    "periods Y": (pd.period_range("1911", periods=TOTAL, freq="Y"), 1),
    "periods W": (pd.period_range("2011", periods=TOTAL, freq="W"), 52),
    "range": (pd.RangeIndex(TOTAL), 1),
    "range by 5": (pd.RangeIndex(100, 100 + 5 * TOTAL, 5), 1),
    "years": (pd.Index(np.arange(1900, 1900 + TOTAL)), 1),
    "every 4th year": (pd.Index(np.arange(1900, 1900 + 4 * TOTAL, 4)), 1),
}
DST = [name for name in CALENDARS if "Berlin" in name or "York" in name]
EVERY = pytest.mark.parametrize("name", CALENDARS)


def fitted(name: str) -> pd.Series:
    """The first part of the calendar, its frequency forgotten."""
    index = CALENDARS[name][0][:FITTED]
    if isinstance(index, pd.DatetimeIndex):
        index = pd.DatetimeIndex(index, freq=None)
    return pd.Series(np.random.default_rng(1).normal(size=FITTED).cumsum(), index=index, name="y")


def rest(name: str) -> pd.Index:
    return CALENDARS[name][0][FITTED:]


def without(y: pd.Series, *gone: int) -> pd.Series:
    return y.drop(y.index[list(gone)])


def same_times(a: pd.Index, b: pd.Index) -> None:
    bare = [
        pd.DatetimeIndex(i, freq=None) if isinstance(i, pd.DatetimeIndex) else i for i in (a, b)
    ]
    assert_index_equal(*bare, exact="equiv", check_names=False)


@EVERY
def test_inferred_and_continued(name: str) -> None:
    y = fitted(name)
    calendar = Sequences(y).calendars[0]
    same_times(calendar.index, CALENDARS[name][0][:FITTED])
    same_times(calendar.future(AHEAD), rest(name))
    assert calendar.season == CALENDARS[name][1]
    assert np.isnan(Sequences(y).values).sum() == 0


@EVERY
def test_inferred_through_holes(name: str) -> None:
    """Single and double gaps, a long one, and the row after the first: still the same calendar."""
    y = without(fitted(name), 1, 5, 6, 20, *range(30, 37), 46)
    sequences = Sequences(y)
    calendar = sequences.calendars[0]
    same_times(calendar.index, CALENDARS[name][0][:FITTED])
    same_times(calendar.future(AHEAD), rest(name))
    assert np.isnan(sequences.values).sum() == FITTED - len(y)
    assert_series_equal(sequences.to_pandas(), y, check_freq=False, check_index_type="equiv")


@EVERY
@pytest.mark.parametrize("length", [2, 3, 5])
def test_inferred_from_little(name: str, length: int) -> None:
    """A few stamps may lie on two calendars (31 January, 28 February); the inferred one must hold them."""
    y = fitted(name)[-length:]
    sequences = Sequences(y)
    assert_series_equal(sequences.to_pandas(), y, check_freq=False, check_index_type="equiv")
    ahead = sequences.calendars[0].future(3)
    assert len(ahead) == 3 and ahead.is_monotonic_increasing and ahead[0] > y.index[-1]
    assert ahead.dtype == y.index.dtype


@EVERY
def test_forecast_index_is_the_future_of_the_fitted_one(name: str) -> None:
    y = fitted(name)
    index = Naive().fit(y).predict(AHEAD).index
    same_times(index, rest(name))
    assert index.dtype == y.index.dtype
    panel = Naive().fit({"a": y, "b": y[:30]}).predict(3)
    same_times(panel["a"].index, rest(name)[:3])
    same_times(panel["b"].index, CALENDARS[name][0][30:33])


@EVERY
@pytest.mark.parametrize(
    "model", [Naive(), Drift(), SeasonalNaive(4), AR(2, trend="ct", season=3)], ids=repr
)
def test_update_is_a_filter_over_the_whole(name: str, model: Any) -> None:
    """Row by row, at once, and over a gap: what one_step of the whole says, nothing refitted."""
    index = CALENDARS[name][0]
    whole = pd.Series(np.random.default_rng(1).normal(size=TOTAL).cumsum(), index=index, name="y")
    model = copy.deepcopy(model).fit(whole[:FITTED])
    steps = model.one_step(whole)
    stepwise = copy.deepcopy(model)
    for t in range(FITTED, FITTED + 3):  # single stamps, which tell no frequency
        ahead = stepwise.predict(1)
        same_times(ahead.index, index[t : t + 1])
        np.testing.assert_allclose(ahead.mean, steps.mean[t], rtol=1e-9)
        stepwise.update(whole[t : t + 1])
    at_once = copy.deepcopy(model).update(whole[FITTED : FITTED + 3])
    assert_series_equal(at_once.predict(4).mean, stepwise.predict(4).mean, rtol=1e-9)

    gone = [FITTED, FITTED + 3, FITTED + 4]  # right at the seam and inside
    holed = whole.drop(index[gone])
    across = copy.deepcopy(model).update(holed[FITTED : FITTED + 7])
    same_times(across.predict(5).index, index[FITTED + 10 : FITTED + 15])
    marked = whole.where(~whole.index.isin(index[gone]))
    if not isinstance(index, pd.RangeIndex):
        explicit = copy.deepcopy(model).update(marked[FITTED : FITTED + 10])
        assert_series_equal(across.predict(5).mean, explicit.predict(5).mean, rtol=1e-9)
        expected = model.one_step(marked[: FITTED + 11])
        np.testing.assert_allclose(across.predict(1).mean, expected.mean[-1], rtol=1e-9)
        np.testing.assert_allclose(across.predict(1).scale, expected.scale[-1], rtol=1e-9)


@EVERY
def test_update_of_a_panel_with_holes(name: str) -> None:
    """In a dict every series is read on its own, so a hole must not be taken for another frequency."""
    index = CALENDARS[name][0]
    y = fitted(name)
    new = pd.Series([1.0, 2.0], index=index[[FITTED, FITTED + 2]])
    continued = Sequences(new).continuing(Sequences(y).calendars[0])
    assert continued.values[:, 0].tolist()[::2] == [1.0, 2.0] and np.isnan(continued.values[1, 0])
    same_times(continued.calendars[0].index, index[FITTED : FITTED + 3])
    model = Naive().fit({"a": y, "b": y}).update({"a": new})
    same_times(model.predict(2)["a"].index, index[FITTED + 3 : FITTED + 5])
    same_times(model.predict(2)["b"].index, index[FITTED : FITTED + 2])


@EVERY
def test_covariates_are_found_by_time(name: str) -> None:
    index = CALENDARS[name][0]
    signal = pd.DataFrame({"u": np.random.default_rng(7).normal(size=TOTAL)}, index=index)
    y = pd.Series(3 * signal["u"].to_numpy() + 1, index=index)
    model = AR(0).fit(y[:FITTED], covariates=signal.sample(frac=1, random_state=0).sort_index())
    forecast = model.predict(5, covariates=signal).mean
    np.testing.assert_allclose(forecast, y[FITTED : FITTED + 5], rtol=1e-9)
    scored = model.one_step(y[10:20], covariates=signal)
    np.testing.assert_allclose(scored.mean[:, 0], y[10:20], rtol=1e-9)


@EVERY
def test_a_trend_knows_where_on_the_calendar_it_is(name: str) -> None:
    """A part of the data is scored with its own time, not from t = 1."""
    index = CALENDARS[name][0]
    y = pd.Series(2.0 * np.arange(TOTAL) + np.random.default_rng(0).normal(size=TOTAL), index=index)
    model = AR(0, trend="ct").fit(y[:FITTED])
    part = model.one_step(y[30:50]).mean[:, 0]
    np.testing.assert_allclose(part, model.one_step(y).mean[30:50, 0], rtol=1e-9)
    later = model.one_step(y[FITTED + 5 :]).mean[:, 0]
    np.testing.assert_allclose(later, model.one_step(y).mean[FITTED + 5 :, 0], rtol=1e-9)


@EVERY
@pytest.mark.parametrize("panel", [False, True])
def test_holes_in_what_is_scored_are_holes(name: str, panel: bool) -> None:
    """Every second row of a part: the model's step is known, so the rows between them are missing, not absent."""
    y = fitted(name)
    model = AR(1).fit({"a": y} if panel else y)
    kept = y[11:30:2]
    marked = y[11:30].where(y.index[11:30].isin(kept.index))
    for form in ({"a": kept}, pd.concat({"a": kept})) if panel else (kept,):
        steps = model.one_step(form)
        expected = model.one_step({"a": marked} if panel else marked)
        np.testing.assert_array_equal(steps.mean, expected.mean)
        np.testing.assert_array_equal(steps.scale, expected.scale)


@pytest.mark.parametrize(
    "model",
    [
        SeasonalNaive(),
        AR(2, season=12),
        Naive2(),
        Theta(),
        ETS(error="add", trend=None, seasonal="add"),
    ],
    ids=repr,
)
def test_a_season_knows_where_on_the_calendar_it_is(model: Any) -> None:
    """Scored from May on, a series has May's season, not that of the month in which the fit began."""
    t = np.arange(96)
    values = 50 + 10 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(0).normal(size=96)
    y = pd.Series(values, index=pd.date_range("2015-01-01", periods=96, freq="MS"))
    model = copy.deepcopy(model).fit(y)
    assert model.score(y[16:]) > model.score(y) - 1


@pytest.mark.parametrize("fitted_unit", ["s", "us", "ns"])
@pytest.mark.parametrize("new_unit", ["s", "us", "ns"])
def test_resolutions_mix(fitted_unit: str, new_unit: str) -> None:
    """Seconds here and nanoseconds there are the same times."""
    index = dates("D")
    u = pd.DataFrame(
        {"u": np.random.default_rng(0).normal(size=TOTAL)}, index=index.as_unit(new_unit)
    )
    y = pd.Series(np.random.default_rng(1).normal(size=TOTAL), index=index.as_unit(fitted_unit))
    new = y.set_axis(index.as_unit(new_unit))
    model = AR(1, trend="ct").fit(y[:FITTED], covariates=u)
    assert model.score(y[20:40], covariates=u) == model.score(new[20:40], covariates=u)
    forecast = model.predict(3, covariates=u)
    assert forecast.index.dtype == y.index.dtype
    np.testing.assert_array_equal(forecast.crps(new), forecast.crps(y))
    with pytest.raises(ValueError, match="actual has no value at 2023-02-18"):
        forecast.crps(new[:3])  # as long as the forecast, but elsewhere
    model.update(new[FITTED + 2 : FITTED + 4], covariates=u)  # over a gap
    same_times(model.predict(1, covariates=u).index, y.index[FITTED + 4 : FITTED + 5])


def test_actual_values_are_found_by_time_and_name() -> None:
    index = dates("ME")
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(TOTAL, 2)).cumsum(0), columns=["a", "b"], index=index)
    forecast = Naive().fit(frame[:FITTED]).predict(5)
    expected = forecast.crps(frame[FITTED : FITTED + 5])
    for actual in (
        frame,
        frame[["b", "a"]],
        frame.iloc[FITTED:],
        Sequences(frame[["b", "a"]]),
        frame.iloc[FITTED : FITTED + 5].to_numpy(),
        Sequences(frame.iloc[FITTED : FITTED + 5].to_numpy()),
    ):
        pd.testing.assert_frame_equal(forecast.crps(actual), expected)
    shifted = forecast - frame[["b", "a"]]
    np.testing.assert_allclose(shifted.mean, forecast.mean - frame[FITTED : FITTED + 5], rtol=1e-12)
    arrays = {"x": np.arange(9.0), "z": np.arange(5.0)}
    panel = Naive().fit(arrays).predict(2)
    by_position = panel.crps({"z": np.array([4.0, 9.0]), "x": np.array([8.0, 7.0])})
    assert by_position.index.get_level_values(0).tolist() == ["x", "x", "z", "z"]
    np.testing.assert_allclose(
        by_position["x"], Naive().fit(arrays["x"]).predict(2).crps([8.0, 7.0])
    )
    factor = np.array([[1.0, -2.0]] * 5)
    np.testing.assert_allclose((forecast * factor).mean, forecast.mean * factor, rtol=1e-12)
    np.testing.assert_allclose((forecast * factor[:, 0]).mean, forecast.mean, rtol=1e-12)


# -- what a calendar must keep ------------------------------------------------------------------


def test_month_ends_stay_month_ends() -> None:
    for last in ("2024-01-31", "2024-02-29", "2023-02-28", "2024-04-30"):
        index = pd.date_range(end=last, periods=14, freq="ME")
        ahead = Naive().fit(pd.Series(np.arange(14.0), index=index)).predict(30).index
        assert ahead.is_month_end.all() and len(ahead.to_period("M").unique()) == 30


def test_business_days_skip_weekends() -> None:
    friday = pd.bdate_range(end="2024-05-31", periods=20)
    ahead = Naive().fit(pd.Series(np.arange(20.0), index=friday.copy(name="d"))).predict(11).index
    assert ahead[0] == pd.Timestamp("2024-06-03") and ahead.day_of_week.max() == 4
    assert ahead.name == "d"
    sparse = pd.Series(
        np.arange(16.0), index=pd.DatetimeIndex(friday.delete([3, 9, 10, 14]), freq=None)
    )
    sequences = Sequences(sparse)
    assert len(sequences.values) == 20 and sequences.calendars[0].season == 5


def test_own_holidays_are_kept() -> None:
    custom = pd.offsets.CustomBusinessDay(holidays=["2024-01-15"])
    y = pd.Series(np.arange(10.0), index=pd.date_range("2024-01-01", periods=10, freq=custom))
    assert Naive().fit(y).predict(1).index[0] == pd.Timestamp("2024-01-16")


@pytest.mark.parametrize("name", DST)
def test_summer_time_moves_no_observation(name: str) -> None:
    """Elapsed time is regular for hours; the wall clock is regular for days and longer."""
    y = fitted(name)
    ahead = Naive().fit(y).predict(AHEAD).index
    index = y.index.append(ahead)
    if "D" in name.split()[0] or "MS" in name or name.startswith("B "):
        assert len(set(index.tz_localize(None) - index.tz_localize(None).normalize())) == 1
    else:
        assert len(set(np.diff(index.as_unit("ns").asi8))) == 1


@pytest.mark.parametrize("start", ["2024-03-25 02:30", "2024-10-20 02:30"])
def test_a_time_of_day_that_summer_time_skips_or_repeats(start: str) -> None:
    wall = pd.date_range(start, periods=20, freq="D")
    index = wall.tz_localize(
        "Europe/Berlin", nonexistent="shift_forward", ambiguous=np.ones(20, bool)
    )
    for cut in (4, 6, 12):
        y = pd.Series(np.arange(float(cut)), index=index[:cut])
        same_times(Naive().fit(y).predict(20 - cut).index, index[cut:])
    holed = pd.Series(np.arange(18.0), index=index.delete([2, 11]))
    assert len(Sequences(holed).values) == 20


def test_hours_on_the_wall_clock_skip_no_step() -> None:
    """02:00 is skipped in March; the grid of six hours shows 03:00 there and goes on from 08:00."""
    wall = pd.date_range("2024-03-25 02:00", periods=80, freq="6h")
    index = wall.tz_localize("Europe/Berlin", nonexistent="shift_forward")
    y = pd.Series(np.arange(60.0), index=index[:60])
    same_times(Naive().fit(y).predict(20).index, index[60:])
    holed = Sequences(y.drop(y.index[[1, 23, 40]]))
    same_times(holed.calendars[0].index, y.index)
    assert "step <DateOffset: days=0, seconds=21600>" in repr(holed)


@pytest.mark.parametrize("frequency", [None, "30min"])
def test_wall_clocks_that_name_an_hour_twice_are_told_what_works(frequency: str | None) -> None:
    wall = pd.date_range("2024-10-26 12:00", periods=72, freq="30min")
    y = pd.Series(1.0, index=wall.tz_localize("Europe/Berlin", ambiguous=np.ones(72, bool)))
    y = y.drop(y.index[-3]).rename(lambda t: t + pd.Timedelta("7min") if t == y.index[9] else t)
    with pytest.raises(
        ValueError, match=r"keep to the wall clock need no .* y\.tz_localize\(None\)"
    ):
        Sequences(y, frequency=frequency)


def test_a_307_day_gap_in_hourly_data() -> None:
    index = pd.date_range("2022-01-01", periods=24 * 400, freq="h", tz="UTC")
    kept = index.delete(np.arange(24 * 30, 24 * 337))
    sequences = Sequences(
        pd.Series(np.arange(float(len(kept))), index=pd.DatetimeIndex(kept, freq=None))
    )
    assert len(sequences.values) == 24 * 400 and np.isnan(sequences.values).sum() == 24 * 307
    assert_index_equal(sequences.index, kept, exact="equiv")
    model = Naive().fit(pd.Series(1.0, index=index[: 24 * 30]))
    model.update(pd.Series(2.0, index=index[24 * 337 : 24 * 338]))
    same_times(model.predict(2).index, index[24 * 338 : 24 * 338 + 2])


def test_integer_years_with_holes() -> None:
    y = pd.Series(np.arange(5.0), index=[1990, 1991, 1993, 1994, 1997])
    sequences = Sequences(y)
    assert sequences.calendars[0].index.tolist() == list(range(1990, 1998))
    model = Naive().fit(y).update(pd.Series([9.0, 8.0], index=[1999, 2002]))
    assert model.predict(2).index.tolist() == [2003, 2004]


def test_frequency_overrules_inference() -> None:
    index = pd.to_datetime(["2024-01-31", "2024-05-31", "2024-09-30"])  # every fourth month
    y = pd.Series([1.0, 2.0, 3.0], index=index)
    assert len(Sequences(y).values) == 3
    assert len(Sequences(y, frequency="ME").values) == 9
    with pytest.raises(ValueError, match="does not follow the frequency MS"):
        Sequences(y, frequency="MS")


def test_arrays_and_default_indexes_follow_by_position() -> None:
    model = Naive().fit(np.arange(10.0)).update(np.arange(3.0))
    assert model.predict(2).index.tolist() == [13, 14]
    months = fitted("ME")
    model = Naive().fit(months).update(np.array([1.0, 2.0]))
    same_times(model.predict(1).index, rest("ME")[2:3])
    model = Naive().fit(pd.Series(np.arange(10.0))).update(pd.Series([1.0], index=[12]))
    assert model.predict(1).index.tolist() == [13]


def test_a_panel_of_several_frequencies() -> None:
    panel = {k: fitted(k) for k in ("MS", "W-TUE", "15min")}
    model = Naive().fit(panel)
    for key in panel:
        same_times(model.predict(3)[key].index, rest(key)[:3])
        assert model.predict(3)[key].mean.notna().all()
    shares = [model.score({key: y}) for key, y in panel.items()]
    np.testing.assert_allclose(model.score(pd.concat(panel)), model.score(panel), rtol=1e-12)
    np.testing.assert_allclose(model.score(panel), np.mean(shares), rtol=1e-12)
    model.update({key: pd.Series([1.0], index=rest(key)[1:2]) for key in panel})
    for key in panel:
        same_times(model.predict(3)[key].index, rest(key)[2:5])
    actual = {key: pd.Series(1.0, index=rest(key)) for key in panel}
    assert model.predict(3).crps(actual).notna().all()
    assert model.predict(3).crps(pd.concat(actual)).notna().all()


# -- what is no calendar ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamps", "named"),
    [
        (
            ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-06", "2024-01-08"],
            ["1 of 5", "first 2024-01-06"],
        ),
        (
            ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 02:59"],
            ["h", "02:59"],
        ),
        (
            ["2024-01-03", "2024-02-07", "2024-02-19", "2024-05-23"],
            ["2024-02-07|2024-02-19|2024-05-23"],
        ),
        (
            ["2024-01-31", "2024-02-28", "2024-03-31", "2024-04-30", "2024-05-31"],
            ["most steps are ME, but 1 of 5", "first 2024-02-28"],
        ),
    ],
)
def test_irregular_stamps_are_named(stamps: list[str], named: list[str]) -> None:
    y = pd.Series(1.0, index=pd.to_datetime(stamps))
    with pytest.raises(ValueError, match="has no regular frequency: most steps are") as caught:
        Sequences(y)
    message = str(caught.value)
    assert "pass frequency= to seqkit.Sequences" in message and "y.resample(" in message
    assert all(re.search(fragment, message) for fragment in named), message
    with pytest.raises(ValueError, match=r"^x\['bad'\] has no regular"):  # the series in a panel
        Sequences({"good": fitted("MS"), "bad": y})


def test_far_apart_stamps_are_refused_before_memory_is() -> None:
    y = pd.Series(
        [1.0, 2.0, 3.0],
        index=pd.to_datetime(["1700-01-01 00:00:00", "1700-01-01 00:00:01", "2200-01-01 00:00:00"]),
    )
    with pytest.raises(
        ValueError, match=r"fills only 3 of \d+ steps of its calendar \(step s\); aggregate"
    ):
        Sequences(y)


def test_a_lone_stamp_has_no_future() -> None:
    sequences = Sequences(pd.Series([1.0], index=pd.to_datetime(["2024-01-01"])))
    with pytest.raises(
        ValueError, match=r"one time stamp \(2024-01-01\) does not tell the frequency"
    ):
        sequences.calendars[0].future(1)


def test_steps_between_calendars() -> None:
    for name in CALENDARS:
        calendar = Sequences(fitted(name)).calendars[0]
        assert calendar.steps_to(calendar.cut(7, None)) == 7
        assert calendar.cut(7, None).steps_to(calendar) == -7
        assert calendar.steps_to(calendar.cut(0, 0)) == 0
    assert repr(Calendar(pd.RangeIndex(0), 1)) == "Calendar(empty)"
    assert (
        repr(Sequences(fitted("ME")).calendars[0]) == "Calendar(2023-01-31 .. 2026-12-31, step ME)"
    )


def test_calendar_features_of_past_and_future() -> None:
    y = fitted("MS")
    model = Naive().fit(y)
    past, future = (
        calendar_features(y.index, ["month"]),
        calendar_features(model.predict(12).index, ["month"]),
    )
    assert past.shape[1] == 11 and future.to_numpy().sum() == 11
    with pytest.raises(ValueError, match="unknown field 'moon'; known are month"):
        calendar_features(y.index, ["moon"])
    with pytest.raises(TypeError, match="need an index of times, got one of int64"):
        calendar_features(pd.RangeIndex(3))
