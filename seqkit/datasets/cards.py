"""Cards: one small TOML file per dataset, beside its data."""

from __future__ import annotations

import difflib
import os
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

_PACKAGED = Path(__file__).resolve().parent / "files"
_CHECKOUT = Path(__file__).resolve().parents[2] / "datasets"

KINDS = ("series", "frame", "panel", "classification", "tokens", "pairs", "music", "text")


@dataclass(frozen=True)
class Result:
    """A published score: what method reached which value of which metric, and who says so."""

    method: str
    metric: str
    value: float
    setting: str
    source: str


@dataclass(frozen=True)
class Remote:
    """One file at the public source.

    ``part`` is the name the reader knows it by, ``member`` the path inside it where it is a zip
    archive, ``store`` where it lies in the cache. Without a ``sha256`` the digest of the parsed
    contents is the only check.
    """

    part: str
    url: str
    store: str
    sha256: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a dataset, and where and how it is read.

    ``frequency`` is a pandas alias, or empty where time is only an order. ``season`` is the period
    m of MASE, in steps. ``sizes`` cuts a dataset into train, (validation,) test counted from its
    start; without it the last ``horizon`` values are the test part. ``digest`` is the SHA-256 of
    the parsed contents (`seqkit.datasets.content.digest`), the same by every road.
    """

    name: str
    title: str
    description: str
    kind: str
    frequency: str
    season: int
    n_series: int
    length: str
    source: str
    licence: str
    split: str
    metric: str
    digest: str
    reader: str
    files: Mapping[str, str] = field(hash=False)
    folder: Path
    horizon: int | None = None
    sizes: tuple[int, ...] = ()
    reference: str = ""
    notes: str = ""
    aliases: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    public: tuple[Remote, ...] = ()
    public_reader: str = ""
    public_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def shipped(self) -> bool:
        """Whether the data lie beside the card, so that no network is needed."""
        return all((self.folder / file).is_file() for file in self.files.values())

    def __str__(self) -> str:
        def row(label: str, value: object) -> str:
            return _fill(f"{label:<12}{value}", " " * 12)

        lines = [f"{self.name}: {self.title}", "", _fill(self.description), ""]
        lines += [row("kind", self.kind), row("series", f"{self.n_series} (length {self.length})")]
        if self.kind in ("series", "frame", "panel"):
            lines += [row("frequency", self.frequency or "none (order only)")]
            lines += [row("season", self.season)]
            lines += [row("horizon", "none" if self.horizon is None else self.horizon)]
        lines += [row("split", self.split), row("metric", self.metric)]
        lines += [row("source", self.source), row("licence", self.licence)]
        for label in ("reference", "notes"):
            if text := getattr(self, label):
                lines.append(row(label, text))
        if self.aliases:
            lines.append(row("aliases", ", ".join(self.aliases)))
        lines.append(row("data", _whereabouts(self)))
        if self.results:
            lines += ["", "published results", *_scores(self.results)]
        return "\n".join(lines)


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 92, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _scores(results: Sequence[Result]) -> Iterator[str]:
    """Scores as a table for each setting: a row per method, a column per metric."""
    wide = max(len(text) for one in results for text in (one.method, one.setting))
    for setting in dict.fromkeys(one.setting for one in results):
        here = [one for one in results if one.setting == setting]
        metrics = list(dict.fromkeys(one.metric for one in here))
        columns = "".join(f"  {metric:>9}" for metric in metrics)
        yield f"  {setting:<{wide}}{columns}"
        for method in dict.fromkeys(one.method for one in here):
            values = {one.metric: f"{one.value:g}" for one in here if one.method == method}
            cells = (f"  {values.get(metric, ''):>{max(9, len(metric))}}" for metric in metrics)
            yield f"  {method:<{wide}}{''.join(cells)}".rstrip()
    for cited in dict.fromkeys(one.source for one in results):
        yield _fill(f"  from {cited}", " " * 7)


def _whereabouts(card: Card) -> str:
    if card.shipped:
        return "shipped with seqkit"
    if not card.public:
        return f"read from SEQKIT_DATA only ({', '.join(card.files.values())})"
    urls = dict.fromkeys(remote.url for remote in card.public)
    more = f" and {len(urls) - 1} more" if len(urls) > 1 else ""
    return f"SEQKIT_DATA ({', '.join(card.files.values())}), or {next(iter(urls))}{more}"


def folder() -> Path:
    """The folder of shipped cards and data: in the wheel, or at the top of a source checkout."""
    for place in (_PACKAGED, _CHECKOUT):
        if (place / "airline.toml").is_file():
            return place
    raise FileNotFoundError(
        f"seqkit's own data were found neither in {_PACKAGED} nor in {_CHECKOUT}; "
        "reinstall seqkit, or run it from a complete checkout"
    )


def data_folder() -> Path | None:
    """The folder that the environment variable SEQKIT_DATA names, or None where it is unset.

    Raises
    ------
    NotADirectoryError
        If the variable is set to something that is not a folder.
    """
    named = os.environ.get("SEQKIT_DATA", "")
    if not named:
        return None
    place = Path(named).expanduser()
    if not place.is_dir():
        raise NotADirectoryError(
            f"SEQKIT_DATA is set to {named!r}, which is not a folder; "
            "set it to the folder that holds the data files, or unset it"
        )
    return place


def all_cards() -> Iterator[Card]:
    """Every card, by name; cards in the SEQKIT_DATA folder are read as well."""
    seen: set[str] = set()
    for path in sorted(_paths(), key=lambda path: path.stem):
        if path.stem not in seen:
            seen.add(path.stem)
            yield read_card(path)


def _paths() -> list[Path]:
    extra = data_folder()
    return [*folder().glob("*.toml"), *(extra.glob("*.toml") if extra else ())]


def find_card(name: str) -> Card:
    """The card of that name or alias.

    Raises
    ------
    TypeError
        If ``name`` is not a string.
    ValueError
        If there is no such dataset; the message lists the nearest names.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'airline', got {type(name).__name__}")
    for path in _paths():
        if path.stem == name:
            return read_card(path)
    known: list[str] = []
    for card in all_cards():
        if name in card.aliases:
            return card
        known += [card.name, *card.aliases]
    near = [one for one in known if len(name) > 1 and name in one][:4]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
    near += [one for one in close if one not in near]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see seqkit.datasets.list()"
    raise ValueError(f"no dataset {name!r}; {hint}")


