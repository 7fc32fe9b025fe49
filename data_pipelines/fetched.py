"""Prepared records at a remote place: sent there once they are written, and fetched before they are read.

Training reads records in a random order, which object stores serve badly. So shards are fetched whole, once, into the
user's cache folder, under the digests of their bytes.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_pipelines import remote
from data_pipelines.content import CACHE, cache_folder, sha256
from data_pipelines.manifests import SHARD, read_manifest
from data_pipelines.spec import DataError
from data_pipelines.writing import replacing, sweep

THREADS = 4
"""Shards that are fetched or sent at once."""
PATIENCE = 1.0
"""Seconds before there is a bar."""
IDLE = 3600.0
"""Seconds after which a shard that is fetched and of which nothing comes any more is one that a killed process left."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifests_at(place: str) -> dict[str, dict[str, Any]]:
    """{split: its manifest} of the records at a remote place. Raises `DataError` where they can't be read."""
    place = remote.checked(place)
    try:
        names = [name for name in remote.files(place) if "/" not in name and name.endswith(".json")]
        content = {name: remote.read(f"{place}/{name}") or b"" for name in names}
    except OSError as error:
        raise DataError(f"cannot read the records at {place}: {error.strerror}") from None
    return {name[: -len(".json")]: read_manifest(f"{place}/{name}", data) for name, data in content.items()}


def fetch(place: str, shards: Sequence[Mapping[str, Any]]) -> tuple[Path, list[dict[str, Any]]]:
    """Fetches what is not here yet of shards (`records.Shard`) at a remote place.

    Returns:
      (folder in which they are, `shards` with the names of their files there).

    Raises:
      DataError: they can't be read, are not what their manifest says, or the disk has no room for them.
    """
    folder = cache_folder() / "records"
    here = [{**shard, "file": f"{_digest(place, shard)[:24]}{SHARD}"} for shard in shards]
    pairs = [(shard, folder / local["file"]) for shard, local in zip(shards, here)]
    missing = [(shard, path) for shard, path in pairs if not path.is_file() or path.stat().st_size != shard["bytes"]]
    sweep(folder, idle=IDLE)
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(folder, place, sum(shard["bytes"] for shard, _ in missing))
        _side_by_side(lambda pair: _fetch(remote.checked(place), *pair), missing, f"fetching {place}")
    return folder, here


@contextlib.contextmanager
def written(output: str | Path, splits: Iterable[str]) -> Iterator[Path]:
    """The local folder into which records are to be written that belong into `output`.

    For a remote place it is one of the user's cache folder, and what was written is sent at the end, manifests last.

    Raises:
      DataError: there are other records at the place.
      OSError: it can't be written.
    """
    if not remote.is_remote(output):
        yield Path(output)
        return
    place = remote.checked(str(output))
    folder = remote.local_copy(place, "prepared")
    yield folder
    for split in dict.fromkeys(splits):
        _send(folder, place, f"{split}.json")


def _send(folder, place, name):
    shards = read_manifest(folder / name)["shards"]
    there = remote.read(f"{place}/{name}")
    if there == (folder / name).read_bytes():
        return
    if there is not None:
        raise DataError(
            f"{place}/{name} is of other records than those that were prepared in {folder}: take another --output, or "
            "delete it"
        )
    files = [shard["file"] for shard in shards]
    _side_by_side(lambda file: remote.send(folder / file, f"{place}/{file}"), files, f"sending to {place}")
    remote.send(folder / name, f"{place}/{name}")


def _fetch(place, shard, path):
    source = f"{place}/{shard['file']}"
    try:
        with replacing(path) as part:
            remote.copy(source, part)
            if sha256(part) != shard["sha256"]:
                raise DataError(f"{source} is damaged (its sha256 isn't the manifest's): prepare and send it anew")
    except OSError as error:
        raise DataError(f"cannot fetch {source}: {error.strerror}") from None


def _digest(place, shard):
    if not _SHA256.fullmatch(str(shard.get("sha256"))):
        raise DataError(f"a manifest at {place} is damaged: it has no sha256 of {shard['file']}; prepare again")
    return shard["sha256"]


def _check_room(folder, place, needed):
    if needed > (free := shutil.disk_usage(folder).free):
        raise DataError(
            f"the records at {place} take {needed / 1e9:.1f} GB on this machine, and {folder} has {free / 1e9:.1f}: "
            f"{CACHE}=dir says where they go"
        )


def _side_by_side(function, tasks, words):
    with ThreadPool(min(THREADS, len(tasks) or 1)) as pool:
        done = pool.imap_unordered(function, tasks)
        for _ in tqdm(done, words, len(tasks), unit="shard", delay=PATIENCE, disable=None):
            pass
