"""seqkit against hmmlearn on the same parameters: likelihood, posteriors, path, one EM step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hidden_markov_programs import (  # before NumPy: it sets the number of threads
    Array,
    Categorical,
    Gaussian,
    draw_states,
    fitted,
    sticky,
)

# isort: split
import numpy as np

import seqkit


def close(name: str, mine: object, theirs: object, tolerance: float = 1e-9) -> tuple[str, bool]:
    """Largest difference, relative to one or to the element if that is larger."""
    mine, theirs = np.asarray(mine, float), np.asarray(theirs, float)
    if mine.shape != theirs.shape:
        mine = mine.reshape(theirs.shape)
    error = float((np.abs(mine - theirs) / np.maximum(1, np.abs(theirs))).max())
    if not error <= tolerance:
        print(f"{name:<60} differs by {error:.1e}  MISSED")
    return name, error <= tolerance


def check(name: str, model: seqkit.HMM, family: object, peer, X: Array, parts: Callable) -> list:
    """Log-likelihood, posteriors, path, and one EM step over three sequences of unequal length."""
    cuts = [0, len(X) // 5, len(X) // 2, len(X)]
    pieces = [X[i:j] for i, j in pairwise(cuts)]
    lengths = [len(piece) for piece in pieces]
    _, path = peer.decode(X)
    rows = [
        close(f"{name}: log-likelihood", model.log_likelihood(X), peer.score(X)),
        close(f"{name}: posteriors", model.decode_proba(X), peer.predict_proba(X)),
        close(f"{name}: Viterbi", np.asarray(model.decode(X)).astype(float), path),
    ]
    learnt = seqkit.HMM(peer.n_components, emission=family, start=model, max_iter=1).fit(pieces)
    peer.fit(X, lengths)
    rows += [
        close(f"{name}: EM, initial", learnt.initial_, peer.startprob_),
        close(f"{name}: EM, transition", learnt.transition_, peer.transmat_),
    ]
    rows += [close(f"{name}: EM, {part}", a, b) for part, (a, b) in parts(learnt, peer).items()]
    worst = [row for row in rows if not row[1]]
    print(f"{name}: {len(rows)} comparisons, {len(worst)} beyond 1e-9", flush=True)
    return rows


def exact_gaussian(length: int) -> list[tuple[str, bool]]:
    rows = []
    for covariance in ("spherical", "diag", "full", "tied"):
        case = Gaussian.random(3, 2, length, covariance)

        def parts(learnt, peer, covariance=covariance):
            law = learnt.emission_
            spread = law.cov if covariance in ("full", "tied") else law.var
            return {"mean": (law.mean, peer.means_), covariance: (spread, peer._covars_)}

        for name in ("scaling", "log"):
            rows += check(f"Gaussian {covariance} ({name})", fitted(case), case.family(),
                          case.hmmlearn(name), case.X, parts)  # fmt: skip
    return rows


def exact_categorical(length: int) -> list[tuple[str, bool]]:
    case = Categorical.random(4, 12, length)

    def parts(learnt, peer):
        return {"probabilities": (learnt.emission_.probabilities, peer.emissionprob_)}

    return check(
        "Categorical", fitted(case), case.family(), case.hmmlearn("scaling"), case.X, parts
    )


def chain_of(size: int, length: int) -> tuple[np.random.Generator, Array, Array, Array]:
    rng = np.random.default_rng(size)
    initial, transition = sticky(rng, size)
    return rng, initial, transition, draw_states(initial, transition, length, rng)


def exact_poisson(length: int) -> list[tuple[str, bool]]:
    from hmmlearn.hmm import PoissonHMM

    rng, initial, transition, states = chain_of(3, length)
    rate = np.array([[2.0, 30.0], [9.0, 12.0], [20.0, 3.0]])
    X = rng.poisson(rate[states])
    peer = PoissonHMM(3, n_iter=1, init_params="", implementation="scaling")
    peer.startprob_, peer.transmat_, peer.lambdas_ = initial, transition, rate
    model = seqkit.HMM.from_params(
        initial=initial, transition=transition, emission=seqkit.Poisson(rate)
    )

    def parts(learnt, peer):
        return {"rate": (learnt.emission_.rate, peer.lambdas_)}

    return check("Poisson", model, seqkit.Poisson(), peer, X, parts)


def exact_multinomial(length: int) -> list[tuple[str, bool]]:
    from hmmlearn.hmm import MultinomialHMM

    rng, initial, transition, states = chain_of(3, length)
    p = rng.dirichlet(np.ones(5), 3)
    X = np.array([rng.multinomial(7, p[state]) for state in states])
    peer = MultinomialHMM(3, n_trials=7, n_iter=1, init_params="", implementation="scaling")
    peer.startprob_, peer.transmat_, peer.emissionprob_ = initial, transition, p
    model = seqkit.HMM.from_params(
        initial=initial, transition=transition, emission=seqkit.Multinomial(p)
    )

    def parts(learnt, peer):
        return {"probabilities": (learnt.emission_.probabilities, peer.emissionprob_)}

    return check("Multinomial", model, seqkit.Multinomial(), peer, X, parts)


def exact_mixture(length: int) -> list[tuple[str, bool]]:
    """hmmlearn takes new covariances about the old means: what that adds is taken off again."""
    from hmmlearn.hmm import GMMHMM

    rows = []
    for covariance in ("spherical", "diag", "full", "tied"):
        rng, initial, transition, states = chain_of(3, length)
        weights = rng.dirichlet(np.full(2, 5.0), 3)
        mean = 3 * rng.normal(size=(3, 2, 2))
        full = np.array([0.8, 1.1, 1.4])[:, None, None, None] * (np.eye(2) + 0.3)
        full = np.repeat(full, 2, axis=1)
        diagonal = np.diagonal(full, axis1=2, axis2=3)
        spread = {"spherical": diagonal[..., 0], "diag": diagonal, "full": full,
                  "tied": full[:, 0]}[covariance]  # fmt: skip
        components = (rng.random(length) < weights[states, 1]).astype(int)
        X = mean[states, components] + rng.normal(size=(length, 2))
        peer = GMMHMM(3, 2, covariance_type=covariance, n_iter=1, init_params="",
                      implementation="scaling")  # fmt: skip
        peer.startprob_, peer.transmat_, peer.weights_ = initial, transition, weights
        peer.means_, peer.covars_ = mean, spread
        key = "cov" if covariance in ("full", "tied") else "var"
        law = seqkit.GaussianMixture(2, weights, mean, **{key: spread}, covariance=covariance)
        model = seqkit.HMM.from_params(initial=initial, transition=transition, emission=law)

        def parts(learnt, peer, covariance=covariance, mean=mean, key=key):
            found, moved = learnt.emission_, peer.means_ - mean
            excess = {
                "spherical": np.square(moved).mean(axis=2), "diag": np.square(moved),
                "full": moved[..., None] * moved[..., None, :],
                "tied": np.einsum("km,kmi,kmj->kij", peer.weights_, moved, moved),
            }[covariance]  # fmt: skip
            mine = getattr(found, key)
            mine = mine[..., 0] if covariance == "spherical" and mine.ndim == 3 else mine
            return {"weights": (found.weights, peer.weights_), "mean": (found.mean, peer.means_),
                    covariance: (mine, peer.covars_ - excess)}  # fmt: skip

        family = seqkit.GaussianMixture(2, covariance=covariance, floor=0.0)
        rows += check(f"Gaussian mixture {covariance}", model, family, peer, X, parts)
    return rows


FAMILIES = (exact_gaussian, exact_categorical, exact_poisson, exact_multinomial, exact_mixture)


def exact_families(length: int) -> list[tuple[str, bool]]:
    """Every family and covariance type of hmmlearn, at `length` steps."""
    return [row for compare in FAMILIES for row in compare(length)]
