"""What only a new process can tell: peaks of memory, and the first fit after the start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hidden_markov_programs import (  # before NumPy: it sets the number of threads
    Categorical,
    Gaussian,
    fitted,
    ours,
)

# isort: split
import numpy as np

COLD = """
import time; start = time.perf_counter()
import numpy as np, seqkit
x = np.random.default_rng(0).normal(size=(500, 1)) + np.repeat([0, 4], 250)[:, None]
seqkit.HMM(3, emission={emission}, max_iter=20).fit({data})
print(time.perf_counter() - start)
"""


FITS = {
    "Normal()": ("seqkit.Normal()", "x"),
    'Normal("full"), 4 channels': (
        'seqkit.Normal(covariance="full")',
        "np.tile(x, (1, 4)) + np.random.default_rng(1).normal(size=(500, 4))",
    ),
    "Poisson()": ("seqkit.Poisson()", "np.exp(np.clip(x, -2, 4)).astype(int).astype(float)"),
    "Categorical()": ("seqkit.Categorical()", "np.clip(x, 0, 4).astype(int)"),
}


def first_fits() -> Iterator[tuple[str, float, float]]:
    """Seconds of a process that fits once: with nothing compiled yet, and with all in the cache."""
    for name, (emission, data) in FITS.items():
        script, times = COLD.format(emission=emission, data=data), []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(3):
                start = time.perf_counter()
                run_python(["-c", script], {"NUMBA_CACHE_DIR": folder})
                times.append(time.perf_counter() - start)
        yield name, times[0], min(times[1:])


def run_python(arguments: list[str], extra: dict[str, str] | None = None) -> str:
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path} | (extra or {})
    run = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(run.stderr[-2_000:])
    return run.stdout


def child(name: str, *arguments: object) -> dict:
    """What `CHILDREN[name]` measures in a process of its own."""
    given = [str(Path(__file__).resolve()), name, *map(str, arguments)]
    return json.loads(run_python(given).splitlines()[-1])


@contextmanager
def peak(found: dict) -> Iterator[None]:
    """Seconds, and by how many bytes the highest use of memory rises over the present one."""
    before, start = memory("VmRSS"), time.perf_counter()
    yield
    found["seconds"] = time.perf_counter() - start
    found["extra"] = max(0, memory("VmHWM") - before)


def memory(name: str) -> int:
    """Bytes of this process: "VmRSS" now, "VmHWM" at its highest; Linux alone says so."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def child_words(size: int, symbols: int, length: int, operation: str) -> dict:
    small = Categorical.random(size, 50, 1_000)
    ours(small)[operation]()
    case = Categorical.random(size, symbols, length)
    found = {"input": case.X.nbytes}
    task = ours(case)[operation]
    with peak(found):
        task()
    return found


def child_long(length: int, short: int, operation: str) -> dict:
    case = Gaussian.random(4, 1, short)
    model = fitted(case)
    run = getattr(model, operation)
    run(case.X)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npy"
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import numpy as np\n"
            f"from hidden_markov_programs import Gaussian\n"
            f"np.save({str(file)!r}, Gaussian.random(4, 1, {length}).X)"
        )
        run_python(["-c", script])
        X = np.load(file)
    found: dict = {"input": X.nbytes}
    with peak(found):
        value = run(X)
    if operation == "log_likelihood":
        starts = rng.choice(length // short, min(30, length // short), replace=False) * short
        blocks = [float(model.log_likelihood(X[i : i + short])) / short for i in starts]
        found |= {"value": float(value), "blocks": float(np.mean(blocks))}
        found["error"] = float(np.std(blocks))
    return found


CHILDREN = {"words": child_words, "long": child_long}


if __name__ == "__main__":
    chosen, *given = sys.argv[1:]
    print(json.dumps(CHILDREN[chosen](*(int(x) if x.isdigit() else x for x in given))))
