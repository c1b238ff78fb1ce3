"""A comparison as one self-contained page: inline styles, inline pictures, nothing fetched."""

from __future__ import annotations

import importlib.metadata
import io
import platform
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from seqkit.evaluation.catalogue import Metric

LIBRARIES = ("numpy", "pandas", "scipy", "numba", "statsmodels", "torch")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    import seqkit

    found = {"python": platform.python_version(), "seqkit": seqkit.__version__}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def render(comparison: Any, *, title: str) -> str:
    """The page of a `Comparison`."""
    from jinja2 import Environment

    source = (resources.files("seqkit.evaluation") / "report.html.j2").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        source
    )
    return template.render(
        title=title,
        lead=_lead(comparison),
        datasets=_table(_datasets(comparison), {}),
        sections=[_section(comparison, r.name) for r in comparison.results],
        overall=_overall(comparison),
        ranks=_ranks(comparison),
        failures=_failures(comparison),
        settings=_settings(comparison),
        versions=versions(),
    )


# ---------------------------------------------------------------- the parts of the page


def _lead(comparison: Any) -> str:
    """What was compared, and who leads, in a sentence."""
    first = comparison.metrics[0]
    models, sets = len(comparison.models), comparison.results
    text = f"{models} model{'s' * (models != 1)} on {len(sets)} data set{'s' * (len(sets) != 1)}"
    series = sum(r.summary["series"] for r in sets)
    text += f", {series} series in all, ordered by {first.name} ({first.orientation})."
    leaders = []
    for r in sets:
        table = comparison.leaderboard.xs(r.name, level="dataset")
        value = table[first.name].iloc[0]
        if not np.isnan(value):
            leaders.append(f"{table.index[0]} leads on {r.name} with {_text(value)}")
    return text + (f" {'; '.join(leaders[:4])}." if leaders else "")


def _datasets(comparison: Any) -> pd.DataFrame:
    """The data sets, without the columns that say nothing, so that the table fits into a page."""
    table = comparison.datasets.reset_index()
    ends = zip(table.pop("shortest"), table.pop("longest"), strict=True)
    table.insert(2, "length", [str(a) if a == b else f"{a} to {b}" for a, b in ends])
    usual = {"channels": 1, "missing": 0, "unscored": 0}
    return table.drop(
        columns=[name for name, value in usual.items() if (table[name] == value).all()]
    )


def _section(comparison: Any, name: str) -> dict[str, Any]:
    """Leaderboard and pictures of one data set."""
    from seqkit.plotting import comparison as pictures

    table = comparison.leaderboard.xs(name, level="dataset").reset_index()
    measures = {metric.name: metric for metric in comparison.metrics}
    result = comparison._result(name)
    figures = [_figure(lambda: pictures.leaderboard(comparison, dataset=name).figure, 30)]
    if result.summary["horizon"] > 1:
        figures.append(
            _figure(lambda: pictures.horizon_scores(comparison, dataset=name).figure, 34)
        )
    examples = None
    if any(example.forecasts for example in result.examples):
        examples = _figure(lambda: pictures.forecast_windows(comparison, dataset=name), 40)
    leads = {
        metric.name: {m for m, best in zip(comparison.models, leading, strict=True) if best}
        for metric in comparison.metrics
        for leading in [comparison._leads(result, metric)]
    }
    board = _table(table, measures, leads)
    many = len(comparison.models) > pictures.SHOWN
    return {
        "name": name,
        "board": board,
        "figures": figures,
        "examples": examples,
        "full": len(comparison.models) >= pictures.SHOWN,  # fewer would be enlarged
        "under": "the leading three models" if many else "each model",
    }


def _overall(comparison: Any) -> dict[str, Any] | None:
    if len(comparison.results) < 2:
        return None
    return _table(comparison.overall.reset_index(), {})


def _ranks(comparison: Any) -> dict[str, Any] | None:
    """The critical-difference diagram, where there are enough cases for one."""
    from seqkit.plotting import comparison as pictures

    try:
        ranks = comparison.ranks()
    except ValueError as reason:
        return {"figure": None, "text": f"No test of ranks: {reason}"}
    figure = _figure(lambda: pictures.critical_difference(ranks).figure, 34)
    groups = "; ".join(", ".join(group) for group in ranks.groups)
    text = (
        f"Mean ranks by {ranks.metric} over {ranks.cases} cases (series, windows averaged). "
        f"Friedman chi-squared {ranks.statistic:.3f}, p {ranks.p_value:.3g}. Models whose mean "
        f"ranks lie less than the critical difference {ranks.critical_difference:.3f} apart are "
        f"joined (Nemenyi, alpha {ranks.alpha:g}): {groups or 'none'}."
    )
    return {"figure": figure, "text": text}


def _failures(comparison: Any) -> dict[str, Any] | None:
    shown = 200  # a model that fails on every series of a large panel needs no larger page
    if not len(comparison.failures):
        return None
    table = _table(comparison.failures.head(shown), {})
    table["hidden"] = max(len(comparison.failures) - shown, 0)
    return table


def _settings(comparison: Any) -> dict[str, str]:
    names = [f"{m.name} ({m.orientation})" for m in comparison.metrics]
    chosen = {"metrics": ", ".join(names), "refit": str(comparison.settings.get("refit"))}
    for name, splits in comparison.settings.get("splits", {}).items():
        chosen[f"windows of {name}"] = splits
    return chosen


# ---------------------------------------------------------------- tables


def _table(
    frame: pd.DataFrame, measures: dict[str, Metric], leads: dict[str, set[str]] | None = None
) -> dict[str, Any]:
    """Cells with the text to show and the number to sort by; ``leads``: the models to mark."""
    rows: list[list[dict[str, Any]]] = [[] for _ in range(len(frame))]
    for column in frame.columns:
        values = frame[column]
        numeric = pd.api.types.is_numeric_dtype(values.dtype)
        best = (leads or {}).get(column, set())
        models = frame["model"] if best else values
        for row, value, model in zip(rows, values, models, strict=True):
            cell: dict[str, Any] = {"text": _text(value) if numeric else str(value)}
            cell["sort"] = f"{float(value):.17g}" if numeric and not pd.isna(value) else None
            cell["numeric"] = numeric
            cell["best"] = bool(best) and model in best
            row.append(cell)
    heads = [
        {"text": str(c).replace("_", " "), "hint": measures[c].orientation if c in measures else ""}
        for c in frame.columns
    ]
    return {"heads": heads, "rows": rows}


def _text(value: Any) -> str:
    if pd.isna(value):
        return "-"
    if isinstance(value, (int, np.integer)):
        return str(value)
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


# ---------------------------------------------------------------- pictures


def _figure(draw: Callable[[], Any], width: int) -> dict[str, Any]:
    """Inline SVG; ``width`` is the least width in rem at which its text can be read."""
    return {"svg": svg(draw()), "width": width}


def svg(figure: Any) -> str:
    """A figure as SVG to stand inside a page: text as text, ink in the colour of the page, no
    header, no metadata, and identifiers that differ from those of other pictures."""
    from hashlib import sha256

    from markupsafe import Markup
    from matplotlib import rc_context

    from seqkit.plotting.style import INK

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "seqkit"}):
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)  # HTML knows both
    text = text.replace("xlink:href", "href")
    text = re.sub(INK, "currentColor", text, flags=re.IGNORECASE)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 sans-serif", text)
    mark = "f" + sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', text)
    text = re.sub(r'href="#', f'href="#{mark}-', text)
    text = re.sub(r"url\(#", f"url(#{mark}-", text)
    return Markup(text)  # our own drawing; matplotlib escapes the names in it
