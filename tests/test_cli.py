"""The command line: what it prints, what it writes, and how it says no."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import seqkit
from seqkit.cli import main
from seqkit.cli.names import DEFAULT_MODELS, MODELS, parse_model, parse_models, split_list

MONTHS = pd.date_range("2020-01-01", periods=48, freq="MS")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with files such as users have; the current one during the test."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    units, price = 100 + np.arange(48) + rng.normal(size=48), rng.normal(size=48)
    pd.DataFrame({"month": MONTHS, "units": units, "price": price}).to_csv("sales.csv", index=False)
    ahead = pd.date_range("2024-01-01", periods=6, freq="MS")
    pd.DataFrame({"month": ahead, "price": rng.normal(size=6)}).to_csv("future.csv", index=False)
    shops = [
        pd.DataFrame({"unique_id": key, "ds": MONTHS, "y": mean + rng.normal(size=48)})
        for key, mean in (("b", 0.0), ("a", 10.0))
    ]
    pd.concat(shops).to_csv("shops.csv", index=False)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run the command line: its exit code, standard output, standard error."""

    def run(line: str | list[str]) -> tuple[int, str, str]:
        code = main(line.split() if isinstance(line, str) else line)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


# ---------------------------------------------------------------- the whole


def test_help_loads_nothing_heavy():
    script = (
        "import sys; from seqkit.cli import main; main(['--help']); main(['compare', '--help'])\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'numba', 'matplotlib', 'joblib', 'torch'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout and "forecast" in done.stdout


def test_runs_as_a_module():
    line = [sys.executable, "-m", "seqkit", "compare", "airlin"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: no dataset 'airlin'; did you mean 'airline'?\n"


@pytest.mark.parametrize("line", ["", "--help", "-h", "forecast --help", "datasets --help"])
def test_help(call, line):
    code, out, err = call(line)
    assert code == 0 and "Usage" in out and err == ""


def test_version(call):
    assert call("--version") == (0, f"seqkit {seqkit.__version__}\n", "")


# ---------------------------------------------------------------- names of models


@pytest.mark.parametrize("name", MODELS)
def test_every_name_makes_a_model_that_forecasts(name):
    noise = np.random.default_rng(1).normal(size=60)
    x = pd.Series(50 + noise.cumsum(), index=pd.date_range("2020-01-01", periods=60, freq="MS"))
    model = parse_model(name).build(12)
    assert model == seqkit.clone(model)
    if "steps" in model.get_params():
        model.set_params(steps=5)
    y = pd.DataFrame({"a": x, "b": noise}) if name == "var" else x
    assert model.fit(y).predict(3).horizon == 3


def test_parameters_and_wrappers():
    assert parse_model("ar:order=12:trend=ct").build(None) == seqkit.AR(12, trend="ct")
    assert parse_model("ar:order=[1,2,12]").build(None) == seqkit.AR([1, 2, 12])
    assert parse_model("ets:trend=none:season=4").build(12) == seqkit.ETS(season=4, trend=None)
    assert parse_model("snaive").build(7) == seqkit.SeasonalNaive(7)
    scale = seqkit.Chain(seqkit.Log(), seqkit.Difference(12))
    assert parse_model("ar:scale=log+diff12").build(None) == seqkit.AR(scale=scale)
    wrapped = seqkit.Conformal(seqkit.AR(3), windows=50)
    assert parse_model("conformal:ar:order=3:windows=50").build(None) == wrapped


def test_lists_of_models():
    assert split_list(" naive2, auto_arima:order=(1,1,1):max_p=3 ,ar:order=[1,2]") == [
        "naive2",
        "auto_arima:order=(1,1,1):max_p=3",
        "ar:order=[1,2]",
    ]
    assert [spec.label for spec in parse_models(DEFAULT_MODELS)] == DEFAULT_MODELS.split(",")


# ---------------------------------------------------------------- compare


def test_compare_prints_leaderboards_and_ranks(call):
    code, out, err = call(
        "compare airline us_macro:realgdp --models naive2,ar:order=4,ar --windows 2"
    )
    assert code == 0 and err == ""
    assert "airline: 144 steps, season 12, horizon 12, 2 windows" in out
    assert "us_macro:realgdp: 203 steps, season 4, horizon 8, 2 windows" in out
    assert "all 2 data sets" in out and "mase / naive2's" in out
    assert "ar:order=4" in out and "*" in out
    assert "mase, smape, crps: lower is better; coverage-80: best at 0.8." in out


def test_compare_agrees_with_the_library(call):
    line = "compare airline us_macro:realgdp --models naive2,theta --windows 3 --metrics smape,mase"
    code, out, _ = call(f"{line} --json")
    assert code == 0
    rows = {(r["dataset"], r["model"]): r for r in json.loads(out)["leaderboard"]}
    data = {
        "airline": seqkit.datasets.load("airline"),
        "us_macro:realgdp": seqkit.datasets.load("us_macro")["realgdp"],
    }
    models = {"naive2": seqkit.Naive2(), "theta": seqkit.Theta()}
    expected = seqkit.compare(
        models, data, {"airline": 12, "us_macro:realgdp": 8}, 3, metrics=["smape", "mase"]
    )
    for key, row in expected.leaderboard.iterrows():
        for metric in ("smape", "mase", "rank"):
            assert rows[key][metric] == pytest.approx(row[metric], rel=1e-12)
    order = [r["model"] for r in json.loads(out)["overall"]]
    assert order == expected.overall.index.tolist()


def test_compare_writes_page_tables_and_pictures(call, place):
    line = "compare nile lynx --models naive2,mean --windows 1 --horizon 5 --jobs 2"
    code, out, _ = call(f"{line} --out o --report pages/r.html")
    assert code == 0
    names = {path.name for path in (place / "o").iterdir()}
    assert names == {
        "report.html", "leaderboard.csv", "scores.csv", "leaderboard.png", "horizon.png", "ranks.png",
        "forecasts-nile.png", "forecasts-lynx.png",
    }  # fmt: skip
    assert "wrote pages/r.html" in out and "report.html" in out
    assert "<svg" in (place / "pages/r.html").read_text()
    assert (place / "o/horizon.png").read_bytes().startswith(b"\x89PNG")
    board = pd.read_csv("o/leaderboard.csv")
    assert list(board["model"].unique()) and set(board["dataset"]) == {"nile", "lynx"}
    assert len(pd.read_csv("o/scores.csv")) == 2 * 2 * 4


def test_compare_on_own_files(call, place):
    code, out, err = call(
        "compare sales.csv:units shops.csv --models naive,drift --horizon 3 --windows 2"
    )
    assert code == 0
    assert "sales:units: 48 steps, season 12, horizon 3, 2 windows" in out
    assert "shops: 2 series, season 12, horizon 3, 2 windows" in out
    assert "note: sales.csv: taken as --time month" in err
    assert "note: shops.csv: taken as --id unique_id --time ds --target y" in err


def test_compare_says_what_failed_and_why(call):
    code, out, _ = call("compare nile --models naive,ar:order=60 --windows 2")
    assert code == 0
    assert "2 failure(s)" in out and "ar:order=60 on nile" in out and "lower the order" in out


def test_season_of_the_user_reaches_models_and_scales(call):
    line = "compare airline --models snaive --windows 1 --metrics mae,mase --json --season"
    one, two = (json.loads(call(f"{line} {m}")[1])["leaderboard"][0] for m in (12, 6))
    assert one["mae"] != two["mae"]
    assert one["mase"] / one["mae"] != pytest.approx(two["mase"] / two["mae"])


def test_panel_of_a_competition_uses_the_season_of_its_card(call, place, monkeypatch):
    """Its index only counts, so the calendar knows of no season."""
    card = (seqkit.datasets.card("airline").folder / "airline.toml").read_text()
    head, _ = card.split("[read]")
    head = head.replace('name = "airline"', 'name = "tiny"').replace(
        'kind = "series"', 'kind = "panel"'
    )
    head = head.replace('frequency = "MS"', 'frequency = ""').replace("aliases", "#")
    assert 'name = "tiny"' in head and 'kind = "panel"' in head
    values = seqkit.datasets.load("airline")
    monkeypatch.setattr("seqkit.datasets.load", lambda name: {"a": values.reset_index(drop=True)})
    (place / "tiny.toml").write_text(
        head + '[read]\nreader = "panel"\nfiles = { data = "tiny.csv" }\n'
    )
    monkeypatch.setenv("SEQKIT_DATA", str(place))
    code, out, err = call("compare tiny --models snaive --json")
    assert code == 0, err
    [facts] = json.loads(out)["datasets"]
    assert (facts["season"], facts["horizon"], facts["windows"]) == (12, 12, 1)
    assert json.loads(out)["leaderboard"][0]["mase"] == pytest.approx(
        seqkit.compare([seqkit.SeasonalNaive()], values, 12).leaderboard["mase"].iloc[0]
    )


def test_several_columns_for_models_that_take_them(call):
    code, out, _ = call("compare us_macro --models drift,var:order=1 --windows 1 --metrics mase")
    assert code == 0 and "var:order=1" in out


# ---------------------------------------------------------------- forecast


def test_forecast_to_csv_picture_and_model(call, place):
    line = "forecast sales.csv --target units --model ar:order=2 --horizon 6 --level 90"
    code, out, err = call(f"{line} --out a/fc.csv --plot fc.png --save m.seqkit")
    assert code == 0
    assert "note: sales.csv: taken as --time month" in err and "wrote" in out
    result = pd.read_csv("a/fc.csv")
    assert list(result.columns) == ["month", "mean", "lo-90", "hi-90"]
    assert result["month"].iloc[[0, -1]].tolist() == ["2024-01-01", "2024-06-01"]
    units = pd.read_csv("sales.csv", index_col="month", parse_dates=True)["units"]
    expected = seqkit.AR(2).fit(units).predict(6)
    np.testing.assert_allclose(result["mean"], expected.mean, rtol=1e-12)
    np.testing.assert_allclose(result["lo-90"], expected.interval(90)["lo"], rtol=1e-12)
    np.testing.assert_array_equal(seqkit.load("m.seqkit").predict(6).mean, expected.mean)
    assert (place / "fc.png").read_bytes().startswith(b"\x89PNG")


def test_forecast_of_a_panel_as_json(call, place):
    code, out, _ = call("forecast shops.csv --model naive --horizon 2 --json")
    document = json.loads(out)
    assert code == 0 and document["model"] == "naive" and document["horizon"] == 2
    assert [row["unique_id"] for row in document["forecast"]] == ["b", "b", "a", "a"]
    assert document["forecast"][0]["ds"].startswith("2024-01-01")
    assert set(document["forecast"][0]) == {
        "unique_id",
        "ds",
        "mean",
        "lo-80",
        "hi-80",
        "lo-95",
        "hi-95",
    }


def test_forecast_with_covariates(call, place):
    line = "forecast sales.csv --time month --target units --model ar:order=1 --horizon 6"
    code, out, err = call(f"{line} --covariates price --future future.csv --out -")
    assert (code, err) == (0, "")
    history = pd.read_csv("sales.csv", index_col="month", parse_dates=True)
    ahead = pd.read_csv("future.csv", index_col="month", parse_dates=True)
    model = seqkit.AR(1).fit(history["units"], covariates=history[["price"]])
    lines = out.strip().splitlines()
    assert lines[0] == "month,mean,lo-95,lo-80,hi-80,hi-95"
    assert float(lines[1].split(",")[1]) == pytest.approx(
        model.predict(6, covariates=ahead).mean.iloc[0], rel=1e-12
    )


def test_forecast_on_the_terminal(call, place):
    code, out, _ = call("forecast shops.csv --horizon 1 --model conformal:mean")
    assert code == 0 and "conformal:mean, fitted to 2 series" in out and "hi-95" in out
    code, out, _ = call("forecast sales.csv --target units,price --horizon 1 --model drift")
    assert code == 0 and "channel" in out and "price" in out


def test_files_as_they_come(call, place):
    """No times; out of order; whole numbers as years; separated as in Europe; tabs."""
    pd.DataFrame({"y": np.arange(30.0)}).to_csv("bare.csv", index=False)
    code, out, err = call("forecast bare.csv --model drift --horizon 1 --json")
    assert code == 0 and "rows are counted as steps" in err
    assert json.loads(out)["forecast"][0]["step"] == 30
    pd.read_csv("sales.csv").iloc[::-1].to_csv("back.csv", index=False)
    code, out, err = call("forecast back.csv --target units --model naive --horizon 1 --json")
    assert code == 0 and "put in the order of 'month'" in err
    assert json.loads(out)["forecast"][0]["month"].startswith("2024-01")
    pd.DataFrame({"year": range(1950, 1990), "y": np.arange(40.0)}).to_csv("years.csv", index=False)
    assert (
        json.loads(call("forecast years.csv --model naive --horizon 1 --json")[1])["forecast"][0][
            "year"
        ]
        == 1990
    )
    (place / "eu.csv").write_text(
        "ds;y\n" + "".join(f"2024-01-{d:02};{d},5\n" for d in range(1, 29))
    )
    code, out, _ = call("forecast eu.csv --model naive --horizon 1 --json")
    assert json.loads(out)["forecast"][0]["mean"] == pytest.approx(28.5)
    points = (place / "eu.csv").read_text().replace(",5", ".5")
    (place / "points.csv").write_text(points)
    code, out, _ = call("forecast points.csv --model naive --horizon 1 --json")
    assert json.loads(out)["forecast"][0]["mean"] == pytest.approx(28.5)
    pd.read_csv("shops.csv").to_csv("shops.tsv", index=False, sep="\t")
    assert call("forecast shops.tsv --model naive --horizon 1")[0] == 0


# ---------------------------------------------------------------- decode


def test_decode_finds_the_regimes_of_a_table(call, place):
    level = np.repeat([0.0, 5.0, 0.0], 16) + np.random.default_rng(1).normal(size=48)
    pd.Series(level, MONTHS, name="y").to_csv("regimes.csv")
    line = "decode regimes.csv --out r.csv --plot r.png --save m.seqkit"
    code, out, err = call(line)
    assert code == 0 and "taken as --time index" in err and "more rows" not in out
    result = pd.read_csv("r.csv")
    high = result["state"].to_numpy() == result["state"][20]
    np.testing.assert_array_equal(high, np.repeat([False, True, False], 16))
    assert result["index"].iloc[-1] == "2023-12-01"
    assert (place / "r.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = call("decode regimes.csv --model m.seqkit --proba --json")
    rows = pd.DataFrame(json.loads(out)["decoded"])
    np.testing.assert_allclose(rows[["0", "1"]].sum(axis=1), 1, rtol=1e-12)
    assert (rows[str(result["state"][20])] > 0.5).to_numpy().tolist() == high.tolist()


def test_decode_smooths_a_panel(call, place):
    code, out, err = call("decode shops.csv --model level --plot l.png --out -")
    lines = out.splitlines()
    assert code == 0 and "l.png shows 'b', the first of 2 series" in err
    assert lines[0] == "unique_id,ds,level" and len(lines) == 97
    shops = pd.read_csv("shops.csv", parse_dates=["ds"]).set_index(["unique_id", "ds"])["y"]
    expected = seqkit.LocalLevel().fit(shops).decode()
    found = [float(line.split(",")[2]) for line in lines[1:]]
    np.testing.assert_allclose(found, expected["level"], rtol=1e-9)


def test_decode_reads_lines_for_saved_models(call, place, monkeypatch):
    words = [["the", "dog", "barks"], ["a", "cat", "sleeps"]] * 5
    seqkit.HMMTagger().fit(words, [["D", "N", "V"]] * 10).save("tagger.seqkit")
    (place / "text.txt").write_text("the cat sleeps\n\n a  dog\n")
    code, out, _ = call("decode text.txt --model tagger.seqkit --out -")
    assert code == 0
    for option, message in (("--season 4", "--season is for"), ("--plot p.png", "--plot draws")):
        code, _, err = call(f"decode text.txt --model tagger.seqkit {option}")
        assert code == 2 and message in err
    code, _, err = call("decode sales.csv --target units --model tagger.seqkit --plot p.png")
    assert code == 2 and "has no picture of its states" in err and not (place / "p.png").exists()
    assert out.splitlines() == [
        "line,step,token,tag", "0,0,the,D", "0,1,cat,N", "0,2,sleeps,V", "1,0,a,D", "1,1,dog,N",
    ]  # fmt: skip
    spelt = seqkit.Seq2Seq(seqkit.nn.LSTM(4), seqkit.nn.LSTM(4), steps=1, seed=0)
    spelt.fit(["ab", "ba"], [["x"], ["y"]]).save("spelt.seqkit")
    monkeypatch.setattr("sys.stdin", io.StringIO("ab\n"))
    code, out, _ = call("decode - --model spelt.seqkit --letters --json")
    [row] = json.loads(out)["decoded"]
    assert row == {"input": "a b", "output": " ".join(spelt.decode(["ab"])[0])}
    spelt.set_params(steps=100, lr=0.05).fit(["ab"], ["xyz"]).save("texts.seqkit")
    monkeypatch.setattr("sys.stdin", io.StringIO("ab\n"))
    _, out, _ = call("decode - --model texts.seqkit --letters --json")
    assert json.loads(out)["decoded"][0]["output"] == "xyz"  # a text stays one


def test_frequency_is_passed_on(call, place):
    (place / "holes.csv").write_text(
        "ds,y\n2024-01-01,1\n2024-01-03,2\n2024-01-07,3\n2024-01-09,4\n"
    )
    for given, first in (("--frequency D", "2024-01-10"), ("", "2024-01-11")):
        code, out, _ = call(f"forecast holes.csv --model naive --horizon 1 --json {given}")
        assert code == 0 and json.loads(out)["forecast"][0]["ds"].startswith(first)


def test_parquet(call, place):
    pytest.importorskip("pyarrow")
    pd.read_csv("shops.csv", parse_dates=["ds"]).to_parquet("shops.parquet")
    code, _, _ = call("forecast shops.parquet --model naive --horizon 2 --out fc.parquet")
    assert code == 0 and len(pd.read_parquet("fc.parquet")) == 4


def test_parquet_without_pyarrow_says_what_to_install(call, place, monkeypatch):
    def refuse(*args, **kwargs):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", refuse)
    (place / "x.parquet").write_bytes(b"PAR1")
    code, _, err = call("forecast x.parquet")
    assert code == 1 and "pip install 'seqkit[parquet]'" in err


# ---------------------------------------------------------------- datasets


def test_datasets(call):
    code, out, _ = call("datasets")
    assert code == 0 and "airline" in out and "International airline passengers" in out
    code, out, _ = call("datasets --json")
    assert {row["name"] for row in json.loads(out)} == set(seqkit.datasets.list()["name"])
    code, out, _ = call("datasets nile")
    assert code == 0 and out == f"{seqkit.datasets.describe('nile')}\n"
    code, out, _ = call("datasets air_passengers --json")
    assert json.loads(out)["name"] == "airline" and json.loads(out)["horizon"] == 12


# ---------------------------------------------------------------- how it says no


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("compar nile", "No such command 'compar'"),
        ("compare", "Missing argument"),
        ("compare nile --modls ar", "--models"),
        ("compare nile --horizon 0", "--horizon"),
        ("compare nile --horizon x", "--horizon"),
        ("compare nile --jobs 0", "--jobs is 0; expected"),
        ("compare airlin", "no dataset 'airlin'; did you mean 'airline'?"),
        ("compare qqqqqq", "`seqkit datasets` lists them"),
        ("compare airline:x", "single series; write airline without :x"),
        ("compare us_macro:gdp", "did you mean 'realgdp'?"),
        ("compare us_macro", "us_macro:realgdp"),
        ("compare snips_slots", "kind tokens"),
        ("compare nile nile", "'nile' is there twice"),
        ("compare nile --time ds", "are for files"),
        (
            "compare nile --models arr",
            "no model 'arr'; did you mean 'ar' or 'var'? known: naive, snaive",
        ),
        ("compare nile --models ,", "--models is empty"),
        ("compare nile --models ar,ar", "names 'ar' twice"),
        (
            "compare nile --models ar:ordr=3",
            "no parameter 'ordr' in the model ar; did you mean 'order'",
        ),
        ("compare nile --models conformal:ar:wndws=3", "did you mean 'windows'"),
        ("compare nile --models ar:order", "write ar:parameter=value"),
        ("compare nile --models conformal", "write conformal:ar"),
        ("compare nile --models naive,ar:order=x", "ar:order=x: order must be an int"),
        ("compare nile --models conformal:ar:windows=x", "windows must be an integer"),
        ("compare nile --models var:trend=q", "var:trend=q: trend must be one of"),
        ("compare nile --models auto_arima:max_p=x", "error: auto_arima:max_p=x: "),
        ("forecast sales.csv --target units --model ets:ic=q", "ets:ic=q: ic must be one of"),
        ("compare nile --report /proc/x.html", "--report /proc/x.html cannot be written"),
        ("compare nile --report .", "--report . is a folder"),
        ("compare nile --out sales.csv", "--out sales.csv is a file"),
        ("compare nile --out sales.csv/o", "sales.csv is a file, not a folder"),
        (
            "forecast sales.csv --target units --plot sales.csv/p.png",
            "--plot sales.csv/p.png cannot",
        ),
        ("compare nile --models ar:scale=lgo", "no scale 'lgo'; did you mean 'log'?"),
        ("compare nile --metrics mas", "Did you mean 'mase'?"),
        ("compare nile --horizon 30 --windows 4", "100 steps, but 4 window(s) of 30 steps"),
        ("compare nofile.csv", "there is no file 'nofile.csv'"),
        ("forecast nofile.csv", "there is no file 'nofile.csv'"),
        ("forecast sales.csv", "2 columns of numbers (units, price)"),
        (
            "forecast sales.csv --target unitz",
            "no column 'unitz' in sales.csv; did you mean 'units'?",
        ),
        (
            "forecast sales.csv --target units --level 0,80",
            "--level is '0,80'; expected percentages",
        ),
        ("forecast sales.csv --target units --covariates price", "--covariates needs --future"),
        ("forecast sales.csv --target units --future future.csv", "--future needs --covariates"),
        (
            "forecast sales.csv --target units --out x.xls",
            "expected a path ending in .csv or .parquet",
        ),
        ("forecast sales.csv --target units --plot x", "expected a path ending in .png"),
        ("forecast sales.csv --target units --out - --json", "leave one out"),
        (
            "decode sales.csv --target units --model ar",
            "ar has nothing hidden to decode; models for",
        ),
        (
            "decode sales.csv --target units --model level --proba",
            "decode with probabilities; models",
        ),
        ("decode sales.csv --model no.seqkit", "there is no file 'no.seqkit'"),
        (
            "decode sales.csv --target units --model sales.csv",
            "is not a file written by model.save()",
        ),
        ("decode none.txt", "must be a table of numbers"),
        ("decode sales.csv --target units --letters", "--letters says how lines of text are read"),
        ("decode none.txt --target units", "are for tables; leave them out for text"),
        ("decode sales.csv --target units --out x.xls", "expected a path ending in .csv"),
        ("datasets nil", "no dataset 'nil'; did you mean 'nile'?"),
    ],
)
def test_wrong_use(call, place, line, message):
    code, out, err = call(line)
    *notes, last = err.splitlines()
    assert code == 2 and out == ""
    assert last.startswith("error: ") and message in last
    assert all(line.startswith("note: ") for line in notes)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            "ds,y\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n",
            "",
            "occur twice, first 2024-01-01 00:00:00 in row 3",
        ),
        ("ds,y\n2024-01-01,1\n2024-01-01,2\n2024-01-02,3\n", "", "--id names the column"),
        ("ds,y\n2024-01-01,1\nsoon,2\n2024-01-03,3\n", "--time ds", "holds 'soon' in row 3"),
        ("ds,y\n2024-01-01,1\n,2\n2024-01-03,3\n", "--time ds", "is empty in row 3"),
        (
            "ds,y\n2024-01-01,1\n2024-01-02,b\n",
            "--target y",
            "column 'y' holds 'b' in row 3; expected numbers",
        ),
        (
            'ds,y\n2024-01-01,"1,5"\n2024-01-02,"2,5"\n',
            "--target y",
            "decimals are written with a point",
        ),
        ("ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,4\n", "--model ar:order=5", "ar:order=5: "),
        ("ds,y\n2024-01-01,1\n2024-01-11,2\n2024-01-17,3\n2024-01-27,4\n", "", "pass --frequency"),
    ],
)
def test_work_that_fails(call, place, rows, options, message):
    (place / "bad.csv").write_text(rows)
    code, out, err = call(f"forecast bad.csv --horizon 1 {options}")
    assert code == 1 and out == ""
    assert err.splitlines()[-1].startswith("error: ") and message in err.splitlines()[-1]


