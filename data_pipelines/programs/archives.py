"""Downloading an archive, zip or tar; opening it, checking it and taking a data set out of it."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import lzma
import shutil
import stat
import tarfile
import urllib.request
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import IO

from tqdm import tqdm

from data_pipelines.programs.sources import Source, is_png
from data_pipelines.spec import DataError

MAX_BYTES = 2**30
"""Limit on a download and on what an archive unpacks to. CamVid has 180 MB."""
TIMEOUT = 60
CHUNK = 2**20


def download(url: str, path: Path) -> None:
    """Writes what `url` holds to `path`. Raises `RuntimeError` where that fails: the line names the way without."""
    with _explaining(url):
        response = urllib.request.urlopen(url, timeout=TIMEOUT)
    total = int(response.headers.get("Content-Length", 0))
    with response, open(path, "wb") as file, _bar(total=total or None, unit="B", unit_scale=True) as bar:
        while True:
            with _explaining(url):
                chunk = response.read(CHUNK)
                if not chunk and file.tell() < total:
                    raise OSError(f"the connection broke after {file.tell()} of {total} bytes")
            if not chunk:
                return
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() > MAX_BYTES:
                raise DataError(f"{url} has more than {MAX_BYTES} bytes: this is no archive of the data set")


@contextlib.contextmanager
def _explaining(url):
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RuntimeError(
            f"cannot download {url}: {getattr(error, 'reason', None) or error or type(error).__name__}; "
            "fetch it by other means and pass it with --archive FILE"
        ) from error


@dataclasses.dataclass(frozen=True)
class Member:
    """One entry of an archive, zip or tar alike.

    Attributes:
      path: in the archive, taken apart at both kinds of slash.
      size: bytes that it unpacks to.
      is_folder, is_file: neither for links and devices.
      open: gives what a regular file holds.
    """

    path: PureWindowsPath
    size: int
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes]]

    @property
    def place(self) -> tuple[str, str]:
        """(folder, file name) in the data set, whatever stands before them."""
        return self.path.parent.name, self.path.name


def unpack(source: Source, archive: str | Path, root: Path) -> None:
    """Copies the PNGs of the data set's folders from `archive`, wherever in it they are, into `root`, a new folder.

    A path of the archive is never written to: it only says which of the known folders a file belongs to.

    Raises:
      DataError: damaged, unsafe or too large archive, or none that holds the data set.
    """
    with _opened(archive) as members:
        for member in _bar(_select(source, _check(source, members)), unit="file"):
            path = Path(root, *member.place)
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as data, open(path, "xb") as file:
                shutil.copyfileobj(data, file)


@contextlib.contextmanager
def _opened(archive):
    """Iterator over each `Member` of `archive`."""
    if not Path(archive).is_file():
        raise DataError("no such file")
    try:
        # tar comes first: the zip test is also passed by a tar file that ends with a zip file.
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                yield (_tar_member(tar, info) for info in tar)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield (_zip_member(packed, info) for info in packed.infolist())
        else:
            raise DataError("neither a zip nor a tar file")
    # RuntimeError: a zip file that is encrypted or compressed in an unknown way.
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError) as error:
        if getattr(error, "errno", None):  # It is the disk's: those of gzip and bz2 have no number.
            raise
        raise DataError(f"damaged archive ({error})") from error


def _tar_member(tar, info):
    path = PureWindowsPath(info.name)
    return Member(path, info.size, info.isdir(), info.isreg(), lambda: tar.extractfile(info))


def _zip_member(packed, info):
    # 0 is what systems without such modes write.
    is_file = not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
    path = PureWindowsPath(info.filename)
    return Member(path, info.file_size, info.is_dir(), is_file, lambda: packed.open(info))


def _check(source, members):
    """Yields the regular files. Raises `DataError` at the first member that an honest archive wouldn't have."""
    size = 0
    for member in members:
        size += member.size
        if size > MAX_BYTES:
            raise DataError(f"unpacks to more than {MAX_BYTES} bytes")
        if member.path.anchor or ".." in member.path.parts:
            raise DataError(f"unsafe archive: {member.path.as_posix()!r} points out of it")
        if member.is_file:
            yield member
        elif not member.is_folder and not source.counts.keys().isdisjoint(member.place):
            raise DataError(f"unsafe archive: {member.path.as_posix()!r} is a link or a device")


def _select(source, members):
    """Members that are PNGs of the data set, from the one place where its folders stand side by side."""
    sets: dict[PureWindowsPath, dict[tuple[str, str], Member]] = defaultdict(dict)
    for member in members:
        folder, name = member.place
        # Hidden files are what macOS leaves in archives.
        if folder in source.counts and is_png(member.path) and not name.startswith("."):
            found = sets[member.path.parent.parent]
            if member.place in found:
                raise DataError(f"{member.path.as_posix()} is in it twice")
            found[member.place] = member
    complete = [found for found in sets.values() if source.digests.keys() <= {folder for folder, _ in found}]
    if len(complete) != 1:
        folders = " ".join(f"{folder}/" for folder in source.digests)
        raise DataError(f"holds {len(complete) or 'no'} sets of the folders {folders} side by side, expected one")
    return list(complete[0].values())


def _bar(iterable=None, **options):
    # `disable=None`: no bar where stderr is no terminal.
    return tqdm(iterable, disable=None, **options)
