"""From the caller's containers to `Sequences` and back, windows, vocabularies, and scalings undone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

import seqkit
from seqkit import AR, VAR, Drift, Mean, Naive, SeasonalNaive, Sequences, Vocabulary
from seqkit.data import Windows, as_sequences
from seqkit.data.scaling import (
    BoxCox,
    Chain,
    Difference,
    Identity,
    Log,
    MeanAbs,
    Scaling,
    SeasonalDifference,
    Standard,
)
from seqkit.distributions import JointNormal, Normal

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)

FREQUENCIES = [
    "MS",
    "ME",
    "BME",
    "QE",
    "QS-FEB",
    "YS",
    "YE-JUN",
    "W-TUE",
    "D",
    "B",
    "15min",
    "2h",
    "h",
    "7s",
]
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York"]
DTYPES = ["float64", "float32", "int64", "int8", "bool", "Int64", "Float64", "boolean", "object"]


@st.composite
def calendars(draw: Any, *, shortest: int = 1) -> pd.Index:
    """A regular index of any kind."""
    length = draw(st.integers(shortest, 40))
    name = draw(st.sampled_from([None, "when"]))
    kind = draw(st.sampled_from(["times", "periods", "range", "integers"]))
    if kind == "times":
        zone, freq = draw(st.sampled_from(ZONES)), draw(st.sampled_from(FREQUENCIES))
        unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
        start = pd.Timestamp("2000-01-01") + pd.Timedelta(days=draw(st.integers(0, 9000)))
        return pd.date_range(start, periods=length, freq=freq, tz=zone, name=name).as_unit(unit)
    if kind == "periods":
        freq = draw(st.sampled_from(["M", "Q", "Q-NOV", "Y", "W", "D", "h", "15min"]))
        return pd.period_range("2011-03-05", periods=length, freq=freq, name=name)
    start, step = draw(st.integers(-50, 2000)), draw(st.integers(1, 7))
    index = pd.RangeIndex(start, start + step * length, step, name=name)
    return index if kind == "range" else pd.Index(index.to_numpy(), name=name)


@st.composite
def column(draw: Any, length: int) -> Any:
    """Values of any dtype that means numbers, missing ones included."""
    dtype = draw(st.sampled_from(DTYPES))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    values = (
        rng.integers(0, 2, length)
        if dtype in ("bool", "boolean")
        else rng.integers(-99, 99, length)
    )
    out = pd.array(values.astype(bool) if dtype == "boolean" else values, dtype=None).astype(dtype)
    if dtype in ("float64", "float32", "Int64", "Float64", "boolean", "object"):
        out = pd.Series(out)
        out[rng.random(length) < 0.2] = {"object": None}.get(
            dtype, pd.NA if dtype[0] in "IFb" else np.nan
        )
        return out.array
    return out


def holes(draw: Any, index: pd.Index) -> pd.Index:
    """`index` without some entries. The steps that are left must still tell the calendar."""
    keep = np.array(draw(st.lists(st.booleans(), min_size=len(index), max_size=len(index))))
    keep[: len(index) // 2 + 3] = True
    return index[keep]


def as_float(x: Any) -> Any:
    """What the caller's values mean: floats, NaN where missing."""
    if isinstance(x, pd.DataFrame):
        return x.apply(as_float)
    return pd.Series(x.to_numpy(dtype=np.float64, na_value=np.nan), index=x.index, name=x.name)


def bare(index: pd.Index) -> pd.Index:
    """Without the frequency that pandas may remember."""
    if isinstance(index, pd.DatetimeIndex):
        return pd.DatetimeIndex(index, freq=None, name=index.name)
    return index


# -- round trips --------------------------------------------------------------------------------


