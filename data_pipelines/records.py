"""Prepared records: a data set's samples, cut and decoded, in sharded TFRecords with random access.

A folder holds SPLIT-00000.tfrecord, SPLIT-00001.tfrecord, ... and SPLIT.json, the manifest, of each split. A record is
a `tf.train.Example` with "name"; "image", its values row by row, band by band, little-endian; "shape", [H, W, bands];
and "label", [H, W] uint8 likewise, or "class_id". `data_pipelines.programs.prepare` writes them.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from data_pipelines.fetched import fetch, manifests_at
from data_pipelines.identity import fingerprint
from data_pipelines.manifests import described, description_in, difference, read_manifest, spec_in, without_counts
from data_pipelines.memory import check_room
from data_pipelines.reading.patches import name_of_image
from data_pipelines.remote import is_remote
from data_pipelines.spec import AbsentSplit, DataError, Dataset, DatasetSpec, Sample, Window

HEAD, FRAME = 12, 16
"""Bytes of a TFRecord before its data (the length and its CRC32C), and around it (the data's CRC32C follows)."""
RAW, ZLIB = "raw", "zlib"
ENCODINGS = (RAW, ZLIB)
"""How images and labels are stored. zlib works at its fastest level, as the others make them hardly smaller."""
Shard = Mapping[str, Any]
"""What a manifest says of a shard. Its keys are "file" (its name), "bytes", "sha256" and "records", an `entry` each."""


@dataclasses.dataclass(frozen=True)
class Record(Sample):
    """A sample in a shard. Its `window` is the one that it was cut by; of its own files the `content` alone is known.

    Attributes:
      shard: path of its file.
      offset: first byte of its data there.
      length: bytes of its data.
      crc: `zlib.crc32` of its data.
    """

    shard: Path | None = None
    offset: int = 0
    length: int = 0
    crc: int = 0


class Prepared(Dataset):
    """The splits of a data set that were prepared in `folder`.

    Attributes:
      folder: as given: a path, or a remote place, from which the records of a split are fetched for its samples.
      spec: that of the data set which the records were made from.

    Raises:
      DataError: there are none, or a shard is missing or cut short, or two splits were prepared differently.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self._is_remote = folder, is_remote(folder)
        self._manifests = manifests_at(str(folder)) if self._is_remote else _manifests_in(Path(folder))
        if not self._manifests:
            place = folder if self._is_remote else Path(folder).resolve()
            raise DataError(
                f"no prepared records in {place}: expected SPLIT.json and SPLIT-*.tfrecord, which "
                "`did_tf prepare --dataset=... --output=dir` writes"
            )
        parts = {split: description_in(manifest) for split, manifest in self._manifests.items()}
        self._described = next(iter(parts.values()))
        self._pseudo = {name for manifest in self._manifests.values() for name in manifest.get("pseudo", ())}
        told = dict if self._pseudo else without_counts  # what was a pseudo-label may be scored since, by another name
        for split, part in parts.items():
            if found := difference(told(self._described), told(part)):
                raise DataError(
                    f"{self.folder}: the splits {next(iter(parts))} and {split} were prepared with different settings "
                    f"({found}): prepare each into its own --output=dir"
                )
        self.spec = spec_in(self.folder, self._described)

    def is_pseudo(self, sample: Sample) -> bool:
        """As of the data set which the records were made from. Those of earlier versions don't tell."""
        return sample.name in self._pseudo

    def together(self, samples: Sequence[Sample]) -> list[Hashable] | None:
        """As of `Dataset`. Of what a sample was cut from, its name alone is known."""
        return [name_of_image(sample) for sample in samples] if any(sample.window for sample in samples) else None

    def check_source(self, name: str, options: Mapping[str, Any], spec: DatasetSpec) -> None:
        """Raises `DataError` where the records are not of data set `name` with `options`, whose spec is `spec`.

        How many samples there are it leaves to `check_files`: of files that are gone nobody knows.
        """
        wanted = described(name, options, dataclasses.replace(spec, splits={}))
        if found := difference(without_counts(self._described), without_counts(wanted)):
            raise DataError(
                f"the records in {self.folder} are of other data than the experiment's: {found}; prepare them anew "
                "with the same dataset.options, or leave dataset.prepared empty"
            )

    def check_files(self, files: Dataset, splits: Iterable[str], progress: bool = False) -> None:
        """Raises `DataError` where the files of `splits` aren't those that the records were made from.

        Splits of which no image is there are not compared: records can stand alone. `files` is the data set that they
        were made from; `progress` shows a bar where it takes long.
        """
        for split in splits:
            samples = self._samples_there(files, split)
            if samples and fingerprint(samples, progress) != fingerprint(self.samples(split)):
                raise DataError(
                    f"the files of {split} have changed since the records in {self.folder} were prepared: prepare them "
                    "anew into another --output=dir, or leave dataset.prepared empty"
                )

    def _samples_there(self, files, split):
        try:
            samples = files.samples(split)
        except AbsentSplit:
            return []
        except DataError as error:
            raise DataError(
                f"the files that the records in {self.folder} were prepared from are not as they were: {error}; put "
                "them back, or move all of them away"
            ) from None
        return samples if any(sample.image is None or Path(sample.image).exists() for sample in samples) else []

    def samples(self, split: str) -> list[Sample]:
        """Every `Record` of `split`, shard by shard. Raises `AbsentSplit` where it was not prepared."""
        if split not in self._manifests:
            raise AbsentSplit(
                f"{self.folder} holds no complete records of split {split!r}, but of {', '.join(self._manifests)}; "
                f"`did_tf prepare --dataset={self.spec.name} --output={self.folder}` with --splits={split} writes them"
            )
        folder, shards = self.folder, self._manifests[split]["shards"]
        if self._is_remote:
            folder, shards = fetch(str(folder), shards)
        return [record for shard in shards for record in records(folder, shard)]

    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image, label) of a `Record`, as `Dataset.read` has them. Raises `DataError` where its bytes are damaged."""
        features = _features(sample)
        try:
            return self._unpacked(sample, features)
        except (IndexError, ValueError, zlib.error) as error:
            if isinstance(error, DataError):
                raise
            assert isinstance(sample, Record)
            raise damaged(str(sample.shard), f"record {sample.name} holds no image of the data set") from None

    def _unpacked(self, sample: Any, features: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = tuple(features["shape"].int64_list.value)
        if len(shape) != 3 or shape[2] != self.spec.bands or min(shape) < 1:
            raise ValueError(shape)
        check_room(f"record {sample.name} of {sample.shard}", math.prod(shape) * np.dtype(self.spec.dtype).itemsize)
        image = _pixels(features, "image", self.spec.dtype, shape)
        if self.spec.task == "classification":
            return image, np.array(features["class_id"].int64_list.value[0], np.int32)
        return image, _pixels(features, "label", "uint8", shape[:2])


def encode(sample: Sample, image: np.ndarray, label: np.ndarray, encoding: str = RAW) -> bytes:
    """The record of what `Dataset.read(sample)` gave, a serialised `tf.train.Example`. Equal ones have equal bytes.

    Args:
      sample: gives the name.
      image: [H, W, bands].
      label: [H, W] uint8, or a scalar, the class of the image.
      encoding: one of `ENCODINGS`.
    """
    features = {
        "name": _bytes(sample.name.encode(errors="surrogateescape")),
        "encoding": _bytes(encoding.encode()),
        "shape": _ints(image.shape),
    }
    features["image"] = _bytes(_packed(image, encoding))
    if np.ndim(label):
        features["label"] = _bytes(_packed(label, encoding))
    else:
        features["class_id"] = _ints([label])
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def records(folder: str | Path, shard: Shard) -> list[Record]:
    """Every `Record` of a shard in `folder`, in their order."""
    found, offset = [], HEAD
    for name, length, crc, window, class_id, digest in shard["records"]:
        place = {"shard": Path(folder, shard["file"]), "offset": offset, "length": length, "crc": crc}
        window = window and Window(*window)
        found.append(Record(name, class_id=class_id, window=window, content=digest, **place))
        offset += length + FRAME
    return found


def entry(sample: Sample, data: bytes) -> list[Any]:
    """What a manifest says of a sample with its `content`, whose record is `data`; `records` reads it.

    Returns:
      [name, bytes, CRC, [top, left, height, width] or None, class id or None, content, see `identity.with_content`].
    """
    window = sample.window and list(sample.window)
    return [sample.name, len(data), zlib.crc32(data), window, sample.class_id, sample.content]


def is_there(folder: str | Path, shard: Shard) -> bool:
    """Whether the file of a shard is there with its whole size."""
    path = Path(folder, shard["file"])
    return path.is_file() and path.stat().st_size == shard["bytes"]


def check_size(folder: str | Path, shard: Shard) -> None:
    """Raises `DataError` where not `is_there`."""
    if not is_there(folder, shard):
        raise damaged(Path(folder, shard["file"]), f"not there with its {shard['bytes']} bytes")


def check_records(folder: str | Path, shard: Shard) -> None:
    """Reads all records of a shard. Raises `DataError` where one is not what was written."""
    for record in records(folder, shard):
        _features(record)


def damaged(shard: str | Path, how: str) -> DataError:
    """The error for a shard, a path, that isn't as it was written."""
    return DataError(f"{shard} is damaged ({how}): delete it and run `did_tf prepare` again, which writes it anew")


