"""Measures against hand-computed numbers and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.distributions import Normal
from seqkit.evaluation import catalogue, losses, metrics
from seqkit.evaluation.catalogue import Prediction, parse, parse_all, with_parts
from seqkit.evaluation.labels import edit_distance, spans
from seqkit.evaluation.naive2 import naive2

NAN = np.nan


# ---------------------------------------------------------------- points


def test_point_measures_by_hand():
    actual, predicted = [1.0, 2.0, 4.0], [2.0, 2.0, 1.0]
    assert metrics.mae(actual, predicted) == pytest.approx(4 / 3)
    assert metrics.mse(actual, predicted) == pytest.approx(10 / 3)
    assert metrics.rmse(actual, predicted) == pytest.approx(np.sqrt(10 / 3))
    assert metrics.mape(actual, predicted) == pytest.approx(100 * (1 + 0 + 0.75) / 3)
    assert metrics.smape(actual, predicted) == pytest.approx(200 * (1 / 3 + 0 + 3 / 5) / 3)


def test_smape_lies_between_0_and_200():
    assert (
        metrics.smape([0.0, 0.0], [0.0, 1.0]) == 100.0
    )  # 0 where both are zero, 200 for the other
    assert metrics.smape([1.0], [-1.0]) == 200.0


def test_scaled_measures_by_hand():
    history = [1.0, 2.0, 5.0, 4.0, 6.0]
    # season 2: |5-1|, |4-2|, |6-5| -> mean 7/3; squares 16, 4, 1 -> mean 7
    assert metrics.mase([6.0, 8.0], [5.0, 5.0], history=history, season=2) == pytest.approx(
        2 / (7 / 3)
    )
    assert metrics.rmsse([6.0, 8.0], [5.0, 5.0], history=history, season=2) == pytest.approx(
        np.sqrt(5 / 7)
    )
    # below the interval by 1 and inside: widths 2 and 4, penalty 2/0.05 * 1
    value = metrics.msis([1.0, 3.0], [2.0, 1.0], [4.0, 5.0], history=history, season=2)
    assert value == pytest.approx((2 + 40 + 4) / 2 / (7 / 3))


def test_measures_average_over_series_not_over_cells():
    actual = np.array([[1.0, NAN], [3.0, 3.0]])
    assert metrics.mae(actual, np.zeros((2, 2))) == pytest.approx((1 + 3) / 2)
    assert metrics.rmse(np.array([[3.0], [4.0]]), np.zeros((2, 1))) == pytest.approx(3.5)


def test_missing_actuals_are_left_out_and_never_spread():
    assert metrics.mae([1.0, NAN, 3.0], [2.0, 2.0, 2.0]) == 1.0
    assert np.isnan(metrics.mae([NAN], [1.0]))
    assert metrics.mae(np.array([[NAN], [2.0]]), np.array([[1.0], [1.0]])) == 1.0
    assert metrics.mae(pd.Series([1, None], dtype="Int64"), [2, 2]) == 1.0


def test_missing_forecast_is_an_error():
    with pytest.raises(ValueError, match="predicted is NaN where actual is not"):
        metrics.mae([1.0, NAN], [NAN, 1.0])


def test_history_with_gaps_and_ragged_histories():
    # pairs with both ends known: |4-2|, |5-4|
    assert metrics.mase([1.0], [4.0], history=[1.0, NAN, 2.0, 4.0, 5.0]) == pytest.approx(3 / 1.5)
    value = metrics.mase([[1.0], [1.0]], [[2.0], [3.0]], history=[np.arange(3.0), np.arange(9.0)])
    assert value == pytest.approx((1 + 2) / 2)


def test_constant_history_has_no_scale():
    with pytest.warns(RuntimeWarning, match="mase is not defined for series 0: the history"):
        assert np.isnan(metrics.mase([1.0], [2.0], history=[3.0, 3.0, 3.0]))
    with pytest.warns(RuntimeWarning, match="series 1"):
        value = metrics.rmsse([[1.0], [1.0]], [[2.0], [3.0]], history=[[1.0, 2.0], [5.0]], season=1)
    assert value == 1.0


def test_mape_leaves_zero_actuals_out_with_a_warning():
    with pytest.warns(RuntimeWarning, match="leaves out 1 step"):
        assert metrics.mape([0.0, 2.0], [1.0, 1.0]) == 50.0


def test_owa_is_a_ratio_of_averages():
    actual = np.array([[1.0], [100.0]])
    predicted, base = np.array([[2.0], [90.0]]), np.array([[3.0], [70.0]])
    history = [np.array([1.0, 2.0]), np.array([90.0, 100.0])]
    smapes = [(200 / 3 + 2000 / 190) / 2, (100 + 6000 / 170) / 2]
    mases = [(1 + 1) / 2, (2 + 3) / 2]
    value = metrics.owa(actual, predicted, base, history=history)
    assert value == pytest.approx((smapes[0] / smapes[1] + mases[0] / mases[1]) / 2)
    assert metrics.owa(actual, base, base, history=history) == pytest.approx(1.0)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"predicted has shape \(2,\) and actual \(3,\)"):
        metrics.mae([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="history holds 1 series and actual 2"):
        metrics.mase([[1.0], [2.0]], [[1.0], [2.0]], history=np.arange(4.0))
    with pytest.raises(ValueError, match="season is 0"):
        metrics.mase([1.0], [2.0], history=[1.0, 2.0], season=0)
    with pytest.raises(ValueError, match="4 dimensions"):
        metrics.mae(np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)))


def test_data_frames_hold_channels_in_columns():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert metrics.mae(frame, frame + 1) == 1.0
    value = metrics.mase(frame, frame + 1, history=pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 2.0]}))
    assert value == pytest.approx((1 + 0.5) / 2)


# ---------------------------------------------------------------- distributions


def test_pinball_by_hand():
    assert metrics.pinball([10.0, 5.0], [8.0, 8.0], q=0.9) == pytest.approx((1.8 + 0.3) / 2)
    assert metrics.pinball([3.0], [1.0], q=0.5) == metrics.mae([3.0], [1.0]) / 2
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.pinball([1.0], [1.0], q=90)


def test_winkler_by_hand():
    # below by 1, inside, above by 2: width 4, alpha 0.2
    value = metrics.winkler([1.0, 4.0, 8.0], [2.0] * 3, [6.0] * 3, level=80)
    assert value == pytest.approx((4 + 10 + 4 + 4 + 20) / 3)
    with pytest.raises(ValueError, match="a percentage such as 80"):
        metrics.winkler([1.0], [0.0], [2.0], level=0.8)


def test_coverage_by_hand():
    assert metrics.coverage([1.0, 2.0, NAN, 5.0], [1.0] * 4, [2.0] * 4) == pytest.approx(2 / 3)


def test_crps_of_a_normal_by_quadrature():
    from scipy.integrate import quad
    from scipy.stats import norm

    y, mean, scale = 1.3, 0.4, 2.0
    below = quad(lambda z: norm.cdf(z, mean, scale) ** 2, -np.inf, y)[0]
    above = quad(lambda z: norm.sf(z, mean, scale) ** 2, y, np.inf)[0]
    assert metrics.crps([y], Normal(np.full((1, 1, 1), mean), np.full((1, 1, 1), scale))) == (
        pytest.approx(below + above, rel=1e-8)
    )


def test_log_score_is_the_mean_log_density():
    from scipy.stats import norm

    d = Normal(np.zeros((1, 3, 1)), np.full((1, 3, 1), 2.0))
    y = np.array([0.5, NAN, -1.0])
    assert metrics.log_score(y, d) == pytest.approx(norm.logpdf([0.5, -1.0], 0, 2).mean())
    with pytest.raises(ValueError, match="one actual for every predicted"):
        metrics.log_score([1.0], d)


def test_crps_is_twice_the_mean_pinball_loss():
    d = Normal(np.zeros((1, 1, 1)), np.ones((1, 1, 1)))
    levels = (np.arange(2000) + 0.5) / 2000
    losses = [metrics.pinball([0.7], [float(d.quantile(q).item())], q=q) for q in levels]
    assert metrics.crps([0.7], d) == pytest.approx(2 * np.mean(losses), rel=1e-4)


# ---------------------------------------------------------------- names


def test_names_that_are_known():
    for name in ("mase", "owa", "pinball-0.9", "coverage-80", "winkler-97.5", "msis-95"):
        assert parse(name).name == name
    assert [m.name for m in parse_all(["mae", "mae", "mse"])] == ["mae", "mse"]
    assert [m.name for m in with_parts(parse_all(["owa", "mase"]))] == ["smape", "mase"]
    assert parse("log_score").badness(-2.0) == 2.0
    assert parse("coverage-80").badness(np.array([0.7, 0.85])) == pytest.approx([0.1, 0.05])


@pytest.mark.parametrize(
    "name", ["maze", "coverage", "coverage-0.8", "pinball-90", "mae-1", "crps-x"]
)
def test_names_that_are_not(name):
    with pytest.raises(ValueError, match="metric"):
        parse(name)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"known are mae, mse.*coverage-P.*Did you mean 'mase'"):
        parse("mase2")
    with pytest.raises(TypeError, match="pass names"):
        parse(metrics.mae)  # type: ignore[arg-type]


def test_named_measures_agree_with_the_functions():
    rng = np.random.default_rng(0)
    n, h = 4, 6
    actual = rng.normal(size=(n, h, 1))
    actual[1, 2] = NAN
    d = Normal(rng.normal(size=(n, h, 1)), np.full((n, h, 1), 0.7))
    history = [rng.normal(size=20) for _ in range(n)]
    flat = np.concatenate(history)[:, None]
    offsets = np.arange(0, 20 * n + 1, 20)
    scales = {p: losses.naive_scale(flat, offsets, 2, power=p)[:, None] for p in (1, 2)}
    prediction = Prediction(d, actual, scales)

    def named(name: str) -> float:
        measure = parse(name)
        assert measure.loss is not None
        return float(np.mean(measure.finish(losses.average(measure.loss(prediction), axis=(1, 2)))))

    low, high = d.quantile(0.1), d.quantile(0.9)
    options = {"history": history, "season": 2}
    expected = {
        "mae": metrics.mae(actual, d.median),
        "rmse": metrics.rmse(actual, d.mean),
        "smape": metrics.smape(actual, d.median),
        "mase": metrics.mase(actual, d.median, **options),
        "rmsse": metrics.rmsse(actual, d.mean, **options),
        "crps": metrics.crps(actual, d),
        "log_score": metrics.log_score(actual, d),
        "pinball-0.9": metrics.pinball(actual, high, q=0.9),
        "coverage-80": metrics.coverage(actual, low, high),
        "winkler-80": metrics.winkler(actual, low, high, level=80),
        "msis-80": metrics.msis(actual, low, high, level=80, **options),
    }
    for name, value in expected.items():
        assert named(name) == pytest.approx(value), name
    assert set(catalogue.PLAIN) - {"mse", "mape", "owa"} <= set(expected)


# ---------------------------------------------------------------- Naive2


def test_naive2_without_a_season_repeats_the_last_value():
    assert naive2(np.array([1.0, 5.0, NAN]), 2, 4).tolist() == [5.0, 5.0]
    assert np.isnan(naive2(np.array([NAN]), 2)).all()


def test_naive2_of_a_pure_multiplicative_season_is_exact():
    figure = np.array([0.5, 1.0, 1.5, 1.0])
    y = 10 * np.tile(figure, 6)[:22]  # ends in the middle of a season
    assert naive2(y, 6, 4) == pytest.approx(10 * np.tile(figure, 8)[22:28])
    y[5] = NAN
    assert naive2(y, 6, 4) == pytest.approx(10 * np.tile(figure, 8)[22:28])


# ---------------------------------------------------------------- labels


def test_accuracy_and_f1_by_hand():
    actual, predicted = list("aabbc"), list("abbbb")
    assert metrics.accuracy(actual, predicted) == 0.6
    # a: tp 1 fn 1; b: tp 2 fp 2; c: fn 1
    per_class = metrics.f1(actual, predicted, average=None)
    assert per_class.to_dict() == pytest.approx({"a": 2 / 3, "b": 4 / 6, "c": 0.0})
    assert metrics.f1(actual, predicted) == pytest.approx((2 / 3 + 2 / 3) / 3)
    assert metrics.f1(actual, predicted, average="micro") == pytest.approx(0.6)
    assert metrics.accuracy([["a"], ["b", "c"]], [["a"], ["b", "x"]]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="sequence 1 has 2 labels"):
        metrics.accuracy([["a"], ["b", "c"]], [["a"], ["b"]])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x B-x", [("x", 0, 2), ("x", 2, 3)]),
        ("I-x I-x O I-y", [("x", 0, 2), ("y", 3, 4)]),
        ("B-x I-y I-y", [("x", 0, 1), ("y", 1, 3)]),  # a change of type begins a chunk
        ("O O", []),
        ("S-x B-x E-x I-x", [("x", 0, 1), ("x", 1, 3), ("x", 3, 4)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
    ],
)
def test_spans(tags, expected):
    assert spans(tags.split()) == expected


def test_span_f1_by_hand():
    actual = [["B-p", "I-p", "O", "B-l"], ["O", "B-p"]]
    predicted = [["B-p", "I-p", "O", "B-p"], ["O", "O"]]
    # right 1 of 2 predicted, of 3 actual
    assert metrics.span_f1(actual, predicted) == pytest.approx(2 / 5)
    table = metrics.span_f1(actual, predicted, per_type=True)
    assert table.loc["p"].to_dict() == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    )
    assert table.loc["l", "f1"] == 0.0
    assert metrics.span_f1([["B-p", "I-p"]], [["B-p", "O"]]) == 0.0  # half a span is no span
    assert np.isnan(metrics.span_f1([["O"]], [["O"]]))
    with pytest.raises(ValueError, match="tag 'X-p' at position 0"):
        metrics.span_f1([["X-p"]], [["O"]])


def _levenshtein(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


TOKENS = st.lists(st.sampled_from("abc"), max_size=7)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=5))
def test_edit_distance_is_the_plain_recursion(pairs):
    found = edit_distance([a for a, _ in pairs], [b for _, b in pairs])
    assert found.tolist() == [_levenshtein(a, b) for a, b in pairs]


def test_error_rates():
    actual = [["the", "cat", "sat"], ["on"]]
    predicted = [["the", "bat", "sat", "up"], ["on"]]
    assert metrics.token_error_rate(actual, predicted) == pytest.approx(2 / 4)
    assert metrics.sequence_error_rate(actual, predicted) == 0.5
    assert metrics.token_error_rate(list("abc"), list("abd")) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="actual holds 1 sequences and predicted 0"):
        metrics.sequence_error_rate([["a"]], [])
    assert metrics.f1(["b", 1], ["b", 1], average=None).index.tolist() == ["b", 1]
    assert metrics.perplexity([np.log(0.5), NAN, np.log(0.125)]) == pytest.approx(4.0)