@quick
@given(st.data())
def test_series_come_back(data: Any) -> None:
    index = data.draw(calendars())
    if data.draw(st.booleans()):
        assume(len(index) > 1)
        index = holes(data.draw, index) if len(index) > 6 else index
        index = bare(index) if len(index) > 2 else index
    y = pd.Series(
        data.draw(column(len(index))), index=index, name=data.draw(st.sampled_from([None, "y", 3]))
    )
    before = y.copy(deep=True)
    sequences = Sequences(y)
    assert_series_equal(
        sequences.to_pandas(), as_float(y), check_freq=False, check_index_type="equiv"
    )
    assert sequences.single and sequences.columns == (y.name,) and sequences.keys == (None,)
    assert_series_equal(y, before)


@quick
@given(st.data())
def test_frames_come_back(data: Any) -> None:
    index = data.draw(calendars(shortest=3))
    index = holes(data.draw, index) if len(index) > 6 else index
    names = data.draw(st.sampled_from([["a", "b"], [1, "x"], [("u", 1), ("u", 2)], [0, 1, 2]]))
    frame = pd.DataFrame(
        {name: pd.Series(data.draw(column(len(index))), index=index) for name in names}
    )
    before = frame.copy(deep=True)
    out = Sequences(frame).to_pandas()
    assert_frame_equal(out, as_float(frame), check_freq=False, check_index_type="equiv")
    assert_frame_equal(frame, before)


@quick
@given(st.data())
def test_panels_come_back(data: Any) -> None:
    """As a dict, a list, a MultiIndex frame and a long frame: one panel."""
    whole = data.draw(calendars(shortest=8))
    assume(not isinstance(whole, pd.RangeIndex))
    lengths = data.draw(st.lists(st.integers(1, len(whole)), min_size=1, max_size=4))
    keys = data.draw(st.permutations(["b", "a", "zz", "c"]))[: len(lengths)]
    panel = {
        key: pd.Series(np.arange(n, dtype=float) + 100 * i, index=whole[:n], name="y")
        for i, (key, n) in enumerate(zip(keys, lengths, strict=True))
    }
    expected = pd.concat(panel, names=["series", whole.name or "time"])
    for form in (panel, expected, expected.to_frame()):
        sequences = Sequences(form)
        assert not sequences.single and sequences.keys == tuple(keys)
        assert sequences.lengths.tolist() == lengths
        assert_series_equal(
            sequences.to_pandas(), expected, check_freq=False, check_index_type="equiv"
        )
    listed = Sequences(list(panel.values()))
    assert listed.keys == tuple(range(len(lengths)))
    np.testing.assert_array_equal(listed.values, sequences.values)
    long = expected.rename_axis(["unique_id", "ds"]).rename("y").reset_index()
    shuffled = Sequences(long)
    np.testing.assert_array_equal(shuffled.values, sequences.values)
    assert shuffled.keys == sequences.keys


@quick
@given(st.data())
def test_arrays_come_back(data: Any) -> None:
    shape = data.draw(st.sampled_from([(5,), (1,), (6, 1), (6, 3), (1, 4), (2, 5, 3), (3, 1, 1)]))
    dtype = data.draw(st.sampled_from(["float64", "float32", "int32", "bool", "uint8"]))
    x = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    sequences = Sequences(x)
    assert sequences.values.dtype == np.float64
    np.testing.assert_array_equal(
        sequences.values, x.reshape(-1, shape[-1] if len(shape) > 1 else 1)
    )
    assert len(sequences) == (shape[0] if len(shape) == 3 else 1)
    out = sequences.to_pandas()
    np.testing.assert_array_equal(out.to_numpy().reshape(shape), x)


def test_wide_panels_of_frames_keep_channels() -> None:
    index = pd.date_range("2024-01-01", periods=5, freq="D")
    panel = {k: pd.DataFrame({"u": np.arange(5.0), "v": 1.0}, index=index) for k in ("a", "b")}
    sequences = Sequences(panel)
    assert sequences.columns == ("u", "v") and sequences.array(1).shape == (5, 2)
    assert_frame_equal(
        sequences.to_pandas(), pd.concat(panel, names=["series", "time"]), check_freq=False
    )


