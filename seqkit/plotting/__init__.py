"""Pictures, one function each. matplotlib is imported when the first one is drawn."""

from .comparison import critical_difference, forecast_windows, horizon_scores, leaderboard
from .forecast import forecast
from .innovations import plot_innovations
from .states import plot_components, plot_gain, plot_states

__all__ = [
    "critical_difference", "forecast", "forecast_windows", "horizon_scores", "leaderboard", "plot_components",
    "plot_gain", "plot_innovations", "plot_states",
]  # fmt: skip
