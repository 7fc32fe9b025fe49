"""How a dataset.yaml says where nothing was measured: what the images say themselves, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.drafting.contents import Kind
from data_pipelines.own_data.messages import some
from data_pipelines.own_data.nodata import tags_of
from data_pipelines.own_data.values import can_be

MASKED = "masks (or alpha) say where nothing was measured in some images: labels don't count there"
VOID = "where all bands are that, nothing was measured"


def nodata_lines(kinds: Sequence[Kind], found: Sequence[Mapping[str, Path]]) -> tuple[list[str], list[str]]:
    """(lines of nodata, by the images' own word; what is to be told of them).

    Args:
      kinds: what the images hold, and each further band's files.
      found: name -> path of these files.
    """
    value, told = _tagged(kinds, found)
    told = [*([MASKED] if any(kind.masked for kind in kinds) else []), *told]
    told += [_of_edge(kind.edge) for kind in kinds if kind.edge is not None and value is None]
    return [*(f"# {line}" for line in told), *([f"nodata: {_number(value)}"] if value is not None else [])], told


def _tagged(kinds, found):
    """(nodata by the files' tags or None, what they say): where files differ, each one's word counts for itself."""
    told = [tags_of(list(files.values())) for files in found]
    values = {repr(value): value for tags in told for value in tags if value is not None}
    if not values:
        return (math.nan, [f"nodata is NaN, which is there: {VOID}"]) if any(kind.nan for kind in kinds) else (None, [])
    if len(values) > 1 or not all(can_be(value, kind.dtype) for value in values.values() for kind in kinds):
        listed = ", ".join(map(_number, values.values()))
        return None, [f"no nodata for all, as the files' own tags say {listed}: each counts for its file"]
    (value,) = values.values()
    count = sum(len(paths) for tags in told for tag, paths in tags.items() if tag is not None)
    without = [Path(path).name for tags in told for path in tags.get(None, [])]
    odd = f", but not of {len(without)} ({some(without)})" if without else ""
    return value, [f"nodata is {_number(value)} by the tags of {count} files{odd}: {VOID}"]


def _of_edge(value):
    number = _number(value)
    return (
        f"some images are {number} in all bands along their edges: if nothing was measured there, say nodata: {number}"
    )


def _number(value):
    """As YAML writes it."""
    if math.isnan(value):
        return ".nan"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