def test_interleaved_long_frames_are_sorted_out() -> None:
    long = pd.DataFrame(
        {"unique_id": ["b", "a", "b", "a", "a"], "ds": [1, 1, 2, 2, 3], "y": [10.0, 1, 20, 2, 3]}
    )
    sequences = Sequences(long)
    assert sequences.keys == ("b", "a")
    assert [sequences.array(i)[:, 0].tolist() for i in range(2)] == [[10, 20], [1, 2, 3]]
    named = Sequences.from_long(long.rename(columns={"y": "sales"}), value="sales")
    assert named == Sequences.from_long(long.rename(columns={"y": "sales"}), value=["sales"])


def test_three_levels_name_a_series_by_two() -> None:
    index = pd.MultiIndex.from_product(
        [["x", "y"], [1, 2], pd.date_range("2024", periods=3, freq="MS")]
    )
    sequences = Sequences(pd.Series(np.arange(12.0), index=index))
    assert sequences.keys == (("x", 1), ("x", 2), ("y", 1), ("y", 2))
    assert sequences.array(2)[:, 0].tolist() == [6, 7, 8]


def test_lists_and_missing_values_of_every_kind() -> None:
    for x in ([1, None, 3], [1.0, np.nan, 3.0], [1, pd.NA, 3], (1, None, 3)):
        np.testing.assert_array_equal(Sequences(x).values[:, 0], [1, np.nan, 3])
    np.testing.assert_array_equal(Sequences([[1, 2], [3]]).values[:, 0], [1, 2, 3])
    masked = np.ma.array([1.0, 99.0, 3.0], mask=[False, True, False])
    np.testing.assert_array_equal(Sequences(masked).values[:, 0], [1, np.nan, 3])
    objects = np.array([1.0, pd.NA, None], dtype=object)
    np.testing.assert_array_equal(Sequences(objects).values[:, 0], [1, np.nan, np.nan])
    decimals = pd.Series([__import__("decimal").Decimal("1.5"), None], dtype=object)
    np.testing.assert_array_equal(Sequences(decimals).values[:, 0], [1.5, np.nan])


def test_holes_become_rows_of_nan_and_go_again() -> None:
    index = pd.to_datetime(["2024-01-31", "2024-02-29", "2024-05-31"])
    sequences = Sequences(pd.Series([1, 2, 5], index=index))
    np.testing.assert_array_equal(sequences.values[:, 0], [1, 2, np.nan, np.nan, 5])
    assert_index_equal(sequences.index, index, exact="equiv")
    restored = sequences.restore(np.arange(5.0), name="z")
    assert restored.tolist() == [0, 1, 4] and restored.name == "z"


def test_float64_is_not_copied() -> None:
    y = pd.Series(np.arange(9.0), index=pd.date_range("2024", periods=9, freq="D"))
    assert np.shares_memory(Sequences(y).values, y.to_numpy())
    x = np.arange(9.0)
    assert np.shares_memory(Sequences(x).values, x)
    wide = np.arange(12.0).reshape(6, 2)
    assert np.shares_memory(Sequences(wide).values, wide)
    sequences = Sequences(y)
    assert Sequences(sequences) is sequences
    assert np.shares_memory(sequences.array(0), y.to_numpy())
    assert np.shares_memory(sequences.select(0).values, y.to_numpy())
    assert np.shares_memory(sequences.window(2, -1).values, y.to_numpy())


# -- cutting ------------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.one_of(st.none(), st.integers(-14, 14)),
    st.one_of(st.none(), st.integers(-14, 14)),
)
def test_windows_follow_slice_rules(
    lengths: list[int], start: int | None, stop: int | None
) -> None:
    index = pd.date_range("2024-01-31", periods=12, freq="ME")
    panel = {k: pd.Series(np.arange(n) + 100.0 * k, index=index[:n]) for k, n in enumerate(lengths)}
    cut = Sequences(panel).window(start, stop)
    for i, y in enumerate(panel.values()):
        expected = y.iloc[start:stop]
        assert cut.array(i)[:, 0].tolist() == expected.tolist()
        assert cut.calendars[i].index.equals(expected.index)
        assert cut.calendars[i].step == Sequences(panel).calendars[i].step


