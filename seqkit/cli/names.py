"""Models by short names: `naive2`, `ar:order=12`, `ets:trend=damped`, `conformal:ar:scale=log+diff`.

A name, then parameters of the model's constructor, between colons. Values are Python literals or
plain words; lists need brackets and, in a shell, quotes: `'ar:order=[1,2,12]'`.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqkit.cli.problems import UsageProblem, unknown

if TYPE_CHECKING:
    from seqkit.base import Forecaster
    from seqkit.data.scaling import Scaling

Recipe = Callable[[int | None], "Forecaster"]  # of the season, None for the calendar's


def _plain(name: str) -> Recipe:
    def make(season: int | None) -> Forecaster:
        import seqkit

        return getattr(seqkit, name)()

    return make


def _seasonal(name: str) -> Recipe:
    def make(season: int | None) -> Forecaster:
        import seqkit

        return getattr(seqkit, name)(season=season)

    return make


def _structural(season: int | None) -> Forecaster:
    """A local linear trend and, where there is one, a season; both stochastic (Harvey 1989)."""
    import seqkit

    trend = seqkit.LocalLinearTrend()
    return trend if season == 1 else trend + seqkit.Seasonal(season)


def _lds(season: int | None) -> Forecaster:
    import seqkit

    return seqkit.LDS(2, method="mle", scale=seqkit.Standard())


def _arma(season: int | None) -> Forecaster:
    import seqkit

    return seqkit.ARMA(1, 1)


def _hmm(season: int | None) -> Forecaster:
    """Two regimes, each with a level of its own, of the changes of the series."""
    import seqkit

    return seqkit.HMM(2, tol=1e-6, scale=seqkit.Difference())


def _switching_ar(season: int | None) -> Forecaster:
    """Two regimes, each an autoregression of its own (Hamilton 1989)."""
    import seqkit

    return seqkit.HMM(2, seqkit.LinearAutoregression(2), tol=1e-6, scale=seqkit.Standard())


def _tdnn(season: int | None) -> Forecaster:
    """A network on lags that finds out by itself how long to train (Lapedes & Farber 1987)."""
    import seqkit

    return seqkit.TDNN(seasonal=season)


def _lstm(season: int | None) -> Forecaster:
    """Learnt memory over patches of a window (Hochreiter & Schmidhuber 1997)."""
    import seqkit

    return seqkit.LSTMForecaster(seasonal=season)


def _gru(season: int | None) -> Forecaster:
    """The same with gated recurrent units (Cho et al. 2014)."""
    import seqkit

    return seqkit.GRUForecaster(seasonal=season)


def _esrnn(season: int | None) -> Forecaster:
    """Exponential smoothing and a dilated LSTM, learnt together (Smyl 2020)."""
    import seqkit

    return seqkit.ESRNN(seasonal=season)


MODELS: dict[str, Recipe] = {
    "naive": _plain("Naive"),
    "snaive": _seasonal("SeasonalNaive"),
    "naive2": _seasonal("Naive2"),
    "drift": _plain("Drift"),
    "mean": _plain("Mean"),
    "theta": _seasonal("Theta"),
    "ets": _seasonal("ETS"),
    "ar": _plain("AR"),
    "var": _plain("VAR"),
    "auto_arima": _seasonal("AutoARIMA"),
    "arma": _arma,
    "level": _plain("LocalLevel"),
    "trend": _plain("LocalLinearTrend"),
    "structural": _structural,
    "lds": _lds,
    "hmm": _hmm,
    "switching_ar": _switching_ar,
    "tdnn": _tdnn,
    "lstm": _lstm,
    "gru": _gru,
    "esrnn": _esrnn,
}
WRAPPER = "conformal"
# Quick ones. The first is the base of relative scores; ar:scale=diff is AR on differences.
DEFAULT_MODELS = (
    "naive2,snaive,drift,mean,theta,ets,ar,ar:scale=diff,level,structural,lds,hmm,switching_ar,tdnn"
)
KNOWN_MODELS = f"{', '.join(MODELS)}, and {WRAPPER}: before any of them"


def split_list(text: str) -> list[str]:
    """Parts between commas that stand outside of brackets.

    >>> split_list("naive2,ar:order=[1,12], ets")
    ['naive2', 'ar:order=[1,12]', 'ets']
    """
    parts = re.split(r",(?![^(\[]*[)\]])", text)
    return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True)
class Spec:
    """What a text such as `conformal:ar:order=12` asks for; `label` is the text itself."""

    label: str
    name: str
    parameters: dict[str, Any]
    wrapped: bool

    def build(self, season: int | None) -> Forecaster:
        """A new, unfitted model.

        Raises UsageProblem for a parameter that the model does not have.
        """
        model = MODELS[self.name](season)
        own = {k: v for k, v in self.parameters.items() if k in model.get_params(deep=False)}
        rest = {k: v for k, v in self.parameters.items() if k not in own}
        model.set_params(**own)
        if self.wrapped:
            import seqkit

            outer = [name for name in seqkit.Conformal._names() if name not in ("model", "scale")]
            wrapper = {k: rest.pop(k) for k in outer if k in rest}
            model = seqkit.Conformal(model, **wrapper)
        if rest:
            has = [
                *MODELS[self.name](None).get_params(deep=False),
                *(outer if self.wrapped else ()),
            ]
            raise unknown("parameter", next(iter(rest)), has, f"the model {self.name}")
        return model

    def check(self) -> None:
        """Refuse parameters that do not exist or cannot have their value, before any data are read.

        Models check values when they are fitted, so a short series is fitted; what they say of
        that series itself (too short, say) is no matter.
        """
        model = self.build(None)
        if not self.parameters:
            return
        long = [k for k, v in model.get_params().items() if k.endswith("steps") and v is None]
        model.set_params(**dict.fromkeys(long, 1))  # networks need not be trained to be refused
        import numpy as np

        t = np.arange(40.0)
        trial = np.stack([10 + np.sin(t) + t / 50, 10 + np.cos(1.7 * t)], axis=1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(trial if self.name == "var" else trial[:, 0]).predict(1)
        except TypeError as error:
            given = ", ".join(f"{name} {value!r}" for name, value in self.parameters.items())
            raise UsageProblem(f"{self.label}: not a possible value: {given} ({error})") from error
        except Exception as error:
            names = "|".join(map(re.escape, self.parameters))
            if re.match(rf"({names}) (must|is)\b", str(error)):
                raise UsageProblem(f"{self.label}: {error}") from error


def parse_model(text: str) -> Spec:
    """One model.

    >>> parse_model("conformal:ar:order=12").parameters
    {'order': 12}
    """
    first, *rest = (part.strip() for part in text.split(":"))
    wrapped = first.lower() == WRAPPER
    if wrapped:
        if not rest or "=" in rest[0]:
            raise UsageProblem(f"{text!r} does not say around which model; write {WRAPPER}:ar")
        first, *rest = rest
    name = first.lower().replace("-", "_")
    if name not in MODELS:
        raise unknown("model", first, [*MODELS, *(() if wrapped else (f"{WRAPPER}:MODEL",))])
    parameters = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise UsageProblem(
                f"{part!r} in the model {text!r} is not a parameter; write {name}:parameter=value"
            )
        parameters[key.strip()] = (
            _scaling(value) if key.strip() == "scale" else _value(value.strip())
        )
    return Spec(text, name, parameters, wrapped)


def parse_models(text: str) -> list[Spec]:
    """Several models, by commas.

    Raises UsageProblem where a name or parameter is not known, one is there twice, or none at all.
    """
    specs = [parse_model(part) for part in split_list(text)]
    if not specs:
        raise UsageProblem(f"--models is empty; name some of {KNOWN_MODELS}")
    labels = [spec.label for spec in specs]
    for spec in specs:
        if labels.count(spec.label) > 1:
            raise UsageProblem(f"--models names {spec.label!r} twice; leave one out")
        spec.check()
    return specs


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _scaling(text: str) -> Scaling:
    """`log+diff12` as Chain(Log(), Difference(12)).

    >>> _scaling("log+diff12")
    Chain(Log(), Difference(12))
    """
    from seqkit.data import scaling

    known: dict[str, Callable[[], Scaling]] = {
        "identity": scaling.Identity,
        "log": scaling.Log,
        "boxcox": scaling.BoxCox,
        "standard": scaling.Standard,
        "meanabs": scaling.MeanAbs,
        "diff": scaling.Difference,
    }
    steps: list[Scaling] = []
    for word in text.lower().split("+"):
        if lag := re.fullmatch(r"diff([1-9]\d*)", word.strip()):
            steps.append(scaling.Difference(int(lag[1])))
        elif word.strip() in known:
            steps.append(known[word.strip()]())
        else:
            raise unknown("scale", word.strip(), [*known, "diff12 (or another lag)"])
    return steps[0] if len(steps) == 1 else scaling.Chain(*steps)