def _manifests_in(folder):
    """{split: its manifest} of a local folder. Raises `DataError` where one, or a shard, is missing or cut short."""
    found = {path.stem: read_manifest(path) for path in sorted(folder.glob("*.json"))}
    for manifest in found.values():
        for shard in manifest["shards"]:
            check_size(folder, shard)
    return found


def _features(record):
    """The features of a `Record`'s example. Raises `DataError` where it is not what was written."""
    try:
        with open(record.shard, "rb", buffering=0) as file:
            file.seek(record.offset)
            data = file.read(record.length)
    except OSError as error:
        raise DataError(f"cannot read {record.shard}: {error.strerror}") from None
    # Of the record itself there is a CRC32C, but nothing that computes it fast from here; and this one also finds
    # records that are whole but in another's place.
    if zlib.crc32(data) != record.crc:
        raise damaged(record.shard, f"record {record.name}, {record.length} bytes at {record.offset}")
    try:
        return tf.train.Example.FromString(data).features.feature
    except DecodeError:
        raise damaged(record.shard, f"record {record.name} is none") from None


def _pixels(features, key, dtype, shape):
    data = features[key].bytes_list.value[0]
    if features["encoding"].bytes_list.value[0] == ZLIB.encode():
        # No more than there must be, and one byte to see that there is more.
        data = zlib.decompressobj().decompress(data, math.prod(shape) * np.dtype(dtype).itemsize + 1)
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)


def _packed(pixels, encoding):
    data = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()
    return zlib.compress(data, zlib.Z_BEST_SPEED) if encoding == ZLIB else data


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=map(int, values)))