@quick
@given(st.data())
def test_windows_keep_the_callers_rows(data: Any) -> None:
    index = holes(data.draw, pd.date_range("2024-03-01", periods=20, freq="D"))
    y = pd.Series(np.arange(float(len(index))), index=index)
    start, stop = data.draw(st.integers(0, 10)), data.draw(st.integers(11, 30))
    sequences = Sequences(y)
    first = sequences.calendars[0].index[start]
    cut = sequences.window(start, stop)
    kept = y[(y.index >= first) & (y.index < first + pd.Timedelta(days=stop - start))]
    assert_series_equal(cut.to_pandas(), kept, check_freq=False)


def test_select_and_subset() -> None:
    panel = {"a": [1.0, 2.0], "b": [3.0], "c": [4.0, 5.0, 6.0]}
    sequences = Sequences(panel)
    one = sequences.select(2)
    assert one.single and one.keys == ("c",) and one.values[:, 0].tolist() == [4, 5, 6]
    some = sequences.subset([2, 0])
    assert not some.single and some.keys == ("c", "a") and some.lengths.tolist() == [3, 2]
    assert some == Sequences({"c": panel["c"], "a": panel["a"]})
    assert sequences != some and sequences == Sequences(panel)


def test_append_continues() -> None:
    y = pd.Series(np.arange(10.0), index=pd.date_range("2024-01-31", periods=10, freq="ME"))
    sequences = Sequences(y)
    joined = sequences.window(None, 6).append(sequences.window(6, None))
    np.testing.assert_array_equal(joined.values, sequences.values)
    assert (
        joined.calendars[0].index.equals(y.index)
        and joined.calendars[0].step == pd.offsets.MonthEnd()
    )


def test_a_lone_stamp_takes_the_step_of_its_panel() -> None:
    months = pd.date_range("2024-01-31", periods=6, freq="ME")
    for short in ("2023-12-31", "2024-02-29"):
        panel = {
            "short": pd.Series([1.0], index=pd.to_datetime([short])),
            "long": pd.Series(1.0, index=months),
        }
        for form in (panel, pd.concat(panel)):
            assert {c.step for c in Sequences(form).calendars} == {pd.offsets.MonthEnd()}
    off = {
        "short": pd.Series([1.0], index=pd.to_datetime(["2024-02-07"])),
        "long": pd.Series(1.0, index=months),
    }
    assert Sequences(off).calendars[0].step is None  # the 7th is no month end


# -- tokens -------------------------------------------------------------------------------------


def test_tokens() -> None:
    one = Sequences(["the", "dog", "barks"])
    assert one.tokens and one.single and one.values[:, 0].tolist() == ["the", "dog", "barks"]
    several = Sequences([["a", "b"], ["c"]])
    assert several.tokens and not several.single and several.lengths.tolist() == [2, 1]
    assert several.array(1)[:, 0].tolist() == ["c"]
    assert several.to_pandas().tolist() == ["a", "b", "c"]
    assert Sequences(np.array(["x", "y"])).tokens
    series = pd.Series(["N", "V"], index=pd.RangeIndex(2))
    for x in (series, series.astype("category"), series.astype(object)):
        assert Sequences(x).tokens and Sequences(x).to_pandas().tolist() == ["N", "V"]
    assert Sequences({"s1": ["a"], "s2": ["b", "c"]}).keys == ("s1", "s2")
    assert "missing" not in repr(several)
    assert len(Windows(several, 1, complete=True)) == 3


