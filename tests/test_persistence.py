"""Files: every model and scaling comes back equal, readable without seqkit, and unable to run code."""

from __future__ import annotations

import dataclasses
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conformance_models import FORECASTERS
from pandas.testing import assert_series_equal
from safetensors.numpy import load as unpack

import seqkit
from seqkit import AR, ETS, VAR, Conformal, Naive, SeasonalNaive, Sequences, Vocabulary
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
from seqkit.persistence import Record, load, same, save

LENGTH = 60
INDEXES: dict[str, pd.Index] = {
    "months": pd.date_range("2015-01-31", periods=LENGTH, freq="ME", name="when"),
    "seconds": pd.date_range("2015-01-31", periods=LENGTH, freq="15min").as_unit("s"),
    "nanoseconds": pd.date_range("2015-01-31", periods=LENGTH, freq="D").as_unit("ns"),
    "Berlin": pd.date_range("2024-03-29", periods=LENGTH, freq="h", tz="Europe/Berlin"),
    "UTC": pd.date_range("2024-03-29", periods=LENGTH, freq="h", tz="UTC"),
    "weeks": pd.date_range("2024-03-29", periods=LENGTH, freq="W-TUE"),
    "the 15th": pd.date_range("2024-01-15", periods=LENGTH, freq=pd.DateOffset(months=1)),
    "own holidays": pd.date_range(
        "2024-01-01", periods=LENGTH, freq=pd.offsets.CustomBusinessDay(holidays=["2024-03-28"])
    ),
    "periods": pd.period_range("2011-01", periods=LENGTH, freq="Q-NOV", name="quarter"),
    "range": pd.RangeIndex(5, 5 + 3 * LENGTH, 3),
    "years": pd.Index(np.arange(1950, 1950 + LENGTH), name="year"),
}
SCALINGS: list[Scaling] = [
    Identity(), Standard(), MeanAbs(), Log(), BoxCox(), BoxCox(0.5), Difference(), SeasonalDifference(4),
    Difference(2, 2), Chain(Log(), Difference()), Chain(Standard(), Chain(MeanAbs(), Difference(4))), Chain(),
]  # fmt: skip


def series(index: pd.Index, seed: int = 0) -> pd.Series:
    rng = np.random.default_rng(seed)
    t = np.arange(len(index))
    values = 50 + 0.2 * t + 4 * np.sin(2 * np.pi * t / 12) + rng.normal(size=len(index))
    return pd.Series(values, index=index, name="sales")


def back(obj: Any, path: Path) -> Any:
    return load(save(obj, path / "file.seqkit"))


def alike(one: Any, two: Any) -> None:
    """Equal as objects and in what they answer."""
    assert type(one) is type(two) and one == two and repr(one) == repr(two)
    first, second = one.predict(3), two.predict(3)
    pd.testing.assert_index_equal(first.index, second.index)
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.quantile([0.1, 0.9]), second.quantile([0.1, 0.9]))
    np.testing.assert_array_equal(first.sample(5, seed=1), second.sample(5, seed=1))


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_model(name: str, tmp_path: Path) -> None:
    """Fitted on dates with holes, a panel, or not at all; and it goes on living."""
    case = FORECASTERS[name]
    months = pd.date_range("2015-01-31", periods=LENGTH, freq="ME", name="when")
    y: Any = series(months)
    if case.channels > 1:
        y = pd.DataFrame({c: series(months, seed=c) for c in range(case.channels)})
    model = case.make()
    assert back(model, tmp_path) == model
    model.fit(y[:50])
    loaded = back(model, tmp_path)
    alike(model, loaded)
    assert loaded.score(y) == model.score(y)
    alike(
        model.update(y[50:]), loaded.update(y[50:])
    )  # arrays that came from a file can be built upon
    assert loaded.fit(y) == case.make().fit(y)


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize(
    "model",
    [Naive(), SeasonalNaive(4), AR(2, trend="ct", season=3), ETS(), Conformal(AR(1))],
    ids=repr,
)
def test_every_calendar(name: str, model: Any, tmp_path: Path) -> None:
    y = series(INDEXES[name])
    model = seqkit.clone(model).fit(y[:50])
    loaded = back(model, tmp_path)
    alike(model, loaded)
    assert loaded.predict(2).index.dtype == y.index.dtype
    alike(model.update(y[50:]), loaded.update(y[50:]))
    alike(loaded, back(loaded, tmp_path))


@pytest.mark.parametrize("scale", SCALINGS, ids=repr)
def test_every_scaling(scale: Scaling, tmp_path: Path) -> None:
    y = series(INDEXES["months"])
    panel = {"a": y, "b": 3 * y[10:]}
    for data in (y, panel):
        fitted = scale.fit(Sequences(data))
        assert back(fitted, tmp_path) == fitted and repr(back(scale, tmp_path)) == repr(scale)
        model = AR(1, scale=scale).fit(data)
        loaded = back(model, tmp_path)
        alike(model, loaded)
        assert loaded.score(data) == model.score(data)


