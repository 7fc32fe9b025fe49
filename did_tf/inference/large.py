"""Images that are larger than memory: labelled in strips of rows, of which those that are done outlast the process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines.memory import free_memory
from data_pipelines.spec import IGNORE, DataError, DatasetSpec
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.common.readout import readout_of
from did_tf.inference import outputs
from did_tf.inference.confidence import MEASURES, sureness
from did_tf.inference.folder import RESULTS, Predictions
from did_tf.inference.inputs import Input
from did_tf.inference.memory import IN_TILES, Need, Size
from did_tf.inference.predictor import Predictor
from did_tf.inference.sure import Sure
from did_tf.runs.run_folder import read_json
from did_tf.scoring.calibration import at_temperature
from did_tf.scoring.evaluation import MAIN

LARGE = 2**26
"""Pixels from which on an image that can be read in parts is labelled so, whatever memory there is: a killed command
then goes on within it."""
IN_ROWS = ("tiles", IN_TILES)
"""Protocols by which that goes."""
SAVE_EVERY = 5.0
"""Seconds: rows that are done and not recorded are done again."""
_PROBABILITIES = "probabilities"
_STATE = "state.json"


def way_of(protocol: str) -> str:
    """The protocol by which a large image is labelled where `protocol` is wanted."""
    return protocol if protocol in IN_ROWS else IN_TILES


def is_large(image: Input, size: Size, fits: bool) -> bool:
    """Whether an image is to be labelled in rows: it can be, and is large, or doesn't fit into memory otherwise.

    Raises `DataError`.
    """
    return (not fits or size[0] * size[1] >= LARGE) and image.rows() is not None


def check_room(name: str, size: Size, predictor: Predictor, spec: DatasetSpec) -> None:
    """Raises `DataError` where not even rows of an image fit into memory."""
    needed, free = Need(predictor, keep_all=False).in_rows(size, np.dtype(spec.dtype).itemsize), free_memory()
    if needed > free:
        raise DataError(
            f"{name} ({size[0]}x{size[1]}) would take {needed / 1e9:.1f} GB of memory row by row, and "
            f"{free / 1e9:.1f} GB are free: cut it into columns, or set data.crop to smaller tiles"
        )


def label(
    image: Input,
    content: str,
    predictor: Predictor,
    spec: DatasetSpec,
    folder: Predictions,
    kinds: Sequence[str],
    protocol: str,
    temperature: float = 1.0,
    least: float = 0.0,
) -> None:
    """Labels an image that can be read in parts, and writes its results.

    In memory are a row of tiles and what the network makes of it.

    Args:
      image: whose `rows` are there.
      content: what its files hold.
      predictor: in tiles, of the output "main".
      spec: of the network's data.
      folder: of the results, in which unfinished rows are kept beside them.
      kinds: what is written, of `outputs.KINDS`.
      protocol: by which `predictor` was made, for the record.
      temperature, least: as of `Labelling`.

    Raises:
      DataError: it can't be read.
      NotFinite: the network gives values that are not finite.
      OSError: a file can't be written.
    """
    rows = image.rows()
    assert rows is not None
    of_rows = {"protocol": protocol, "tile": predictor.tile, "depends": folder.depends}
    depends = {"content": content, **of_rows, "version": RESULTS}
    measures = outputs.measures_for(kinds, least > 0)
    with _Unfinished(folder.unfinished(image.name), rows.shape, spec, kinds, measures, depends) as kept:
        with tqdm(
            desc=image.name, total=rows.shape[0], initial=kept.done, unit="row", leave=False, disable=None
        ) as bar:
            for part, values in predictor.strips(rows, kept.done) if kept.done < rows.shape[0] else ():
                kept.put(part, values[MAIN], rows.void(part), temperature)
                bar.update(part.stop - part.start)
        with folder.writing(image.name, content, protocol=protocol) as place:
            found: dict[str, Any] = {**kept.found}
            if least:
                found[MAIN] = sure = Sure(kept.found[MAIN], kept.found["confidence"], least)
                folder.count(image.name, sure.counts(spec.num_classes))
            outputs.write_large(place, image.name, rows, found, spec, image.place(), kinds, kept.found[MAIN])
    shutil.rmtree(kept.folder)
    with contextlib.suppress(OSError):  # others are unfinished
        for parent in kept.folder.parents:
            parent.rmdir()


class RowsFile:
    """An array [H, W, ...] in a file, of which rows are put and read: nothing of it stays in memory.

    Args:
      path: of the file, which is made where there is none.
      shape, dtype: of the array.
    """

    def __init__(self, path: Path, shape: Sequence[int], dtype: type) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        path.touch()
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 (until `close`)

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(self.shape[0])
        self._file.seek(first * self._row)
        found = np.fromfile(self._file, self.dtype, (last - first) * self._row // self.dtype.itemsize)
        return found.reshape(last - first, *self.shape[1:])

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        self._file.seek(rows.start * self._row)
        np.ascontiguousarray(values, self.dtype).tofile(self._file)

    def rows(self) -> int:
        """How many rows the file has, of those that an array of its shape may have."""
        return min(os.fstat(self._file.fileno()).st_size // self._row, self.shape[0])

    def flush(self) -> None:
        """Returns when what was put is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """The array is not used any more."""
        self._file.close()


