"""The first rules of learning: what one unit can learn, what it cannot, and how many mistakes it may make."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from seqkit import nn

ROWS = np.array(list(product([0, 1], repeat=2)))


@pytest.mark.parametrize("truth", [np.all, np.any])
def test_a_perceptron_learns_and_and_or(truth):
    y = truth(ROWS, axis=1).astype(int)
    unit = nn.Perceptron().fit(ROWS, y)
    assert unit.predict(ROWS).tolist() == y.tolist()
    assert unit.separable_ is True and unit.history_[-1] == 0
    hebbian = nn.Hebbian().fit(2 * ROWS - 1, y)  # right for inputs of -1 and 1
    assert hebbian.predict(2 * ROWS - 1).tolist() == y.tolist()


def test_no_perceptron_learns_xor_but_two_layers_are_xor():
    y = ROWS.sum(1) % 2
    with pytest.warns(UserWarning, match="no line separates the classes"):
        unit = nn.Perceptron().fit(ROWS, y)
    assert unit.separable_ is False and unit.history_.min() > 0
    assert (unit.predict(ROWS) != y).any()
    assert nn.exclusive_or(ROWS).tolist() == y.tolist()
    with pytest.warns(UserWarning, match="raise max_passes"):
        assert nn.Perceptron(max_passes=1).fit(ROWS, y).separable_ is None


def test_mistakes_of_a_perceptron_stay_below_the_bound_of_novikoff():
    rng = np.random.default_rng(0)
    X, direction = rng.normal(size=(300, 3)), np.array([1.0, -2.0, 0.5, 0.3])
    rows = np.column_stack([np.ones(300), X])
    margin = rows @ direction / np.linalg.norm(direction)
    X, rows, margin = X[abs(margin) > 0.2], rows[abs(margin) > 0.2], margin[abs(margin) > 0.2]
    unit = nn.Perceptron(rate=0.1).fit(X, np.where(margin > 0, "up", "down"))
    assert (unit.predict(X) == np.where(margin > 0, "up", "down")).all()
    assert unit.history_.sum() <= (np.linalg.norm(rows, axis=1).max() / abs(margin).min()) ** 2
    with pytest.raises(ValueError, match="two classes"):
        nn.Perceptron().fit(X, np.zeros(len(X)))
