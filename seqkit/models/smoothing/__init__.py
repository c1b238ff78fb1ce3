"""Exponential smoothing: ETS and Theta."""
