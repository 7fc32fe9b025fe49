"""How a dataset.yaml says where nothing was measured: what the images say themselves, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.drafting.contents import Kind
from data_pipelines.own_data.messages import some
from data_pipelines.own_data.nodata import tags_of
from data_pipelines.own_data.values import can_be

MASKED = "# Masks (or alpha) say where nothing was measured in some images; labels don't count there."


def nodata_lines(kinds: Sequence[Kind], found: Sequence[Mapping[str, Path]]) -> list[str]:
    """Lines of nodata, by the images' own word.

    Args:
      kinds: what the images hold, and each further band's files.
      found: name -> path of these files.
    """
    return [*([MASKED] if any(kind.masked for kind in kinds) else []), *_tagged(kinds, found)]


def _tagged(kinds, found):
    """What the tags say; where the files differ, that each one's word counts for itself."""
    told = [tags_of(list(files.values())) for files in found]
    values = {repr(value): value for tags in told for value in tags if value is not None}
    if not values:
        nan = any(kind.nan for kind in kinds)
        return ["nodata: .nan  # NaN is there: where all bands are that, nothing was measured"] if nan else []
    if len(values) > 1 or not all(can_be(value, kind.dtype) for value in values.values() for kind in kinds):
        listed = ", ".join(map(_number, values.values()))
        return [f"# nodata: none for all, as the files' own tags say {listed}; each counts for its file"]
    (value,) = values.values()
    count = sum(len(paths) for tags in told for tag, paths in tags.items() if tag is not None)
    without = [Path(path).name for tags in told for path in tags.get(None, [])]
    odd = f", but not of {len(without)} ({some(without)})" if without else ""
    hint = f"# by the tags of {count} files{odd}: where all bands are this, nothing was measured"
    return [f"nodata: {_number(value)}  {hint}"]


def _number(value):
    """As YAML writes it."""
    if math.isnan(value):
        return ".nan"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
