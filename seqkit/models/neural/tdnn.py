"""The time-delay neural network as a forecaster."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from .base import NeuralForecaster

if TYPE_CHECKING:
    import torch

    from seqkit.tasks.forecasting import Layout


@dataclasses.dataclass(eq=False, repr=False)
class TDNN(NeuralForecaster):
    r"""A feed-forward network on lags: y_{t+1}, .., y_{t+h} ~ head(f(y_t, .., y_{t-L+1})).

    With z = (y - m) / s, m and s the level and the scale of the window, and b a seasonal naive forecast of z, the head
    gets the numbers b + V f(z) + c, of which V and c start at zero.

    Parameters
    ----------
    lags : L, rows of the past that are seen; None for two seasons or two horizons, at least 16, as far as the data
        reach. Series of a panel that are shorter than lags + horizon are padded with their first row.
    horizon : h, steps forecast at once; None for a season of at most 48 steps, or 8, and a fifth of the data at most.
        `predict` may ask for fewer or more: more are sampled, block after block of h steps; so 1 is recursive
        forecasting. Inputs of the rest of a block, where they are not given, stay as the last ones.
    head : what comes out: a law to be fitted (``seqkit.Normal()``, the default, ``seqkit.StudentT()``,
        ``seqkit.NegativeBinomial()``, ``seqkit.Quantiles(levels)``), or a loss, ``nn.Squared()``, ``nn.Huber()``,
        ``nn.Absolute()``, whose law has a spread learnt from what the network misses by.
    hidden : widths of the hidden layers; () is linear: an autoregression.
    activation, dropout, norm, residual : see `seqkit.nn.FeedForward`; residual blocks normalise by layer unless `norm`
        says otherwise.
    dilations : None looks at the window as one vector. Numbers, one per hidden layer, build causal convolutions of
        three steps each, so far apart (see `seqkit.nn.TimeDelay`), which must reach over the lags.
    seasonal : period, or periods, of the baseline: the average of the naive forecasts of one season ago. None for the
        calendar's own, 1 for the last value. Laws of what is never negative, such as counts, have no baseline.
    normalise : how m and s are taken: "last" value, mean of the last "season", "mean" of the window, each with the
        window's mean absolute deviation; "standard" deviation; "size" for counts; None for none; "auto".
    weighting : whether windows count "equal" or by their "scale", which measures errors in one unit for all: good with
        ``scale=seqkit.Log()``, whose unit is the same everywhere.
    calendar : fields of the date that help, e.g. ("hour", "weekday").
    channels : "each" is a series of its own, all sharing the network; "joint" makes them one vector.
    panel : "global", one network for all series, or one for "each".
    balance : 0 draws windows alike, -1 series alike, between them in proportion to count^balance.
    ensemble : networks, with seeds that follow each other; the median of point forecasts, the mixture of laws.
    draws : sampled paths of forecasts beyond h.
    epochs, steps, batch_size, lr, clip, patience, device : settings of the training; None for those of `trainer`. With
        `patience` (evaluations without progress: one an epoch, or twenty in all) the last windows of every series are
        held out, and the spread of a loss is learnt there. Where nothing says how long to train and windows are few, a
        first network that does not see the last ones tells for how long, and how wide the law is.
    seed : the same seed gives the same network.
    trainer : ``seqkit.training.Trainer``, for everything else.
    scale : a scaling of the series, such as ``seqkit.Log()``.

    Raises ValueError for a series that is shorter than its window, and for hyper-parameters that are not possible.
    Source: Lapedes, Farber (1987); Waibel et al. (1989).

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(200) / 3.0)
    >>> model = TDNN(lags=6, horizon=3, hidden=(8,), steps=300, lr=0.01).fit(y)
    >>> error = model.predict(3).mean.to_numpy() - np.sin(np.arange(200, 203) / 3.0)
    >>> bool(np.abs(error).max() < 0.1)
    True
    """

    lags: int | None = None
    horizon: int | None = None
    head: Any = None
    hidden: tuple[int, ...] = (128, 128)
    activation: str = "relu"
    residual: bool = True
    dropout: float = 0.0
    norm: Literal["batch", "layer"] | None = None
    dilations: tuple[int, ...] | None = None

    def _past(self) -> int | None:
        if self.lags is None and self.dilations is not None:
            return 1 + 2 * sum(self.dilations)
        return self.lags

    def _core(self, layout: Layout) -> tuple[torch.nn.Module, bool]:
        from seqkit.nn import FeedForward, TimeDelay

        options: dict[str, Any] = {
            "activation": self.activation,
            "dropout": self.dropout,
            "norm": self.norm,
            "residual": self.residual,
        }
        if self.dilations is not None:
            core = TimeDelay(layout.per_step, self.hidden, dilations=self.dilations, **options)
            if layout.lags > core.receptive_field:
                raise ValueError(
                    f"lags is {layout.lags}, but layers with dilations {self.dilations} see only the last "
                    f"{core.receptive_field} rows; lower lags, or use larger dilations, such as 1, 2, 4, ..."
                )
            return core, False
        width = layout.lags * layout.per_step + layout.beside
        return FeedForward(width, self.hidden, None, **options), True
