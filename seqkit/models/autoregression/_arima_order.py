"""The order of a seasonal ARIMA model and its lag polynomials, on bare arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Order:
    """(p, d, q)(P, D, Q)_m, with or without a constant mu."""

    p: int
    d: int
    q: int
    P: int = 0
    D: int = 0
    Q: int = 0
    m: int = 1
    constant: bool = False

    @property
    def name(self) -> str:
        """E.g. ``"ARIMA(0,1,1)(0,1,1)[12]"``."""
        text = f"ARIMA({self.p},{self.d},{self.q})"
        if self.m > 1 and (self.P or self.D or self.Q):
            text += f"({self.P},{self.D},{self.Q})[{self.m}]"
        return text + (" with constant" if self.constant else "")

    @property
    def lost(self) -> int:
        """Rows used up by differencing."""
        return self.d + self.m * self.D

    @property
    def size(self) -> int:
        """Free parameters with the variance."""
        return self.p + self.q + self.P + self.Q + self.constant + 1

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        """Parameter vector to phi, theta, Phi, Theta, mu."""
        a = self.p
        b = a + self.q
        c = b + self.P
        d = c + self.Q
        return x[:a], x[a:b], x[b:c], x[c:d], float(x[d]) if self.constant else 0.0


def difference(y: np.ndarray, order: Order) -> np.ndarray:
    """(1 - B)^d (1 - B^m)^D y, shape (T - order.lost,).

    >>> difference(np.array([1.0, 2.0, 4.0]), Order(0, 1, 0))
    array([1., 2.])
    """
    for _ in range(order.D):
        y = y[order.m :] - y[: -order.m]
    for _ in range(order.d):
        y = np.diff(y)
    return y


def seasonal(coefficients: np.ndarray, m: int, sign: float) -> np.ndarray:
    """1 + sign c_1 B^m + sign c_2 B^2m + ... as an array of lag weights."""
    out = np.zeros(len(coefficients) * m + 1)
    out[0] = 1.0
    out[m::m] = sign * coefficients
    return out


def polynomials(order: Order, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Full lag weights: phi(B) Phi(B^m) and theta(B) Theta(B^m), each starting with 1."""
    phi, theta, Phi, Theta, _ = order.split(x)
    ar = np.convolve(np.r_[1.0, -phi], seasonal(Phi, order.m, -1.0))
    ma = np.convolve(np.r_[1.0, theta], seasonal(Theta, order.m, 1.0))
    return ar, ma


def admissible(order: Order, x: np.ndarray) -> bool:
    """Stationary and invertible: all roots outside the unit circle, by the step-down recursion."""
    phi, theta, Phi, Theta, _ = order.split(x)
    return all(
        _stable(c) for c in ((-phi).tolist(), theta.tolist(), (-Phi).tolist(), Theta.tolist())
    )


def _stable(c: list[float]) -> bool:
    """Whether 1 + c_1 B + ... has its roots outside the unit circle (Schur 1917; Durbin-Levinson)."""
    while c:
        k = c[-1]
        if not abs(k) < 1.0 - 1e-9:
            return False
        head = c[:-1]
        c = [(u - k * v) / (1.0 - k * k) for u, v in zip(head, head[::-1], strict=True)]
    return True


def least_root(order: Order, x: np.ndarray) -> float:
    """Smallest modulus of the roots of the four polynomials; infinite if there are none."""
    phi, theta, Phi, Theta, _ = order.split(x)
    largest = 0.0
    for weights in (-phi, theta, -Phi, Theta):
        if np.any(weights):
            # Roots of the reversed polynomial are the inverses: no overflow for tiny coefficients.
            largest = max(largest, float(np.max(np.abs(np.roots(np.r_[1.0, weights])))))
    return 1.0 / largest if largest > 0.0 else np.inf


def trend_of(order: Order, length: int, start: int = 0) -> np.ndarray:
    """The trend that differencing turns into the constant one, for rows start, start + 1, ...

    (1 - B^m) t = m and (1 - B) t = 1; without differencing it is the constant itself.
    """
    if order.d + order.D == 0:
        return np.ones(length)
    return (start + 1.0 + np.arange(length)) / order.m**order.D
