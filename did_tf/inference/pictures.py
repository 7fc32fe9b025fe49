"""From a trained network and images to pictures of what it sees."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines.own_data.matching import IMAGES as EXTENSIONS
from data_pipelines.own_data.matching import list_files
from data_pipelines.own_data.parts import Part, part_specs, read_parts
from data_pipelines.reading.images import read_image
from data_pipelines.spec import DataError, Dataset, DatasetSpec
from did_tf.common import visualize
from did_tf.common.errors import ConfigError
from did_tf.scoring.evaluation import MAIN, PANEL

Read = Callable[[], np.ndarray]
"""Reads an image [H, W, bands], of the dtype of the network's data. Raises `DataError`."""


def find_images(
    source: str | Path, output: str | Path, spec: DatasetSpec, parts: Sequence[Part] = ()
) -> list[tuple[str, Read]]:
    """Images of `source`, each with its name: names are sorted and unique.

    Files are read as `spec` says, and upright, as a camera's mark (EXIF orientation) tells. Where an image is in
    several files, such a mark is refused in reading: that of a photograph says nothing about its depth.

    Args:
      source: an image, or a folder that is searched with its subfolders. Names are paths relative to it, without the
        extension where they are unique without it. Hidden files are left out.
      output: where results go; what already lies there is no input.
      spec: `DatasetSpec` of the network's data.
      parts: for images in several files each, data_pipelines' `Part`s that say where the bands come from. Where
        `source` has their subfolders, files of one name in them are an image; else each file has all bands.

    Raises:
      DataError: no such path, or no image in the folder.
      ConfigError: `output` is the folder `source` itself.
    """
    source, output = Path(source), Path(output)
    if source.is_file():
        return [(source.stem, partial(_read, source, spec, parts))]
    if not source.is_dir():
        raise DataError(f"no image or folder {source}: pass --input=file or --input=dir")
    if source.resolve() == output.resolve():
        raise ConfigError(f"results would mix with the images in {source}: pass another --output=dir")
    if len(parts) > 1 and (placed := _placed(parts, source)):
        return _find_in_parts(placed, spec)
    paths = [path for path in sorted(source.rglob("*")) if _is_input(path, source, output)]
    if not paths:
        raise DataError(f"no images in {source} or its subfolders: looked for {' '.join(sorted(EXTENSIONS))}")
    names = [str(path.relative_to(source).with_suffix("")) for path in paths]
    times = Counter(names)
    names = [str(path.relative_to(source)) if times[name] > 1 else name for path, name in zip(paths, names)]
    return [(name, partial(_read, path, spec, parts)) for name, path in zip(names, paths)]


def split_images(dataset: Dataset, split: str, count: int) -> list[tuple[str, Read]]:
    """The first `count` images of a split of a data set, each with its name. Raises `DataError`."""
    return [(sample.name, partial(dataset.read_image, sample)) for sample in dataset.samples(split)[:count]]


def write_pictures(
    folder: str | Path, name: str, image: np.ndarray, probabilities: Mapping[str, np.ndarray], spec: DatasetSpec
) -> None:
    """Writes what the network sees in one image, as PNG.

    - NAME_label.png: class ids, one band of 8 bits.
    - NAME_color.png: in the classes' colours.
    - NAME_overlay.png: these over the image.
    - NAME_outputs.png: image and outputs from coarse to fine, as Fig. 3 of the DID paper, thinned out to `PANEL` pixels
      a side.

    Args:
      folder: is created where there is none.
      name: may contain folders, which are created.
      image: [H, W, bands] of `spec.dtype`.
      probabilities: output name -> [H, W, num_classes], as of a `Predictor`.
      spec: `DatasetSpec`: its palette, and which bands are shown as red, green and blue.

    Raises:
      OSError: a file can't be written.
    """
    classes = {output: values.argmax(axis=-1).astype(np.uint8) for output, values in probabilities.items()}
    rgb = visualize.to_rgb(image, spec.rgb)
    pictures = {
        "label": classes[MAIN],
        "color": visualize.colorize(classes[MAIN], spec.palette),
        "overlay": visualize.overlay(rgb, classes[MAIN], spec.palette),
        "outputs": _outputs(rgb, classes, spec.palette),
    }
    for kind, picture in pictures.items():
        visualize.save_png(Path(folder) / f"{name}_{kind}.png", picture)


def _is_input(path, source, output):
    hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
    is_image = path.suffix.lower() in EXTENSIONS and path.is_file()
    return is_image and not hidden and output.resolve() not in path.resolve().parents


def _placed(parts, source):
    """`parts` with their folders below `source`, or nothing where it hasn't got them."""
    together = len({part.folder for part in parts}) == 1
    folders = [source if together else source / part.folder.name for part in parts]
    if len(set(folders)) != len({part.folder for part in parts}) or not all(map(Path.is_dir, folders)):
        return ()
    return tuple(dataclasses.replace(part, folder=folder) for part, folder in zip(parts, folders))


def _find_in_parts(parts, spec):
    """[(name, function that reads it)] of the images whose files lie in the folders of `parts`."""
    found = [list_files(part, parts, EXTENSIONS) for part in parts]
    names = sorted(set.union(*map(set, found)))
    for part, files in zip(parts, found):
        missing = [name for name in names if name not in files]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(names)} images have no file in {part.folder}, such as {missing[0]!r}"
            )
    specs = part_specs(parts, spec)
    return [(name, partial(_read_parts, [files[name] for files in found], specs)) for name in names]


def _read_parts(paths, specs):
    return read_parts(paths, specs, orientation="refuse")[0]


def _read(path, spec, parts):
    """The image [H, W, bands] in one file."""
    try:
        return read_image(path, spec, orientation="upright")  # no label has to fit
    except DataError as error:
        if len(parts) < 2:
            raise
        folders = " and ".join(part.folder.name for part in parts)
        raise DataError(f"{error}; or pass --input=dir with the subfolders {folders}") from None


def _outputs(rgb, classes, palette):
    """Image, side outputs and "main" in a row. Side outputs are named by block, the coarsest the highest."""
    step = -(-max(rgb.shape[:2]) // PANEL)
    order = [*sorted({*classes} - {MAIN}, reverse=True), MAIN]
    titles = ["block1" if output == MAIN and "block2" in classes else output for output in order]
    panels = [visualize.colorize(classes[output][::step, ::step], palette) for output in order]
    return visualize.side_by_side([rgb[::step, ::step], *panels], ["image", *titles])