def test_panels_names_and_covariates(tmp_path: Path) -> None:
    y = series(INDEXES["months"])
    stamp, period = pd.Timestamp("2024-01-01", tz="Europe/Berlin"), pd.Period("2024Q1")
    panel = {
        "a": y,
        7: y[5:],
        ("x", 2): y[9:],
        stamp: y,
        period: y,
        2.5: y,
        True: y,
        np.int64(3): y,
    }
    model = AR(1).fit(panel)
    loaded = back(model, tmp_path)
    assert loaded._header.keys == tuple(panel)
    assert [type(k) for k in loaded._header.keys[:7]] == [type(k) for k in list(panel)[:7]]
    alike(model, loaded)
    inputs = pd.DataFrame(
        {"u": np.arange(70.0)}, index=pd.date_range("2015-01-31", periods=70, freq="ME")
    )
    model = AR(1).fit(y, covariates=inputs)
    loaded = back(model, tmp_path)
    forecast = loaded.predict(3, covariates=inputs).mean
    assert_series_equal(forecast, model.predict(3, covariates=inputs).mean)
    holed = y.drop(y.index[[3, 20, 21]])
    alike(AR(1).fit(holed), back(AR(1).fit(holed), tmp_path))
    wide = pd.DataFrame({("a", 1): y, ("a", 2): y + series(y.index, 3)})
    alike(VAR(1).fit(wide), back(VAR(1).fit(wide), tmp_path))
    alike(AR(2).fit(y.to_numpy()), back(AR(2).fit(y.to_numpy()), tmp_path))


def test_forecasts_sequences_and_vocabularies(tmp_path: Path) -> None:
    y = series(INDEXES["Berlin"])
    forecast = AR(1, scale=Log()).fit({"a": y, "b": y[4:]}).predict(3)
    loaded = back(forecast, tmp_path)
    assert loaded == forecast
    pd.testing.assert_frame_equal(loaded.to_frame(), forecast.to_frame())
    for x in (y, {"a": y, "b": y.drop(y.index[4])}, [["to", "be"], ["or"]], np.zeros((2, 3, 2))):
        assert back(Sequences(x), tmp_path) == Sequences(x)
    words = Vocabulary(["å", "b", "b"])
    assert back(words, tmp_path) == words


# -- the file itself ----------------------------------------------------------------------------


def test_the_file_is_json_and_safetensors(tmp_path: Path) -> None:
    y = series(INDEXES["months"])
    path = AR(2, scale=Standard()).fit(y).save(tmp_path / "model.seqkit")
    assert path == tmp_path / "model.seqkit" and path.stat().st_size > 0
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.json", "arrays.safetensors"]
        text, block = archive.read("model.json"), archive.read("arrays.safetensors")
    document = json.loads(text)
    assert document["schema"] == 1
    assert document["object"]["$object"] == "seqkit.models.autoregression.ar:AR"
    state = document["object"]["state"]
    assert state["order"] == 2 and state["trend"] == "c"
    arrays = unpack(block)
    np.testing.assert_array_equal(arrays["_data.values"][:, 0], (y - y.mean()) / y.std(ddof=0))
    names = json.dumps(document)
    assert all(
        json.dumps(name)[1:-1] in names for name in arrays
    )  # every array is asked for by the tree


@pytest.mark.parametrize("name", ["AR", "AR-bootstrap", "Theta", "Conformal"])
def test_no_pickle_anywhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("pickle was used")

    model = FORECASTERS[name].make().fit(series(INDEXES["months"]))
    for function in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, function, forbidden)
    path = model.save(tmp_path / "m")
    assert load(path) == model
    monkeypatch.undo()
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            content = archive.read(member)
            assert not content.startswith(b"\x80") and b"cnumpy" not in content
            with pytest.raises(pickle.UnpicklingError):
                pickle.loads(content)


def test_one_model_one_file(tmp_path: Path) -> None:
    """The same fit gives the same content, whatever was done in between."""
    y = series(INDEXES["months"])

    def content(model: Any) -> list[bytes]:
        with zipfile.ZipFile(model.save(tmp_path / "m")) as archive:
            return [archive.read(name) for name in archive.namelist()]

    assert content(AR(2).fit(y)) == content(AR(2).fit(y))
    assert content(AR(2).fit(y)) != content(AR(2).fit(y + 1))
    model = AR(2).fit(y)
    before = content(model)
    model.predict(3), model.score(y), model.summary()
    assert content(model) == before


