"""The walls between the rooms, and what importing loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import seqkit

ROOT = Path(seqkit.__file__).parent
FOUNDATION = {"persistence", "_lazy"}
ALLOWED = {  # room: the rooms of seqkit that it may import
    "_lazy": set(),
    "persistence": set(),
    "kernels": set(),
    "distributions": FOUNDATION | {"kernels"},
    "data": FOUNDATION | {"distributions"},
    "forecast": FOUNDATION | {"data", "distributions", "plotting"},
    "base": FOUNDATION | {"data", "distributions", "forecast"},
    "nn": FOUNDATION | {"distributions", "kernels"},
    "tasks": FOUNDATION | {"nn", "distributions", "kernels"},
    "training": FOUNDATION | {"base", "plotting"},
    "models": FOUNDATION
    | {"base", "data", "distributions", "kernels", "nn", "plotting", "tasks", "training"},
    "datasets": FOUNDATION,
    "plotting": FOUNDATION | {"data", "forecast"},
    "evaluation": FOUNDATION | {"base", "data", "distributions", "forecast", "kernels", "plotting"},
    "cli": None,  # the outside: it may use all
}

FAMILIES = {  # room of models: the other rooms of models that it may import
    "autoregression": {"diagnostics", "local", "state_space"},
    "smoothing": {"local"},
    "state_space": {"diagnostics", "given"},
    "structural": {"autoregression", "diagnostics", "local", "state_space"},
    "markov": {"given"},
    "neural": {"gradient"},
    "sequence_networks": {"gradient", "markov"},
    "baselines": {"local"},
    "conformal": set(),
    "diagnostics": set(),
    "given": set(),
    "gradient": set(),
    "local": set(),
    "__init__": set(),
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> list[list[str]]:
    """The names within seqkit that a file imports, in their parts, those for type checkers alone left out."""
    tree = ast.parse(path.read_text())
    checked = [
        n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]
    hidden = {id(inner) for outer in checked for inner in ast.walk(outer)}
    package = list(path.relative_to(ROOT).parts[:-1])
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        names: list[list[str]] = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["seqkit", *package][: len(package) + 2 - node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        found += [n[1:] for n in names if n[0] == "seqkit" and len(n) > 1]
    return found


FILES = [p for p in sorted(ROOT.rglob("*.py")) if room(p) not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(ROOT)) for p in FILES])
def test_arrows_go_one_way(path):
    allowed = ALLOWED[room(path)]
    if allowed is not None:
        assert {name[0] for name in imports(path)} - {room(path)} <= allowed


MODELS = [p for p in FILES if room(p) == "models"]


@pytest.mark.parametrize("path", MODELS, ids=[str(p.relative_to(ROOT)) for p in MODELS])
def test_families_know_few_others(path):
    family = path.relative_to(ROOT / "models").parts[0].removesuffix(".py")
    others = {name[1] for name in imports(path) if name[0] == "models"}
    assert others - {family} <= FAMILIES[family]


def loaded_by(code: str) -> set[str]:
    """Top-level packages in memory after running `code` in a new process."""
    script = f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


HEAVY = {"torch", "statsmodels", "sklearn", "matplotlib", "optuna"}


def test_import_is_light():
    loaded = loaded_by("import seqkit")
    assert not loaded & (HEAVY | {"numpy", "pandas", "scipy", "numba"})


def test_an_autoregression_loads_only_numpy_and_pandas():
    loaded = loaded_by(
        "import pandas as pd\nfrom seqkit import AR\n"
        "AR(2).fit(pd.Series([1.0, 3, 2, 5, 4, 6, 5, 8])).predict(3).to_frame()"
    )
    assert not loaded & (HEAVY | {"scipy", "numba", "joblib", "tqdm", "requests"})


def test_without_torch_it_is_said_what_to_install():
    script = (
        "import sys; sys.modules['torch'] = None\nimport seqkit\n"
        "model = seqkit.LSTMForecaster(window=4, horizon=2, hidden=4)\n"
        "try: model.fit([1.0, 2.0, 3.0] * 10)\nexcept ModuleNotFoundError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'seqkit[torch]'" in run.stdout


def test_every_public_name_exists():
    for name in seqkit.__all__:
        assert getattr(seqkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        seqkit.nonsense  # noqa: B018


def test_no_pickle_and_no_global_random_state_in_the_package():
    for path in FILES:
        text = path.read_text()
        assert "import pickle" not in text, path
        for banned in ("np.random.seed", "np.random.normal", "np.random.rand", "random.seed("):
            assert banned not in text, (path, banned)
