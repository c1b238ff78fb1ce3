"""The work of `seqkit datasets`."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from seqkit import datasets
from seqkit.cli.problems import as_usage


def run(name: str, as_json: bool) -> None:
    """Print the table of all datasets, or the card of one."""
    if name:
        with as_usage():
            card = datasets.card(name)
        print(json.dumps(_fields(card), indent=1) if as_json else card)
        return
    table = datasets.list()
    if as_json:
        print(table.to_json(orient="records", indent=1))
        return
    from seqkit.cli import show

    table = table.assign(shipped=table["shipped"].map({True: "yes", False: ""}))
    out = show.console()
    show.frame(table, out, f"{len(table)} datasets")
    out.print(
        "`seqkit datasets NAME` shows a card; what is not shipped is fetched when it is first used.",
        style="dim",
    )


def _fields(card: datasets.Card) -> dict[str, Any]:
    """What the card says, without where its files lie."""
    hidden = ("folder", "reader", "options", "public", "public_reader", "public_options")
    known = {
        f.name: getattr(card, f.name) for f in dataclasses.fields(card) if f.name not in hidden
    }
    known["results"] = [dataclasses.asdict(result) for result in card.results]
    return {
        **known,
        "files": dict(card.files),
        "shipped": card.shipped,
        "urls": [one.url for one in card.public],
    }
