"""The folder that predictions go to: of each image all files or none, and a record by which a command goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import did_tf
from data_pipelines.inside import is_inside
from data_pipelines.own_data.pseudo import RECORD
from data_pipelines.spec import DatasetSpec
from data_pipelines.writing import beside, naming, sweep
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.inference.outputs import KINDS, legend, write_legend
from did_tf.runs.run_folder import damage_of, read_json

RESULTS = 2
"""Of the way in which results are made of what the network gives: one more with each change that alters any of them."""
LEGEND = "legend.png"
"""The classes' ids, names and colours."""
SAVE_EVERY = 5.0  # seconds, at least: what is done and not recorded is done again
SAVE_FOR = 20
"""How many times as long as it took to write the record it is not written again: it names all images so far."""
_WAY = "delete it, or pass another --output=dir"
_UNFINISHED = ".unfinished"
_RESULTS = "results"
"""Of an image, before they are put in their places: what half-written ones are named after."""


class Predictions:
    """Writes results of images, each wholly or not at all, and knows those that an earlier process has written.

    Within a `with` statement: at its end the record is saved.

    Args:
      folder: is there.
      depends: what all results depend on beside their images, JSON-serialisable.
      spec: `DatasetSpec` of the network's data.
      names: of the images that are to be predicted.
      told: gives what is recorded of each image beside these, JSON-serialisable: what has computed it.

    Attributes:
      depends: as given, as JSON gives it back.
      record: `RECORD`: what the results depend on, the ids of the classes, and what has been done.

    Raises:
      ConfigError: the folder holds results that depend on something else, or of these images without saying on what.
      OSError: it can't be written to.
    """

    def __init__(
        self,
        folder: str | Path,
        depends: Mapping[str, Any],
        spec: DatasetSpec,
        names: Sequence[str],
        told: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.folder, self.record, self._told = Path(folder), Path(folder, RECORD), told
        depends = json.loads(json.dumps(depends))
        known = self._known(depends, names)
        of_all = {"did_tf": known["did_tf"]} if "did_tf" in known else {}  # as older records tell it
        self._images: dict[str, dict[str, Any]] = {
            name: {**of_all, **entry} for name, entry in known.get("images", {}).items()
        }
        with damage_of(self.record, _WAY):
            self._counts: dict[str, list[list[int]]] = dict(known.get("counts", {}))
        self._damaged: dict[str, str] = {}
        self.depends = depends
        self._head = {**_ids(spec), "depends": depends}
        sweep(self.folder, _RESULTS)
        self._save()  # first: it says that the legend is a result
        write_legend(self.folder / LEGEND, spec)

    def __enter__(self) -> Predictions:
        return self

    def __exit__(self, *error: object) -> None:
        self._save()

    def has(self, name: str, content: str, wanted: Sequence[str]) -> bool:
        """Whether all `wanted` kinds of results of image `name` are there, made from files of that `content` as now."""
        entry = self._images.get(name, {})
        files = entry.get("files", [])
        same = content and entry.get("content") == content and entry.get("results", 1) == RESULTS
        found = same and all((self.folder / file).is_file() for file in files)
        return bool(found) and all(any(file.startswith(f"{name}_{kind}.") for file in files) for kind in wanted)

    @contextlib.contextmanager
    def writing(self, name: str, content: str, **facts: Any) -> Iterator[Path]:
        """Gives a folder for the results of an image, which are put in their places at the end.

        Other kinds of results of the same image, with the same facts, stay.

        Args:
          name: of the image.
          content: what its files hold.
          **facts: what else is recorded, JSON-serialisable.

        Raises:
          OSError: that fails.
        """
        partial = beside(self.folder / _RESULTS)
        try:
            yield partial
            same = {"content": content, "results": RESULTS, **facts}
            before = self._of_same(name, same)
            paths = [path.relative_to(partial) for path in partial.rglob("*") if path.is_file()]
            for path in paths:
                (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                with naming(self.folder / path), open(partial / path, "r+b") as file:
                    os.fsync(file.fileno())  # before the record says that it is done; TIFFs are not yet
                os.replace(partial / path, self.folder / path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        made = {path.with_suffix("") for path in paths}
        again = {path for path in before if path.with_suffix("") in made}
        for path in again.difference(paths):  # a label of another format
            (self.folder / path).unlink(missing_ok=True)
        files = before - again | {*paths}
        made_by = {"did_tf": did_tf.__version__, **self._told()}
        self._images[name] = {**same, **made_by, "files": sorted(path.as_posix() for path in files)}
        self._save_soon()

    def count(self, name: str, counts: list[list[int]]) -> None:
        """Records `Sure.counts` of an image, within `writing`: with it, they are known to the next process."""
        self._counts[name] = counts

    def counted(self, names: Sequence[str], num_classes: int) -> np.ndarray:
        """[2, num_classes] int64: the counts of those images together that are there.

        Raises:
          ConfigError: the record of an earlier process lacks some, or is damaged.
        """
        with damage_of(self.record, _WAY):
            found = [self._counts[name] for name in names if name in self._images]
            return np.array(found, np.int64).reshape(len(found), 2, num_classes).sum(axis=0)

    def unfinished(self, name: str) -> Path:
        """Where rows of an image are kept that is not finished yet."""
        return self.folder / _UNFINISHED / name

    def leave_out(self, name: str, reason: str, content: str = "") -> bool:
        """Records that an image can't be predicted. Results of what it was before are removed, all others stay.

        Args:
          name: of the image.
          reason: why it can't.
          content: what its files hold; empty where nobody can read them now.

        Returns:
          Whether results of it are there.
        """
        if content and content != self._images.get(name, {}).get("content"):
            self._remove(name)
        self._damaged[name] = reason
        self._save_soon()
        return name in self._images

    def _remove(self, name):
        for file in self._images.pop(name, {}).get("files", []):
            (self.folder / file).unlink(missing_ok=True)

    def _of_same(self, name, same):
        """The files that an image has already; none, and they are removed, where they are not of the `same` as now.

        What has computed them may differ: where results depend on that, `depends` has it.
        """
        known = self._images.get(name, {})
        if same["content"] and all(known.get(key) == value for key, value in same.items()):
            return {Path(file) for file in known["files"] if (self.folder / file).is_file()}
        self._remove(name)
        return set()

    def _known(self, depends, names):
        """The record of an earlier process, which has done the same; empty without."""
        if self.record.is_file():
            known = read_json(self.record)
            if not all(map(is_inside, _files(known.get("images", {})))):
                raise ConfigError(f"{self.record} is damaged: {_WAY}")
            if known.get("depends") == depends or not known.get("images"):
                return known
            other = f"{self.folder} holds results of other weights or settings (see {self.record})"
        elif found := self._unknown(names):
            other = f"{self.folder} holds {found}, which would be overwritten, and no {RECORD} says that it is a result"
        else:
            return {}
        raise ConfigError(f"{other}: move or delete the folder, or pass another --output=dir")

    def _unknown(self, names):
        """The name of a file that is there already and is called as a result will be; empty without."""
        results = {f"{name}_{kind}" for name in names for kind in KINDS} | {Path(LEGEND).stem}
        folders = {(self.folder / name).parent for name in (*names, LEGEND)}
        there = (path.relative_to(self.folder) for folder in folders if folder.is_dir() for path in folder.iterdir())
        return next((path.as_posix() for path in there if path.with_suffix("").as_posix() in results), "")

    def _save_soon(self):
        if time.monotonic() - self._saved > self._pause:
            self._save()

    def _save(self):
        begun = time.monotonic()
        counts = {"counts": self._counts} if self._counts else {}
        write_json(self.record, {**self._head, "images": self._images, "damaged": self._damaged, **counts})
        self._saved = time.monotonic()
        self._pause = max(SAVE_EVERY, SAVE_FOR * (self._saved - begun))


def _files(images):
    """What a record names of files, which are removed when they are made anew; None where it is no record."""
    try:
        return [file for entry in images.values() for file in [*entry["files"]]]
    except (AttributeError, KeyError, TypeError):
        return [None]


def _ids(spec):
    """What the values of NAME_label mean."""
    *classes, (void, _, colour) = legend(spec)
    told = [{"id": number, "name": name, "color": list(color)} for number, name, color in classes]
    return {"classes": told, "void": {"id": void, "color": list(colour)}}