def test_vocabulary() -> None:
    words = Vocabulary(list("bacaba"), min_count=2)
    assert words.symbols == ["<unk>", "a", "b"] and len(words) == 3
    np.testing.assert_array_equal(words.encode(["a", "zebra", "b", "c"]), [1, 0, 2, 0])
    assert words.decode(words.encode(["b", "a"])) == ["b", "a"]
    assert words.encode([]).dtype == np.int64 and len(words.encode([])) == 0
    ties = Vocabulary(["z", "y", "x"])
    assert ties.symbols == ["<unk>", "x", "y", "z"]  # equal counts: by the alphabet, so runs agree
    assert Vocabulary(["<unk>", "a"]).symbols == ["<unk>", "a"]
    assert words == Vocabulary(list("aaabbc"), min_count=2) and words != ties


# -- lag windows --------------------------------------------------------------------------------


@quick
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(1, 7),
    st.booleans(),
    st.integers(0, 99),
)
def test_windows_stay_inside_one_sequence(
    lengths: list[int], length: int, complete: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(n, 2)) for n in lengths]
    for part in parts:
        part[rng.random(part.shape) < 0.1] = np.nan
    sequences = Sequences(parts) if len(parts) > 1 else Sequences(parts[0])
    windows = Windows(sequences, length, complete=complete)
    expected = [
        (i, part[k : k + length])
        for i, part in enumerate(parts)
        for k in range(len(part) - length + 1)
        if not complete or not np.isnan(part[k : k + length]).any()
    ]
    assert len(windows) == len(expected)
    assert windows.series.tolist() == [i for i, _ in expected]
    for start, (_, window) in zip(windows.starts, expected, strict=True):
        np.testing.assert_array_equal(windows.view[start], window)
    if sum(lengths) >= length:
        assert np.shares_memory(windows.view, sequences.values)
        assert not windows.view.flags.writeable


def test_windows_never_cross_a_gap() -> None:
    index = pd.date_range("2024-01-01", periods=12, freq="D").delete([4, 5])
    windows = Windows(Sequences(pd.Series(np.arange(10.0), index=index)), 3, complete=True)
    assert [w[:, 0].tolist() for w in windows.view[windows.starts]] == [
        [0, 1, 2], [1, 2, 3], [4, 5, 6], [5, 6, 7], [6, 7, 8], [7, 8, 9],
    ]  # fmt: skip


# -- scalings -----------------------------------------------------------------------------------

SCALINGS: list[Scaling] = [
    Identity(), Standard(), MeanAbs(), Log(), BoxCox(), BoxCox(0.5), BoxCox(0.0), BoxCox(-0.3), Difference(),
    Difference(1, 2), SeasonalDifference(4), Chain(Log(), Difference()), Chain(Log(), Standard(), Difference(4)),
    Chain(MeanAbs(), BoxCox(), SeasonalDifference(4), Difference()), Chain(),
]  # fmt: skip


@pytest.fixture(scope="module")
def y() -> pd.Series:
    rng = np.random.default_rng(11)
    level = 60 + np.cumsum(rng.normal(size=80)) + 5 * np.sin(np.arange(80) * np.pi / 2)
    return pd.Series(level, index=pd.date_range("2004-03-31", periods=80, freq="QE"), name="y")


@pytest.mark.parametrize("scale", SCALINGS, ids=repr)
def test_one_step_densities_integrate_to_one(scale: Scaling, y: pd.Series) -> None:
    """In the caller's units: a wrong or forgotten Jacobian shows at once."""
    steps = AR(1, scale=scale).fit(y).one_step(y)
    for row in (20, 55, 79):
        d = steps[row, 0]
        x, dx = np.linspace(d.quantile(1e-10), d.quantile(1 - 1e-10), 4001, retstep=True)
        mass = np.exp(d.log_prob(x)).sum() * dx  # the ends are flat, so plain sums converge fast
        np.testing.assert_allclose(mass, 1.0, rtol=0, atol=1e-8)
        np.testing.assert_allclose(d.cdf(d.median), 0.5, rtol=1e-9)


