"""A network in several formats, and a table of what each takes."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.memory import cores
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_file, write_json
from did_tf.common.text import percent
from did_tf.inference.export import Export, ExportFailed, write
from did_tf.inference.formats import Format
from did_tf.inference.gate import Gate

CALLS = 6
"""With one image, of which the median time is told: the first is slow."""
TABLE = "formats"
"""Name of the files of the table, .json and .md."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of a format.

    Attributes:
      form: the format.
      result: what was written; None where it was refused.
      refused: why.
    """

    form: Format
    result: Export | None = None
    refused: str = ""


def write_all(
    forms: Sequence[Format], gate: Gate, folder: str | Path, card: Callable[[Format, Export], str], split: str = ""
) -> list[Row]:
    """Writes a network in several formats, each to a folder of its own in `folder`, and a table of them beside.

    One that is refused does not stop the others; a line on stderr says why.

    Args:
      forms: the formats.
      gate: what each must pass, of the network.
      folder: of their folders, named `Format.folder`.
      card: makes the text of a format's MODEL_CARD.md.
      split: that scores are measured on, for people; not told where nothing is scored.

    Raises:
      OSError: the table can't be written.
    """
    folder, rows = Path(folder), []
    for form in forms:
        rows.append(_row(form, gate, folder / form.folder, card))
        _tell(rows[-1])
    split = "" if math.isnan(gate.score) else split
    write_json(folder / f"{TABLE}.json", _report(rows, gate, split))
    write_file(folder / f"{TABLE}.md", _markdown(rows, gate, split).encode())
    return rows


def told(form: Format, result: Export) -> str:
    """A line on what was written."""
    line = f"{result.path}: {result.bytes / 1e6:.1f} MB, within {result.difference:.1g} of the model's probabilities"
    return line if form.exact else f"{line}, {percent(result.labels)} % of the labels are others"


def _tell(row):
    if row.result:
        print(told(row.form, row.result))
    else:
        print(f"refused: {row.form.folder}: {row.refused}", file=sys.stderr)


def table(rows: Sequence[Row], gate: Gate) -> list[list[str]]:
    """Cells of a table of formats, headings first and the checkpoint next."""
    score = "mIoU, %" if gate.network.segments else "accuracy, %"
    heads = ["format", "MB", score, "ms per image", "memory, MB", "probabilities within", "other labels, %"]
    return [heads, ["checkpoint", "", _score(gate.score), *[""] * 4], *map(_cells, rows)]


def _row(form, gate, path, card):
    try:
        form.check_packages()
        return Row(form, write(form, gate, path, functools.partial(card, form), CALLS))
    except (ConfigError, ExportFailed) as error:
        return Row(form, refused=str(error))


def _cells(row):
    if row.result is None:
        return [row.form.folder, "refused", *[""] * 5]
    result = row.result
    return [
        row.form.folder,
        f"{result.bytes / 1e6:.1f}",
        _score(result.score),
        _number(result.milliseconds),
        _number(result.memory / 1e6),
        f"{result.difference:.1g}",
        percent(result.labels),
    ]


def _report(rows, gate, split):
    height, width = gate.image.shape[1:3]
    return {
        "weights": _weights(gate),
        "split": split,
        "checkpoint": {"score": _known(gate.score)},
        "score": "miou" if gate.network.segments else "accuracy",
        "image": [height, width],
        "machine": {"processor": processor.name(), "cores": cores()},
        "formats": [_entry(row) for row in rows],
    }


def _entry(row):
    entry: dict[str, Any] = {"format": row.form.name, "precision": row.form.precision, "refused": row.refused or None}
    if row.result is None:
        return entry
    figures = {key: _known(value) for key, value in row.result._asdict().items() if key != "path"}
    return {**entry, "folder": row.form.folder, **figures}


def _markdown(rows, gate, split):
    head, *rest = (f"| {' | '.join(row)} |\n" for row in table(rows, gate))
    of = f"\nOf the weights with digest {_weights(gate)}, scored on {split or 'nothing'}.\n"
    why = [f"\n{row.form.folder} was refused: {row.refused}\n" for row in rows if row.refused]
    return "".join([head, "|---" * head.count(" | "), "|---|\n", *rest, of, *why])


def _weights(gate):
    """Digest of those of the checkpoint; None where nothing says it."""
    return gate.network.identity.get("weights", {}).get("digest")


def _known(value):
    return None if isinstance(value, float) and math.isnan(value) else value


def _score(fraction):
    return "not measured" if math.isnan(fraction) else percent(fraction)


def _number(value):
    return "-" if math.isnan(value) else f"{value:.0f}"
