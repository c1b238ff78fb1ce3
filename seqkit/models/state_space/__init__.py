"""Linear dynamical systems: what the Kalman filter runs on, how their matrices are learnt, and tracking."""
