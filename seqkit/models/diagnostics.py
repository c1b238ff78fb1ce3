"""Information criteria, residual diagnostics and the printed summary of models with a likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqkit.data.sequences import Array


def information(name: str, log_likelihood: Any, parameters: Any, rows: int) -> Any:
    """-2 log L + c k: c is 2 (Akaike 1974), log n (Schwarz 1978) or 2 log log n (Hannan & Quinn 1979)."""
    weight = {"aic": 2.0, "bic": np.log(rows), "hqic": 2 * np.log(np.log(rows))}[name]
    return -2 * log_likelihood + weight * parameters


def ljung_box(residuals: Array, lags: int = 10, *, fitted: int = 0) -> pd.DataFrame:
    """Q_h = n (n + 2) sum_{j <= h} r_j^2 / (n - j), chi-squared with h - fitted degrees of freedom (Ljung & Box 1978).

    Parameters
    ----------
    residuals : (n,), complete.
    lags : the largest h.
    fitted : number of autoregressive coefficients; rows with h <= fitted have no p-value.
    """
    from scipy.special import chdtrc

    n = len(residuals)
    if not 1 <= lags < n:
        raise ValueError(f"lags must be between 1 and {n - 1}, got {lags}")
    centred = residuals - residuals.mean()
    total = centred @ centred
    r = np.array(
        [centred[j:] @ centred[:-j] / total if total > 0 else 0.0 for j in range(1, lags + 1)]
    )
    h = np.arange(1, lags + 1)
    statistic = n * (n + 2) * np.cumsum(r**2 / (n - h))
    freedom = h - fitted
    p_value = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), np.nan)
    return pd.DataFrame({"statistic": statistic, "p_value": p_value}, index=pd.Index(h, name="lag"))


def coefficient_table(coef: pd.Series, errors: pd.Series) -> pd.DataFrame:
    """Estimate, standard error, z, two-sided p-value and 95 % interval by term."""
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = coef / errors
    table = pd.DataFrame({"coef": coef, "std err": errors, "z": z, "P>|z|": 2 * ndtr(-np.abs(z))})
    table["[0.025"] = coef - 1.959963984540054 * errors
    table["0.975]"] = coef + 1.959963984540054 * errors
    return table


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3e}"


def summary_text(
    title: str,
    facts: list[tuple[str, str]],
    equations: dict[str, tuple[Any, Any]],
    roots: Array,
    box: Any,
) -> str:
    """The printed summary: facts in two columns, one table per equation, roots, Ljung-Box."""
    blocks = []
    for name, (coef, errors) in equations.items():
        table = coefficient_table(coef, errors)
        text = table.to_string(formatters={"P>|z|": "{:.3f}".format}, float_format=_short)
        blocks.append((f"equation {name}\n" if name else "") + text)
    width = max(len(line) for block in blocks for line in block.splitlines())
    width = max(width, 64)
    half = width // 2
    lines = [title.center(width).rstrip(), "=" * width]
    for left, right in zip(facts[::2], [*facts[1::2], ("", "")], strict=False):
        cells = [f"{label}:".ljust(17) + value if label else "" for label, value in (left, right)]
        lines.append((cells[0].ljust(half) + cells[1]).rstrip())
    lines += ["-" * width, ("\n" + "-" * width + "\n").join(blocks), "-" * width]
    if len(roots):
        shown = ", ".join(f"{abs(r):.3f}" for r in roots[:8]) + (", ..." if len(roots) > 8 else "")
        lines.append(f"moduli of the roots (stationary if all > 1): {shown}")
    if box is not None:
        known = box.dropna()
        row = (known if len(known) else box).iloc[-1]
        p = f"p = {row.p_value:.3f}" if np.isfinite(row.p_value) else "no degrees of freedom left"
        lines.append(f"Ljung-Box Q({row.name}) = {row.statistic:.2f}, {p}")
    lines.append("=" * width)
    return "\n".join(lines)
