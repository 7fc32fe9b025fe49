"""A tiny data set in the SegNet layout, and archives of it."""

import io
import tarfile
import zipfile

import pytest

from data_pipelines import DataError, DatasetSpec
from data_pipelines.programs import fetch

FILES = {
    "train/a.png": b"image a",
    "train/b.png": b"image b",
    "trainannot/a.png": b"label a",
    "trainannot/b.png": b"label b",
    "test/c.png": b"image c",
    "testannot/c.png": b"label c",
}
SPEC = DatasetSpec("tiny", ("x",), ((0, 0, 0),), {"train": 2, "test": 1}, mean=(0.0,), std=(1.0,))


def write_files(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_zip(path, files, prefix="Tutorial-master/CamVid/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


def make_tar(path, files, mode="w:gz", extra=()):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(source, target, archive, *parts):
    """Fetching `archive` fails with one line that has all `parts`, and leaves nothing behind."""
    with pytest.raises(DataError) as error:
        fetch.fetch(source, target, archive=archive)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(target.parent.iterdir())