class _Unfinished:
    """What is known of the first rows of an image, in a folder; within a `with` statement.

    Args:
      folder: of it, made where there is none.
      shape: (H, W, bands) of the image.
      spec: of the data.
      kinds: what is to be written of the image.
      measures: those that this needs.
      depends: what its results depend on: of something else nothing is kept.

    Attributes:
      done: how many rows are known.
      found: {"main" or a measure: array [H, W], "probabilities": [H, W, L]}.
    """

    def __init__(
        self,
        folder: Path,
        shape: Sequence[int],
        spec: DatasetSpec,
        kinds: Sequence[str],
        measures: Sequence[str],
        depends: Mapping[str, Any],
    ) -> None:
        self.folder, self._state = folder, folder / _STATE
        self._depends = json.loads(json.dumps({**depends, "kept": [*measures, *({_PROBABILITIES} & {*kinds})]}))
        known = self._known()
        if known.get("depends") != self._depends:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            known = {}
        self._saved, self._readout, size = time.monotonic(), readout_of(spec), shape[:2]
        self.found: dict[str, RowsFile] = {MAIN: RowsFile(folder / MAIN, size, np.uint8)}
        self.found.update({name: RowsFile(folder / name, size, np.float32) for name in measures})
        if _PROBABILITIES in kinds:
            self.found[_PROBABILITIES] = RowsFile(folder / _PROBABILITIES, (*size, len(spec.logits)), np.float32)
        rows = known.get("rows")
        there = type(rows) is int and 0 <= rows <= min(array.rows() for array in self.found.values())
        self.done = rows if there else 0  # of a file that was cut off, what is lacking would be read as zeros

    def __enter__(self) -> _Unfinished:
        return self

    def __exit__(self, *error: object) -> None:
        self._save()
        for array in self.found.values():
            array.close()

    def put(self, rows: slice, values: np.ndarray, void: np.ndarray | None, temperature: float = 1.0) -> None:
        """Keeps rows that follow those that are done: their probabilities, and [rows, W] where there is no data."""
        classes, values = self._readout.classes(values).astype(np.uint8), at_temperature(values, temperature)
        if void is not None:
            classes[void], values = IGNORE, np.where(void[..., None], np.float32(np.nan), values)
        for name, array in self.found.items():
            if name in MEASURES:
                array[rows] = sureness(name, values, self._readout)
            else:
                array[rows] = classes if name == MAIN else values
        self.done = rows.stop
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save()

    def _known(self):
        """What an earlier process has recorded; nothing where that is damaged."""
        try:
            return read_json(self._state) if self._state.is_file() else {}
        except ConfigError:
            return {}

    def _save(self):
        for array in self.found.values():
            array.flush()
        write_json(self._state, {"depends": self._depends, "rows": self.done})
        self._saved = time.monotonic()
