"""A folder of results for a benchmark's server: written, read again and checked, packed."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_pipelines import DataError
from did_tf.common.errors import ConfigError, about
from did_tf.common.files import write_file, write_json
from did_tf.common.streams import side_by_side
from did_tf.runs.run_folder import read_json
from did_tf.scoring.evaluation import MAIN, Predict
from did_tf.scoring.official import Benchmark


def write(
    benchmark: Benchmark,
    predictor: Predict,
    split: str,
    folder: str | Path,
    settings: Mapping[str, Any],
    progress: bool | None = None,
    streams: int = 1,
    engine: Callable[[], str] = str,
) -> tuple[int, Path]:
    """Labels every image of a split and packs the results.

    An image whose result is in the folder is not labelled again, so whoever was stopped goes on from there. The packed
    file is there when all of it is done, and only then; other files of the folder are not in it. FOLDER.json has what
    results depend on, and "engines", which have computed them.

    Args:
      benchmark: with its data set.
      predictor: as for `evaluation.evaluate`.
      split: name of a split of its data set; its labels need not be there.
      folder: where the results go; FOLDER.zip (or what the benchmark takes) and FOLDER.json are beside it.
      settings: JSON-serialisable dict of what the results depend on.
      progress: whether to show a bar; None: on terminals.
      streams: how many images are under way at once, from as many threads.
      engine: gives the name of what computes, once it has.

    Returns:
      Number of files, and path of the packed one.

    Raises:
      ConfigError: the folder holds results of other settings, or of unknown ones; or the network gives NaN.
      DataError: an image can't be read, or a result isn't what the benchmark takes.
      OSError: a file can't be written.
    """
    folder, dataset = Path(folder), benchmark.dataset
    packed = folder.with_name(f"{folder.name}.{benchmark.archive}")
    samples = dataset.images(split)
    places = [benchmark.place(sample, split) for sample in samples]
    engines = _engines(folder, settings, places)
    packed.unlink(missing_ok=True)
    bar = tqdm(samples, desc=split, unit="image", disable=None if progress is None else not progress)
    for _, done in side_by_side(
        lambda one: _label(benchmark, predictor, one[1], folder / one[0]), zip(places, bar), streams
    ):
        if done() and engine() not in engines:
            engines.append(engine())
            _record(folder, settings, engines)
    _pack(packed, folder, places)
    return len(samples), packed


def _engines(folder, settings, places):
    """What has computed what is in the folder. Raises `ConfigError` where it depends on something else."""
    path = folder.with_name(f"{folder.name}.json")
    known = read_json(path) if path.is_file() else None
    engines = known.pop("engines", []) if known else []
    if known != settings and any((folder / place).exists() for place in places):
        raise ConfigError(
            f"{folder} holds results of other weights or settings (see {path}): delete the folder, or pass another "
            "--output=dir"
        )
    _record(folder, settings, engines)
    return engines


def _record(folder, settings, engines):
    write_json(folder.with_name(f"{folder.name}.json"), {**settings, "engines": engines})


def _label(benchmark, predictor, sample, path):
    """Writes the result of an image, if it isn't there, and checks it. Returns whether it was computed."""
    image = benchmark.dataset.read_image(sample)
    computed = not path.is_file()
    if computed:
        with about(sample.name):
            probabilities = predictor(image)[MAIN]
        benchmark.write(path, probabilities, sample)
    try:
        benchmark.check(path, image.shape[:2])
    except DataError as error:
        raise DataError(f"{error}; delete it, and the same command writes it again") from None
    return computed


def _pack(packed, folder, places):
    """Writes the files at `places` of `folder` into the zip or tar.gz `packed`, whole or not at all."""
    data = io.BytesIO()
    if packed.suffix == ".zip":
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for place in places:
                archive.write(folder / place, place)
    else:
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for place in places:
                archive.add(folder / place, place)
    write_file(packed, data.getbuffer())