@pytest.mark.parametrize("scale", SCALINGS, ids=repr)
def test_score_is_the_mean_of_the_one_step_log_densities(scale: Scaling, y: pd.Series) -> None:
    model = AR(2, scale=scale).fit(y)
    density = model.one_step(y).log_prob(y.to_numpy()[:, None])[:, 0]
    np.testing.assert_allclose(model.score(y), np.nanmean(density), rtol=1e-12)
    warm_up = 2 + sum(
        s.memory
        for s in (scale.steps if isinstance(scale, Chain) else [scale])
        if hasattr(s, "memory")
    )
    assert np.isnan(density[:warm_up]).all() and np.isfinite(density[warm_up:]).all()


@pytest.mark.parametrize("scale", [Standard(), MeanAbs(), Chain(MeanAbs(), Standard())], ids=repr)
@pytest.mark.parametrize(
    "model",
    [Mean(), Naive(), Drift(), SeasonalNaive(4), AR(3), AR(2, trend="ct", season=4)],
    ids=repr,
)
def test_equivariant_models_do_not_notice_affine_scalings(
    model: Any, scale: Scaling, y: pd.Series
) -> None:
    plain, scaled = model.fit(y), seqkit.clone(model).set_params(scale=scale).fit(y)
    np.testing.assert_allclose(scaled.score(y), plain.score(y), rtol=1e-9)
    np.testing.assert_allclose(scaled.score(y[30:]), plain.score(y[30:]), rtol=1e-9)
    for statistic in ("mean", "scale", "median"):
        expected = getattr(plain.predict(6), statistic)
        assert_series_equal(getattr(scaled.predict(6), statistic), expected, rtol=1e-9, atol=1e-12)


def test_affine_scalings_of_a_frame(y: pd.Series) -> None:
    frame = pd.DataFrame({"a": y, "b": 1e4 - 30 * y.shift(1).bfill()}) + np.random.default_rng(
        0
    ).normal(size=(80, 2))
    plain, scaled = VAR(1).fit(frame), VAR(1, scale=Standard()).fit(frame)
    np.testing.assert_allclose(scaled.score(frame), plain.score(frame), rtol=1e-7)
    assert_frame_equal(scaled.predict(4).mean, plain.predict(4).mean, rtol=1e-7)
    np.testing.assert_allclose(scaled.log_likelihood_, plain.log_likelihood_, rtol=1e-7)


def test_standard_and_mean_abs_by_hand() -> None:
    x = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [5.0, 5.0, 5.0]})
    data = Sequences(x)
    z = Standard().fit(data).transform(data)
    np.testing.assert_allclose(
        z, [[-1, 0], [np.nan, 0], [1, 0]]
    )  # a constant channel is only moved
    z = MeanAbs().fit(data).transform(data)
    np.testing.assert_allclose(z, [[0.5, 1], [np.nan, 1], [1.5, 1]])
    panel = Sequences({"a": [1.0, 3.0], "b": [10.0, 30.0, 50.0]})
    fitted = Standard().fit(panel)
    np.testing.assert_allclose(fitted.shift[:, 0], [2, 30])
    back = fitted.align(np.array([1])).restore(Normal(np.zeros((1, 2, 1)), 1.0))
    np.testing.assert_allclose(back.mean, 30)


@pytest.mark.parametrize("power", [None, 0.0, 0.5, -0.3, 1.0], ids=str)
def test_log_and_box_cox_jacobian_by_change_of_variables(power: float | None, y: pd.Series) -> None:
    """Fit the transformed series itself; its density times |dz / dy| is the density of y."""
    model = AR(2, scale=BoxCox(power)).fit(y)
    used = model._scaling.powers[0, 0]
    z = np.log(y) if used == 0 else (y**used - 1) / used
    density = AR(2).fit(z).one_step(z).log_prob(z.to_numpy()[:, None])[:, 0] + (used - 1) * np.log(
        y
    )
    np.testing.assert_allclose(model.score(y), np.nanmean(density), rtol=1e-9)
    if power == 0:
        log = AR(2, scale=Log()).fit(y)
        np.testing.assert_allclose(log.score(y), model.score(y), rtol=1e-12)
        forecast = AR(2).fit(np.log(y)).predict(3)
        assert_series_equal(log.predict(3).median, np.exp(forecast.median), rtol=1e-10)
        expected = np.exp(forecast.mean + forecast.scale**2 / 2)
        assert_series_equal(log.predict(3).mean, expected, rtol=1e-10)
        assert_series_equal(forecast.exp().mean, expected, rtol=1e-10)