@dataclasses.dataclass(eq=False)
class Halve(Scaling):
    """A user's own scaling."""

    by: float = 2.0

    def transform(self, data: Sequences) -> Any:
        return data.values / self.by

    def restore(self, forecast: Any) -> Any:
        return forecast.affine(0.0, self.by)

    def restore_replay(self, steps: Any, data: Sequences) -> Any:
        return steps.affine(0.0, self.by)


def test_own_classes_are_named_to_load(tmp_path: Path) -> None:
    y = series(INDEXES["months"])
    model = AR(1, scale=Halve(4.0)).fit(y)
    path = model.save(tmp_path / "m")
    with pytest.raises(
        ValueError, match=r"Halve, which is not a seqkit class; pass it as load\(\.\.\., classes"
    ):
        load(path)
    loaded = seqkit.load(path, classes=[Halve])
    alike(model, loaded)
    assert loaded.scale == Halve(4.0)


class Box(Record):
    def __init__(self, **content: Any):
        vars(self).update(content)


ODDITIES = {
    "numbers": [0, -1, 2**60, 0.1, 1e-308, float("inf"), -float("inf"), True, None],
    "text": ["", "ünïcode", "a\nb", '"$tuple"'],
    "nested": {"a": [(1, (2,)), {}], 3: (), (1, "k"): {"b": None}, 2.5: [], None: 0},
    "tagged": {"$array": "not an array", "$object": "os:system"},
    "arrays": [np.arange(6).reshape(2, 3), np.zeros((0, 3)), np.array(5.0), np.arange(6.0)[::2]],
    "kinds": [np.array([1, 2], dtype=t) for t in ("int8", "uint16", "int32", "float32", "bool")],
    "order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "objects": np.array([["a", None], ["b", "c"]], dtype=object),
    "scalars": [np.float64(1.5), np.int32(4), np.bool_(True)],
    "times": [
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-07-01", tz="Europe/Berlin"),
        pd.Period("2024-01", "M"),
    ],
    "frequencies": [
        pd.offsets.MonthEnd(2),
        pd.offsets.Week(weekday=3),
        pd.DateOffset(months=1, days=2),
    ],
    "twice": [np.ones(2), {"twice": [np.zeros(2)]}],
}


@pytest.mark.parametrize("name", ODDITIES)
def test_state_of_any_shape(name: str, tmp_path: Path) -> None:
    box = Box(**{name: ODDITIES[name], "other": np.ones(1)})
    loaded = load(save(box, tmp_path / "m"), classes=[Box])
    assert loaded == box
    assert same(vars(loaded), vars(box))


def test_same_is_exact_but_for_nan() -> None:
    assert same({"a": (np.nan, [np.array([np.nan])])}, {"a": (np.nan, [np.array([np.nan])])})
    for one, two in [
        (np.zeros(2), np.zeros(2, dtype=int)), (np.zeros(2), [0.0, 0.0]), ((1,), [1]), ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (pd.RangeIndex(3), pd.RangeIndex(4)), (1.0, np.nan), (np.zeros(2), np.zeros(3)),
    ]:  # fmt: skip
        assert not same(one, two)
    assert AR(1) == AR(1) and AR(1) != AR(2) and AR(1) != VAR(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(AR(1))


def test_what_cannot_be_saved_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    model = AR(1)
    model.scale = lambda x: x
    with pytest.raises(TypeError, match="cannot save scale: a function has no pickle-free form"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_overwriting(tmp_path: Path) -> None:
    y = series(INDEXES["months"])
    for order in (1, 3):
        AR(order).fit(y).save(tmp_path / "m")
    assert seqkit.load(str(tmp_path / "m")).order == 3


@pytest.mark.parametrize("schema", [2, 99, 10**6])
def test_newer_files_are_refused(schema: int, tmp_path: Path) -> None:
    path = AR(1).save(tmp_path / "m")
    with zipfile.ZipFile(path) as archive:
        document, block = json.loads(archive.read("model.json")), archive.read("arrays.safetensors")
    document["schema"] = schema
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", json.dumps(document))
        archive.writestr("arrays.safetensors", block)
    with pytest.raises(
        ValueError, match=rf"schema version {schema}, this seqkit reads up to 1; upgrade"
    ):
        seqkit.load(path)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "seqkit.persistence:load",
        "seqkit.persistence:json",
        "seqkit.persistence:Path",
        "pathlib:Path",
        "seqkit",
    ],
)
def test_foreign_classes_are_refused(name: str, tmp_path: Path) -> None:
    path = AR(1, scale=Standard()).save(tmp_path / "m")
    with zipfile.ZipFile(path) as archive:
        document, block = archive.read("model.json").decode(), archive.read("arrays.safetensors")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", document.replace("seqkit.data.scaling:Standard", name))
        archive.writestr("arrays.safetensors", block)
    with pytest.raises(ValueError, match="is not a seqkit class"):
        seqkit.load(path)
