"""Writes a data set's samples into sharded TFRecords: `did_tf prepare --dataset camvid`.

`make prepare DATASET=camvid` runs this. Training then reads them in place of the files
(`--config.dataset.prepared=DIR`), and sees the same batches.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import concurrent.futures
import functools
import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from data_pipelines import load, manifests, records
from data_pipelines.content import sha256
from data_pipelines.fetched import written
from data_pipelines.identity import fingerprint, with_content
from data_pipelines.memory import cores
from data_pipelines.programs import command
from data_pipelines.programs.shards import Numbers, read_ahead, write_shard
from data_pipelines.remote import check_local, is_remote
from data_pipelines.spec import DataError, Dataset
from data_pipelines.writing import sweep, write_file

AHEAD = 2
"""Samples per thread that are decoded before they are written."""
MEGABYTE = 10**6

EPILOG = """Each split becomes SPLIT-00000.tfrecord, ... and, written last, the manifest SPLIT.json (see
data_pipelines/records.py). A shard appears under its name when it is whole. Stopped, the same command goes on with the
shard that was under way; where all is there it does nothing; a shard that was deleted is written again. With other
files or options than before it refuses.

--verify reads everything again, without the data set's files: the sha256 of every shard, the CRC of every record.

exit status: 0 all is there and whole; 1 a failure while running; 2 bad input, or a damaged shard (named on stderr)
"""


def main(argv: list[str] | None = None) -> int:
    """Runs `did_tf prepare --dataset`. Returns the exit status."""
    parser = command.Parser("Writes samples into sharded TFRecords, for training from them.", EPILOG)
    parser.add_argument(
        "--output", metavar="DIR", help="folder of the records, or a remote place (default: data/NAME_prepared)"
    )
    parser.add_argument("--splits", default="train,val", metavar="A,B", help="default: train,val")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the data set, as in dataset.options"
    )
    parser.add_argument("--shard-megabytes", type=int, default=256, metavar="N", help="a shard's size (default: 256)")
    parser.add_argument("--compress", action="store_true", help="zlib, lossless: smaller, and slower to read")
    parser.add_argument("--verify", action="store_true", help="read what was prepared again, and check it")
    return command.run(_program, parser, argv)


def _program(args):
    output = args.output or f"data/{args.dataset}_prepared"
    splits = args.splits.split(",")
    if args.verify:
        check_local(output, "--output of --verify")
        return _verify_all(Path(output), splits)
    options = command.options(args.option)
    dataset = load(args.dataset, args.folder, **options)
    source = {"name": args.dataset, "options": options}
    prepare_splits(dataset, splits, output, source, args.shard_megabytes, args.compress)
    return 0


def prepare_splits(
    dataset: Dataset,
    splits: Iterable[str],
    output: str | Path,
    source: Mapping[str, Any],
    shard_megabytes: int,
    compress: bool,
) -> None:
    """As `prepare`, several splits into a folder or a remote place, with bars; says what was written, and where."""
    encoding, splits = records.ZLIB if compress else records.RAW, [*splits]
    with written(output, splits) as folder:
        for split in splits:
            manifest = prepare(dataset, split, folder, source, shard_megabytes, encoding, progress=True)
            print(describe(manifest, folder))
    print(f"train from them: --{'data' if is_remote(output) else 'config.dataset.prepared'}={output}")


def prepare(
    dataset: Dataset,
    split: str,
    folder: str | Path,
    source: Mapping[str, Any],
    shard_megabytes: int = 256,
    encoding: str = records.RAW,
    progress: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """Writes `split` of `dataset` into `folder`, or what of it is not there yet. Returns the manifest.

    Never more than a few decoded samples per thread are held in memory.

    Args:
      dataset: whose samples are written.
      split: one of its splits.
      folder: is created.
      source: {"name", "options"} of the data set, JSON-serialisable.
      shard_megabytes: largest size of a shard, unless a single record is larger.
      encoding: one of `records.ENCODINGS`.
      progress: show a bar, where stderr is a terminal.
      threads: that decode; default: one per core.

    Raises:
      DataError: a sample can't be read, or the folder holds records of other files or options.
      OSError: the folder can't be written.
    """
    if shard_megabytes < 1:
        raise DataError(f"shards of {shard_megabytes} megabytes: use at least 1")
    dataset.check_statistics(progress)
    folder, threads = Path(folder), threads or cores()
    samples = with_content(dataset.samples(split), progress)
    header = {
        "format": manifests.FORMAT,
        "split": split,
        **manifests.described(source["name"], source["options"], dataset.spec),
        "fingerprint": fingerprint(samples),
        "encoding": encoding,
        "shard_megabytes": shard_megabytes,
        "samples": len(samples),
        **_pseudo(dataset, samples),
    }
    folder.mkdir(parents=True, exist_ok=True)
    shards = _known_shards(folder, header)
    log = _start_log(folder, header, shards)
    bar = tqdm(total=len(samples), desc=f"preparing {split}", unit="sample", disable=None if progress else True)
    with bar, concurrent.futures.ThreadPoolExecutor(threads) as pool:
        read = functools.partial(read_ahead, pool, AHEAD * threads, dataset, encoding)
        done = 0
        for shard in shards:
            part = samples[done : done + len(shard["records"])]
            if not records.is_there(folder, shard):
                write_shard(folder / shard["file"], read(part), shard)
            done += len(part)
            bar.update(len(part))
        numbers = Numbers(len(shards), shard_megabytes * MEGABYTE)
        for number, pairs in itertools.groupby(_counted(read(samples[done:]), bar), numbers):
            shards.append(write_shard(folder / f"{split}-{number:05d}.tfrecord", pairs))
            _append(log, shards[-1])
    _check_unchanged(dataset, split, header)
    manifest = {**header, "shards": shards}
    write_file(folder / f"{split}.json", json.dumps(manifest).encode())
    log.unlink()
    return manifest


def describe(manifest: Mapping[str, Any], folder: str | Path) -> str:
    """A line about the records in `folder` that a manifest is of."""
    shards = manifest["shards"]
    megabytes = sum(shard["bytes"] for shard in shards) / MEGABYTE
    count = f"{len(shards)} shard{'s' * (len(shards) != 1)}"
    return f"{manifest['split']}: {manifest['samples']} samples in {count}, {megabytes:.0f} MB, in {folder}"


def verify(folder: str | Path, split: str, progress: bool = False) -> list[str]:
    """Reads all records of `split` in `folder` again. Returns a line per damaged shard.

    Raises `DataError` where the split was not prepared there.
    """
    folder = Path(folder)
    manifest = manifests.read_manifest(folder / f"{split}.json")
    problems = []
    bar = tqdm(manifest["shards"], f"verifying {split}", unit="shard", disable=None if progress else True)
    for shard in bar:
        try:
            records.check_size(folder, shard)
            records.check_records(folder, shard)
            if sha256(folder / shard["file"]) != shard["sha256"]:
                raise records.damaged(folder / shard["file"], "its sha256 isn't the manifest's")
        except DataError as error:
            problems.append(str(error))
    return problems


def _verify_all(folder, splits):
    problems = [problem for split in splits for problem in verify(folder, split, progress=True)]
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    if not problems:
        print(f"{', '.join(splits)} in {folder}: all records are whole")
    return command.BAD_INPUT if problems else 0


def _pseudo(dataset, samples):
    """What a manifest says of samples with pseudo-labels: nothing where there are none, as older ones do."""
    names = [sample.name for sample in samples if dataset.is_pseudo(sample)]
    return {"pseudo": names} if names else {}


def _known_shards(folder, header):
    """The manifest's entries of the shards that an earlier run has written."""
    manifest, log = folder / f"{header['split']}.json", _log(folder, header)
    if manifest.is_file():
        old = manifests.read_manifest(manifest)
        _check_same(folder, old, header)
        return old["shards"]
    lines = _whole_lines(log) if log.is_file() else []
    if not lines:
        return []
    head = lines[0] if isinstance(lines[0], dict) else {}
    old = manifests.checked(log, {**head, "shards": lines[1:]})
    _check_same(folder, old, header)
    return old["shards"]