def test_box_cox_power_is_the_most_likely_one() -> None:
    from scipy import stats

    skewed = np.random.default_rng(0).lognormal(2.0, 0.8, 400)
    fitted = BoxCox().fit(Sequences(skewed))
    np.testing.assert_allclose(fitted.powers[0, 0], stats.boxcox(skewed)[1], atol=1e-4)


def test_box_cox_learns_no_negative_power() -> None:
    """exp(x^2) asks for a power below 0, with which the mean of a normal forecast would be infinite."""
    from scipy import stats

    heavy = np.exp(np.abs(np.random.default_rng(0).normal(size=400)) ** 2)
    assert stats.boxcox(heavy)[1] < -0.2
    assert 0 <= BoxCox().fit(Sequences(heavy)).powers[0, 0] < 1e-4
    assert np.isfinite(AR(1, scale=BoxCox()).fit(heavy).predict(5).mean).all()
    assert BoxCox(-0.5).fit(Sequences(heavy)).powers[0, 0] == -0.5


@pytest.mark.parametrize(("lag", "times"), [(1, 1), (1, 2), (3, 1), (2, 2), (1, 3)])
def test_difference_is_summed_back_jointly(lag: int, times: int) -> None:
    """Mean and covariance of the path, by writing y_{T+h} out step by step."""
    rng = np.random.default_rng(2)
    history, horizon = rng.normal(size=20).cumsum(), 7
    mean, factor = rng.normal(size=(horizon, 1)), rng.normal(size=(horizon, 9))
    scaling = Difference(lag, times).fit(Sequences(history))
    restored = scaling.restore(JointNormal(mean[None], factor[None]))

    def integrate(z: np.ndarray) -> np.ndarray:
        """Undo `times` differences of the complete path, one after the other, with plain loops."""
        known = [history]
        for _ in range(times - 1):
            known.append(known[-1][lag:] - known[-1][:-lag])
        for level in reversed(known):
            path = list(level)
            for step in z:
                path.append(step + path[-lag])
            z = np.array(path[len(level) :])
        return z

    zero = integrate(np.zeros(horizon))
    operator = np.stack([integrate(unit) - zero for unit in np.eye(horizon)], axis=1)
    np.testing.assert_allclose(restored.mean[0, :, 0], integrate(mean[:, 0]), rtol=1e-9)
    cov = operator @ factor @ factor.T @ operator.T
    np.testing.assert_allclose(restored.cov[0], cov, rtol=1e-9)
    np.testing.assert_allclose(restored.scale[0, :, 0], np.sqrt(np.diag(cov)), rtol=1e-9)


def test_differencing_a_random_walk_is_naive(y: pd.Series) -> None:
    """Naive is the mean-zero model of the changes: same mean, and variance growing with h."""
    naive = Naive().fit(y).predict(5)
    changes = AR(0, trend="n", scale=Difference()).fit(y).predict(5)
    assert_series_equal(changes.mean, naive.mean, rtol=1e-12)
    assert_series_equal(changes.scale, naive.scale, rtol=1e-12)
    one, two = naive.distribution, changes.distribution
    np.testing.assert_allclose(one.cov, two.cov, rtol=1e-10)