def read_card(path: Path) -> Card:
    """Read one card.

    Raises
    ------
    ValueError
        If the file is not TOML, lacks a field, or has one that is not known.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"card {path} is not valid TOML: {error}") from error
    read = dict(raw.pop("read", {}))
    public = dict(raw.pop("public", {}))
    raw["reader"] = read.pop("reader", None)
    raw["files"] = read.pop("files", None)
    raw["options"] = read
    raw["results"] = tuple(Result(**one) for one in raw.pop("result", ()))
    raw["sizes"] = tuple(raw.get("sizes", ()))
    raw["aliases"] = tuple(raw.get("aliases", ()))
    name = str(raw.get("name", path.stem))
    raw["public"] = tuple(_remote(one, name) for one in public.pop("file", ()))
    raw["public_reader"] = public.pop("reader", raw["reader"])
    raw["public_options"] = public
    raw["folder"] = path.parent
    _check(path, raw)
    return Card(**raw)


def _remote(raw: Mapping[str, str], name: str) -> Remote:
    store = raw.get("store", f"{name}/{raw['url'].rsplit('/', 1)[-1]}")
    return Remote(**{"part": "data", **raw, "store": store})


def _check(path: Path, raw: Mapping[str, Any]) -> None:
    allowed = {one.name for one in fields(Card)}
    missing = sorted(one for one in _REQUIRED if raw.get(one) is None)
    unknown = sorted(set(raw) - allowed)
    if missing or unknown:
        problems = [f"lacks {', '.join(missing)}"] if missing else []
        problems += [f"has unknown {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"card {path} {' and '.join(problems)}; compare with airline.toml")
    if raw["name"] != path.stem:
        raise ValueError(f"card {path} names {raw['name']!r}; the name must be the file's stem")
    if raw["kind"] not in KINDS:
        raise ValueError(f"card {path} has kind {raw['kind']!r}; expected one of {KINDS}")


_REQUIRED = {
    "name", "title", "description", "kind", "frequency", "season", "n_series", "length",
    "source", "licence", "split", "metric", "digest", "reader", "files",
}  # fmt: skip
