"""Manifests of prepared records: what SPLIT.json says, checked before anything of it is believed."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from data_pipelines.inside import is_inside
from data_pipelines.spec import DataError, DatasetSpec

FORMAT = 2
SHARD = ".tfrecord"


def read_manifest(path: str | Path, data: bytes | None = None) -> dict[str, Any]:
    """Content of SPLIT.json: {"format", "dataset", "spec", "shards": a list of `records.Shard`, and more}.

    Args:
      path: of the file.
      data: its bytes, where they were read already.

    Raises:
      DataError: the file is no manifest.
    """
    try:
        manifest = json.loads((Path(path).read_bytes() if data is None else data).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}; delete it and prepare again") from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise DataError(f"{path} is no manifest of prepared records: delete it and prepare again")
    if manifest["format"] != FORMAT:
        raise DataError(
            f"{path} is of records in format {manifest['format']!r:.60}, and this version reads format {FORMAT} alone: "
            f"delete {os.path.dirname(path)} and prepare again"
        )
    return checked(path, manifest)


def checked(path: str | Path, manifest: Any) -> dict[str, Any]:
    """`manifest`, from JSON of the file `path`, where it is one, and names no file outside of its folder.

    Raises:
      DataError: it is none.
    """
    try:
        source, spec, shards = manifest["dataset"], manifest["spec"], manifest["shards"]
        sound = all(isinstance(part, dict) for part in (source, source["options"], spec))
        sound = sound and isinstance(spec["mean"], list) and {"nodata", "name"} <= spec.keys() and "name" in source
        sound = sound and isinstance(shards, list) and all(map(_is_shard, shards))
        pseudo = manifest.get("pseudo", [])
        sound = sound and isinstance(pseudo, list) and all(isinstance(name, str) for name in pseudo)
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise DataError(f"{path} is damaged: it doesn't say what was prepared; delete it and prepare again")
    return manifest


def described(name: str, options: Mapping[str, Any], spec: DatasetSpec) -> dict[str, Any]:
    """What a manifest says of the data set `name` with `options`, whose spec is `spec`: {"dataset", "spec"}."""
    content = {"dataset": {"name": name, "options": options}, "spec": dataclasses.asdict(spec)}
    return json.loads(json.dumps(content, default=lambda value: value.item()))


def description_in(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says as of `described`; of earlier versions, with what they did where they say nothing of it."""
    spec = manifest["spec"]
    usual = {field.name: field.default for field in dataclasses.fields(DatasetSpec) if field.name not in spec}
    if spec["nodata"] is not None and len(spec["mean"]) > 1:
        usual["nodata_rule"] = "any"
    if manifest["dataset"]["name"] == "folders":
        usual["nodata_tags"] = "none"
    return json.loads(json.dumps({"dataset": manifest["dataset"], "spec": {**usual, **spec}}, default=repr))


def spec_in(folder: str | Path, description: Mapping[str, Any]) -> DatasetSpec:
    """The `DatasetSpec` that a `description_in` a manifest of `folder` holds. Raises `DataError` where it is none."""
    try:
        return DatasetSpec(**{key: _tuples(value) for key, value in description["spec"].items()})
    except (TypeError, ValueError):
        raise DataError(f"the manifests in {folder} are damaged: delete them and prepare again") from None


def difference(was: Any, now: Any, key: str = "") -> str:
    """ "KEY was A and is B" for the first of what differs between two values as from JSON; empty where nothing does."""
    if isinstance(was, dict) and isinstance(now, dict):
        inner = (difference(was.get(name), now.get(name), name) for name in {**was, **now})
        return next(filter(None, inner), "")
    same = was == now or repr(was) == repr(now)  # as text, NaN is itself
    return "" if same else f"{key} was {_short(was)} and is {_short(now)}"


def without_counts(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description, or what else has its "spec", without how many samples the splits have."""
    return {**description, "spec": {key: value for key, value in description["spec"].items() if key != "splits"}}


def _is_shard(shard):
    file, records = shard["file"], shard["records"]
    plain = is_inside(file) and PurePath(file).name == file and file.endswith(SHARD)
    return plain and _is_count(shard["bytes"]) and isinstance(records, list) and all(map(_is_entry, records))


def _is_entry(entry):
    """As of `records.entry`."""
    if not isinstance(entry, list) or len(entry) != 6:
        return False
    name, length, crc, window, class_id, content = entry
    numbers = [length, crc, 0 if class_id is None else class_id]
    placed = window is None or isinstance(window, list) and len(window) == 4 and all(map(_is_whole, window))
    return is_inside(name) and all(map(_is_count, numbers)) and placed and isinstance(content, str)


def _is_count(value):
    return _is_whole(value) and value >= 0


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
