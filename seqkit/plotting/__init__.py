"""Pictures, one function each. matplotlib is imported when the first one is drawn."""

from .alignment import alignment
from .chains import plot_transitions, plot_trellis
from .comparison import critical_difference, forecast_windows, horizon_scores, leaderboard
from .forecast import forecast
from .hidden import plot_durations, plot_emissions, plot_state_series
from .innovations import plot_innovations
from .recurrent import gates, gradient_flow, hidden_states
from .selection import plot_learning_curve, plot_search, plot_validation_curve
from .smoothing import decomposition
from .states import plot_components, plot_gain, plot_states
from .training import plot_history

__all__ = [
    "alignment", "critical_difference", "decomposition", "forecast", "forecast_windows", "gates",
    "gradient_flow", "hidden_states", "horizon_scores", "leaderboard", "plot_components",
    "plot_durations", "plot_emissions", "plot_gain", "plot_history", "plot_innovations", "plot_learning_curve",
    "plot_search", "plot_state_series", "plot_states", "plot_transitions", "plot_trellis", "plot_validation_curve",
]  # fmt: skip