@pytest.mark.parametrize(
    "scale", [Difference(), Difference(4), Difference(1, 2), Chain(Log(), Difference())], ids=repr
)
def test_what_follows_a_missing_value_is_not_scored_against_a_made_up_level(
    scale: Scaling, y: pd.Series
) -> None:
    holed = y.copy()
    holed.iloc[40] = np.nan
    model = AR(1, scale=scale).fit(y)
    density = model.one_step(y).log_prob(y.to_numpy()[:, None])[:, 0]
    with_hole = model.one_step(holed).log_prob(holed.to_numpy()[:, None])[:, 0]
    assert np.isnan(with_hole[40])
    counted = ~np.isnan(with_hole)
    assert counted.sum() >= 70
    assert np.abs(with_hole[counted] - density[counted]).max() < 10  # not thousands of nats
    far = np.arange(80) > 52
    np.testing.assert_allclose(with_hole[far], density[far], rtol=1e-6)


@pytest.mark.parametrize("scale", SCALINGS, ids=repr)
def test_update_and_refit_see_one_scaling(scale: Scaling, y: pd.Series) -> None:
    """Updating is filtering with what was learnt: stepwise as at once, and as one_step of the whole."""
    model = AR(1, scale=scale).fit(y[:60])
    steps = model.one_step(y)
    at_once = copy.deepcopy(model).update(y[60:70]).predict(3)
    for t in range(60, 70):
        ahead = model.predict(1).distribution[0]
        np.testing.assert_allclose(ahead.median[0], steps[t].median, rtol=1e-9)
        np.testing.assert_allclose(ahead.quantile(0.9)[0], steps[t].quantile(0.9), rtol=1e-9)
        model.update(y[t : t + 1])
    assert_series_equal(model.predict(3).mean, at_once.mean, rtol=1e-9)


def test_scalings_of_a_panel_are_its_members_own(y: pd.Series) -> None:
    panel = {"a": y, "b": 7 * y[20:], "c": y[:30] + 5}
    for scale in (Standard(), BoxCox(), Chain(Log(), Difference())):
        whole = AR(1, scale=scale).fit(panel)
        forecast = whole.predict(3)
        for key, series in panel.items():
            alone = AR(1, scale=scale).fit(series)
            assert_series_equal(
                forecast[key].mean, alone.predict(3).mean, rtol=1e-9, check_names=False
            )
        parts = [AR(1, scale=scale).fit(s).one_step(s).median for s in panel.values()]
        np.testing.assert_allclose(whole.one_step(panel).median, np.concatenate(parts), rtol=1e-9)
        # a subset in another order finds its own parameters
        swapped = whole.one_step({"c": panel["c"], "a": panel["a"]})
        np.testing.assert_allclose(swapped.median, np.concatenate([parts[2], parts[0]]), rtol=1e-9)


def test_nothing_passed_in_is_changed(y: pd.Series) -> None:
    holed = y.copy()
    holed.iloc[[3, 33]] = np.nan
    inputs = pd.DataFrame(
        {"u": np.linspace(0, 1, 90)}, index=pd.date_range("2004-03-31", periods=90, freq="QE")
    )
    raw = holed.to_numpy().copy()
    panel = {"a": raw, "b": raw[:40]}
    kept = [holed.copy(deep=True), inputs.copy(deep=True), raw.copy()]
    for scale in SCALINGS:
        AR(1, scale=scale).fit(holed[:70], covariates=inputs).update(
            holed[70:], covariates=inputs
        ).predict(3, covariates=inputs)
        model = AR(1, scale=scale).fit(panel)
        model.score(panel)
        model.update({"a": raw[:4]})
        assert_series_equal(holed, kept[0])
        assert_frame_equal(inputs, kept[1])
        np.testing.assert_array_equal(raw, kept[2])
    raw.setflags(write=False)
    for model in (
        Naive(),
        Mean(),
        Drift(),
        SeasonalNaive(4),
        AR(2, scale=Standard()),
        seqkit.Theta(),
    ):
        model.fit(raw).update(raw[:5]).predict(2)
        model.score(raw)


def test_as_sequences_names_its_argument() -> None:
    with pytest.raises(TypeError, match=r"^covariates is a int; expected a pandas Series"):
        as_sequences(3, name="covariates")
