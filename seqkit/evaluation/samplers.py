"""Which configuration comes next: every one of a grid, random ones, or those that look promising.

A sampler is asked for batches of trials by number and told how they went. What it answers depends on the seed, the
numbers and the batches before only, so a search that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from seqkit.evaluation.space import Code, Space
from seqkit.evaluation.trials import Trial

FRESH = 10  # times a configuration is asked for until it is one that was not tried yet


class Listed:
    """Configurations in an order that is known before the first trial."""

    def __init__(self, codes: list[dict[str, Code]]):
        self.codes = codes

    def ask(self, numbers: Sequence[int]) -> list[dict[str, Code]]:
        return [self.codes[number] for number in numbers]

    def tell(self, trials: Sequence[Trial], badness: Any) -> None:
        """Nothing is learnt from how trials went."""


class Bayes:
    """Tree-structured Parzen estimator of Optuna (Bergstra et al. 2011, NeurIPS; Akiba et al. 2019, KDD).

    Where the scores of past trials are split into the good and the rest, with densities l and g of the parameters,
    the next trial is the draw from l with the largest l(x) / g(x). All parameters are modelled jointly.
    """

    def __init__(self, space: Space, seed: int, startup: int):
        import optuna

        self.space, self.seed, self.startup = space, seed, startup
        self.ranges = {name: r.distribution() for name, r in space.ranges.items()}
        with _quiet():
            self.study = optuna.create_study(direction="minimize")
        self._open: list[Any] = []
        self._seen: set[tuple[Code, ...]] = set()

    def ask(self, numbers: Sequence[int]) -> list[dict[str, Code]]:
        self._open = [self._fresh(number) for number in numbers]
        return [dict(trial.params) for trial in self._open]

    def _fresh(self, number: int) -> Any:
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        for attempt in range(FRESH):
            seed = np.random.SeedSequence([self.seed, number, attempt]).generate_state(1)
            with _quiet():
                self.study.sampler = TPESampler(
                    seed=int(seed[0]),
                    n_startup_trials=self.startup,
                    multivariate=True,
                    constant_liar=True,
                )
                trial = self.study.ask(self.ranges)
                key = tuple(trial.params[name] for name in self.ranges)
                if key not in self._seen or attempt == FRESH - 1:
                    break
                self.study.tell(trial, state=TrialState.FAIL)
        self._seen.add(key)
        return trial

    def tell(self, trials: Sequence[Trial], badness: Any) -> None:
        from optuna.trial import TrialState, create_trial

        for asked, trial in zip(self._open, trials, strict=True):
            # one that failed ranks as stopped before its first fold: left out, its region would be tried again
            known = [] if trial.state == "failed" else [badness(v) for v in trial.running]
            whole = trial.state == "complete"
            value = badness(trial.score) if whole else None
            state = TrialState.COMPLETE if whole else TrialState.PRUNED
            with _quiet():
                if asked.params == trial.codes:
                    for fold, running in enumerate(known):
                        asked.report(running, fold)
                    self.study.tell(asked, value, state=state)
                    continue
                # from a file that another version of Optuna filled: what was tried counts
                self.study.tell(asked, state=TrialState.FAIL)
                self._seen.add(tuple(trial.codes[name] for name in self.ranges))
                self.study.add_trial(
                    create_trial(
                        params=trial.codes,
                        distributions=self.ranges,
                        intermediate_values=dict(enumerate(known)),
                        value=value,
                        state=state,
                    )
                )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes on every study and its warnings that options are experimental."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def sampler(method: str, space: Space, trials: int | None, seed: int) -> tuple[Any, int]:
    """The sampler of a method, and the number of trials there will be."""
    if method not in ("grid", "random", "bayes"):
        raise ValueError(f"method is {method!r}; pass 'grid', 'random' or 'bayes'.")
    if trials is not None and (
        isinstance(trials, bool) or not isinstance(trials, int) or trials < 1
    ):
        raise ValueError(f"trials is {trials!r}; pass a whole number, 1 or more.")
    if method == "grid":
        codes = list(space.grid())
        if trials is not None and trials < len(codes):
            raise ValueError(
                f"the grid has {len(codes)} combinations and trials is {trials}; leave trials out, "
                "or use method='random', which draws that many of them."
            )
        return Listed(codes), len(codes)
    count = 20 if trials is None else trials
    if space.size is not None:
        count = min(count, space.size)
    if method == "random":
        return Listed(list(islice(space.draws(seed), count))), count
    return Bayes(space, seed, min(10, 3 + 2 * len(space.ranges))), count
