"""Level, trend, season, cycle and regression as components of one state-space model."""