def _check_same(folder, old, header):
    """Raises `DataError` where records of other files or options were prepared."""
    old = {**old, **manifests.description_in(old)}  # of an earlier version, which knew fewer facts
    old = {key: old.get(key) for key in header}
    if found := manifests.difference(manifests.without_counts(old), manifests.without_counts(header)):
        raise DataError(
            f"{folder} holds records of {header['split']} made from other files or with other options: {found}; take "
            "another --output=dir, or delete this one"
        )


def _check_unchanged(dataset, split, header):
    """Raises `DataError` where a file changed since `header` was made: who knows which of both its record is of."""
    if fingerprint(dataset.samples(split)) != header["fingerprint"]:
        raise DataError(f"files of {split} changed while they were prepared: take another --output=dir")


def _start_log(folder, header, shards):
    """Path of SPLIT.progress: a line of JSON with the header, then one per shard that is there."""
    log = _log(folder, header)
    sweep(folder, log.name, f"{header['split']}.json")
    write_file(log, "".join(f"{json.dumps(line)}\n" for line in (header, *shards)).encode())
    return log


def _log(folder, header):
    return folder / f"{header['split']}.progress"


def _append(log, shard):
    with open(log, "a") as file:
        file.write(f"{json.dumps(shard)}\n")


def _whole_lines(log):
    """The content of its lines, up to one that was cut short."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _counted(pairs, bar):
    for pair in pairs:
        yield pair
        bar.update()


def launch() -> NoReturn:
    """What the command line starts: `main`, whose result becomes the exit status."""
    sys.exit(main())