def test_an_empty_file_and_a_file_that_is_no_table(call, place):
    (place / "empty.csv").write_text("")
    (place / "head.csv").write_text("ds,y\n")
    (place / "noise.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("empty", "head", "noise"):
        code, _, err = call(f"forecast {name}.csv")
        assert code == 2 and err.startswith(f"error: {name}.csv ")


def test_a_file_with_another_separator_is_told_apart(call, place):
    for name, mark, remedy in (("a.csv", "|", "commas"), ("b.tsv", ";", "name the file .csv")):
        (place / name).write_text(f"ds{mark}y\n2024-01-01{mark}1\n2024-01-02{mark}2\n")
        code, _, err = call(f"forecast {name} --target y")
        assert code == 2 and f"reads as one column, 'ds{mark}y'" in err and remedy in err


def test_targets_are_checked_before_the_work_and_leave_nothing(call, place, monkeypatch):
    monkeypatch.setattr("seqkit.cli.comparing._compare", lambda *a: pytest.fail("worked"))
    assert call("compare nile --models naive --out new/o --report sales.csv/r.html")[0] == 2
    before = sorted(place.iterdir())
    with pytest.raises(pytest.fail.Exception):
        call("compare nile --models naive --out new/o --report new/r.html")
    assert sorted(place.iterdir()) == before


def test_values_that_only_these_data_refuse_are_no_wrong_use(call):
    assert call("compare nile --models naive,ar:order=60,ets:seasonal=add --windows 1")[0] == 0


def test_compare_without_any_score_has_failed(call):
    code, _, err = call("compare nile --models ar:order=80 --windows 1")
    assert code == 1 and "error: no model has a score; the first reason: " in err


def test_traceback_only_when_asked_for(call, monkeypatch):
    def broken(*args):
        raise KeyError("inside")

    monkeypatch.setattr("seqkit.cli.listing.run", broken)
    code, _, err = call("datasets")
    assert code == 1 and err == "error: KeyError: 'inside' (--traceback shows where)\n"
    code, _, err = call("datasets --traceback")
    assert (
        code == 1 and "Traceback (most recent call last)" in err and err.endswith("shows where)\n")
    )


def test_interrupt_is_quiet(call, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("seqkit.cli.listing.run", interrupted)
    code, out, err = call("datasets")
    assert code == 130 and out.strip() == "" and err.strip() == ""


def test_a_warning_is_one_line(call, monkeypatch):
    import warnings

    def warn(*args):
        warnings.simplefilter("always")
        warnings.warn("mind\nthe gap", RuntimeWarning, stacklevel=1)

    monkeypatch.setattr("seqkit.cli.listing.run", warn)
    assert call("datasets") == (0, "", "warning: mind the gap\n")
