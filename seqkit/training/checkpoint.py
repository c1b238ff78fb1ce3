"""A training run on disk, from which it goes on exactly.

The folder holds ``run.json``, which says what the settings were and how far the run is, and the safetensors file
that it names. The tensors are written first under a new name and the JSON then replaces the old one in one go: a
run that is killed at any moment leaves either the old state or the new one, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .failures import named_tensors

VERSION = 1
SHARE = 0.1  # of the time, at most, goes into writing


class Checkpoint:
    """The folder of one run.

    Parameters
    ----------
    path : the folder; made where there is none.
    settings : what the run depends on, as JSON; a run with others is not continued.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any]):
        self.path, self.settings = Path(path), json.loads(json.dumps(settings))
        self._due = 0.0
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"checkpoint must be a folder, but {self.path} is a file")

    def load(self) -> dict[str, Any] | None:
        """The last state that was saved, or None where there is none.

        Raises ValueError where the run in the folder had other settings, or is damaged.
        """
        if not (self.path / "run.json").exists():
            return None
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            document = json.loads((self.path / "run.json").read_text())
            version, settings = document["version"], document["settings"]
            tensors = load_file(self.path / document["tensors"]) if version == VERSION else {}
        except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise ValueError(
                f"the checkpoint in {self.path} cannot be read ({error}); remove the folder to start anew"
            ) from error
        if version != VERSION:
            raise ValueError(
                f"the checkpoint in {self.path} has version {version!r}, this seqkit reads {VERSION}; "
                "use the seqkit that wrote it, or remove the folder to start anew"
            )
        self._compare(settings)
        return _unpack(document["state"], tensors)

    def _compare(self, settings: dict[str, Any]) -> None:
        other = [
            f"{name}: {settings.get(name)} there, {self.settings.get(name)} now"
            for name in sorted(settings | self.settings)
            if settings.get(name) != self.settings.get(name)
        ]
        if other:
            raise ValueError(
                f"the run in {self.path} was begun with other settings ({'; '.join(other)}); "
                "go on with those, choose another folder, or remove this one to start anew"
            )

    def save(self, state: dict[str, Any], step: int, *, now: bool = False) -> None:
        """Write a state; unless ``now``, only when enough time has passed since the last one was written."""
        if not now and time.monotonic() < self._due:
            return
        start = time.monotonic()
        self._write(state, step)
        self._due = time.monotonic() + (time.monotonic() - start) / SHARE

    def _write(self, state: dict[str, Any], step: int) -> None:
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        tree = _pack(state, tensors, "state")
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"step-{step}-{time.time_ns()}.safetensors"
        save_file(tensors, self.path / name)
        _to_disk(self.path / name)
        document = {"version": VERSION, "settings": self.settings, "tensors": name, "state": tree}
        draft = self.path / "run.json.new"
        draft.write_text(json.dumps(document, indent=1))
        _to_disk(draft)
        draft.replace(self.path / "run.json")
        for old in self.path.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _pack(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """`value` as a JSON tree; tensors are moved into `tensors` under their path in the tree."""
    if isinstance(value, Tensor):
        # a copy of its own: tied weights share memory, which safetensors refuses
        tensors[path] = value.detach().cpu().clone().contiguous()
        return {"$tensor": path}
    if isinstance(value, (list, tuple)):
        return [_pack(v, tensors, f"{path}.{i}") for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {"$dict": [[k, _pack(v, tensors, f"{path}.{k}")] for k, v in value.items()]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot save {path}: a {type(value).__name__} has no pickle-free form")


def _unpack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unpack(v, tensors) for v in tree]
    if isinstance(tree, dict):
        if "$tensor" in tree:
            return tensors[tree["$tensor"]]
        return {k: _unpack(v, tensors) for k, v in tree["$dict"]}
    return tree


def fingerprint(data: Any, numbers: Any, device: Any) -> str:
    """A digest of some examples, by which a run on other data is told from this one."""
    digest = hashlib.sha256()
    batch = data.batch(torch.from_numpy(numbers % len(data)).to(device))
    for name, values in named_tensors(batch):
        digest.update(name.encode())
        digest.update(
            values.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
