"""Downloading an archive, zip or tar; opening it, checking it and taking a data set out of it."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import errno
import gzip
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
from typing import IO, Any

from tqdm import tqdm

from data_pipelines.datasets.files import is_png
from data_pipelines.programs.sources import Source
from data_pipelines.spec import DataError

MAX_BYTES = 2**30
"""Limit on a download and on what an archive unpacks to. CamVid has 180 MB."""
MAX_MEMBERS, MAX_READ = 100_000, 2**24
"""Limits on its members, of which CamVid's has some 5,000, and on what is read of it at once."""
TIMEOUT = 60
CHUNK = 2**20
_COMPRESSED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_NONSENSE = (EOFError, OverflowError, RuntimeError, ValueError)


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
        if _is_tar(archive):
            with _unpacked(archive) as data, tarfile.open(fileobj=data, mode="r:") as tar:
                yield (_tar_member(tar, info) for info in tar)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield (_zip_member(packed, info) for info in packed.infolist())
        else:
            raise DataError("neither a zip nor a tar file")
    # RuntimeError: a zip file that is encrypted or compressed in an unknown way. ValueError: names, places and numbers
    # that can't be.
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, *_NONSENSE, OSError) as error:
        # One with a number is the disk's, but for places that nothing has: those of gzip and bz2 have none.
        if isinstance(error, DataError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        raise DataError(f"damaged archive ({str(error) or type(error).__name__})") from error


def _is_tar(archive):
    try:
        with _unpacked(archive) as data, tarfile.open(fileobj=data, mode="r:"):
            return True
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        return False


@contextlib.contextmanager
def _unpacked(archive):
    """A file as its first bytes say that it is compressed. `tarfile` knows that, too, and reads without bounds."""
    with open(archive, "rb") as file:
        head = file.read(6)
        file.seek(0)
        opener = next((opener for magic, opener in _COMPRESSED.items() if head.startswith(magic)), None)
        with opener(file) if opener else contextlib.nullcontext(file) as data:
            yield _Bounded(data)


class _Bounded:
    """A file that refuses to give more at once than any part of an honest tar file takes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        """As of a file. Raises `DataError` where that is all of it or too much."""
        if not 0 <= size <= MAX_READ:
            raise DataError("unsafe archive: a header in it says that it is larger than any is")
        return self._file.read(size)


def _tar_member(tar, info):
    path = PureWindowsPath(info.name)
    return Member(path, info.size, info.isdir(), info.isreg(), lambda: tar.extractfile(info))


def _zip_member(packed, info):
    is_folder = bool(info.filename) and info.is_dir()  # which looks at the last character
    # 0 is what systems without such modes write.
    is_file = not is_folder and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
    path = PureWindowsPath(info.filename)
    return Member(path, info.file_size, is_folder, is_file, lambda: packed.open(info))


def _check(source, members):
    """Yields the regular files. Raises `DataError` at the first member that an honest archive wouldn't have."""
    size = 0
    for number, member in enumerate(members):
        size += member.size
        if number > MAX_MEMBERS:
            raise DataError(f"has more than {MAX_MEMBERS} members")
        if member.size < 0:
            raise DataError("damaged archive (a file of less than 0 bytes)")
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
        folder, _ = member.place
        if folder in source.counts and is_png(member.path):
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
