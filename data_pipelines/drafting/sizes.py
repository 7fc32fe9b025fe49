"""Whether an image and its label are equally large, and of one place, before anything else is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.drafting.contents import each
from data_pipelines.own_data.messages import some
from data_pipelines.reading.decoding import array_shape, size_of
from data_pipelines.reading.places import check_places
from data_pipelines.spec import DataError


def check_channels(image: Path, label: Path) -> None:
    """Raises `DataError` where one of a pair is an array that has its channels first."""
    for one, other in ((image, label), (label, image)):
        shape, beside = array_shape(one), array_shape(other) or size_of(other)
        if shape and size_of(image) != size_of(label) and shape[1:] in (beside[:2], beside[1:]):
            way = "[height, width, channels]: np.moveaxis(array, 0, -1)"
            if one is label:
                way = f"[height, width] of ids: array{'[0]' if shape[0] == 1 else '.argmax(0)'}"
            raise DataError(
                f"{one} is an array of {_by(shape)} and {other} of {_by(beside)}: channels first? Save arrays as {way}"
            )


def compare(images: Mapping[str, Path], labels: Mapping[str, Path], names: Sequence[str]) -> list[str]:
    """What is to be told of the sizes of the pairs `names`: nothing where all are equal.

    Args:
      images, labels: name -> path.
      names: those that both have.

    Raises:
      DataError: a file can't be read, or no pair is equal in size.
    """
    sizes = [dict(each(size_of, [files[name] for name in names], "comparing sizes")) for files in (images, labels)]
    differ = [name for name in names if sizes[0][images[name]] != sizes[1][labels[name]]]
    if not differ:
        return []
    image, label = images[differ[0]], labels[differ[0]]
    told = f"{image} is {_by(sizes[0][image])} but {label} is {_by(sizes[1][label])} (height x width)"
    if len(differ) == len(names):
        raise DataError(f"{told}, and no pair is equal in size: convert them, or name the folders that belong together")
    return [f"{len(differ)} of {len(names)} pairs differ in size ({some(differ)}): {told}; mend them or leave them out"]


def compare_places(images: Mapping[str, Path], others: Mapping[str, Path], names: Sequence[str]) -> list[str]:
    """What is to be told of where the pairs `names` of images and other files lie on earth: nothing where all fit."""
    pairs = dict(zip((images[name] for name in names), names))
    found = list(each(lambda path: _apart(path, others[pairs[path]]), list(pairs), "comparing places"))
    if not found:
        return []
    differ = [pairs[path] for path, _ in found]
    return [
        f"{len(differ)} of {len(names)} pairs are not of one place ({some(differ)}), and are refused: {found[0][1]}"
    ]


def _apart(path, other):
    try:
        check_places(path, other)
    except DataError as error:
        return str(error)
    return None


def _by(shape):
    return "x".join(map(str, shape))
