"""Pictures, one function each. matplotlib is imported when the first one is drawn."""

from .chains import plot_transitions, plot_trellis
from .comparison import critical_difference, forecast_windows, horizon_scores, leaderboard
from .forecast import forecast
from .hidden import plot_durations, plot_emissions, plot_state_series
from .innovations import plot_innovations
from .states import plot_components, plot_gain, plot_states

__all__ = [
    "critical_difference", "forecast", "forecast_windows", "horizon_scores", "leaderboard", "plot_components",
    "plot_durations", "plot_emissions", "plot_gain", "plot_innovations", "plot_state_series", "plot_states",
    "plot_transitions", "plot_trellis",
]  # fmt: skip
