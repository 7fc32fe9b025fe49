"""Windows of large rasters as samples, so that no pixel is in two splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_pipelines.own_data.description import REGION, Description
from data_pipelines.own_data.messages import note
from data_pipelines.own_data.splits import assign, in_folders
from data_pipelines.reading.images import size_of
from data_pipelines.reading.patches import cut, strided_starts
from data_pipelines.spec import DataError, Sample, Window

TRAIN = "train"
"""The split that is learnt; else it is the first."""


def divide(description: Description, images: Sequence[Sample], quiet: bool = False) -> dict[str, list[Sample]]:
    """Split -> its samples: whole images, or where the description has a patch, windows of them.

    Windows of an image are in the split that the image is in. Where `group` is region, or there is one image alone to
    share out, every image has a region for each split (`regions`), and windows lie within them.

    Args:
      description: what the splits are.
      images: all of them.
      quiet: without lines on stderr.

    Raises:
      DataError: as of `splits.assign`; a file can't be read; or an image is too small to be shared out.
    """
    patch = description.patch
    if not patch:
        return assign(description, images, quiet)
    shared = _shared_by_region(description, images)
    if shared:
        divided = _in_regions(description, images, shared)
    else:
        splits = assign(description, images, quiet).items()
        divided = {split: [(image, _whole(image)) for image in found] for split, found in splits}
    if not quiet:
        _tell_small(patch, [region for found in divided.values() for _, region in found])
    overlaps = {learnt_split(divided): description.overlap}
    return {
        split: [window for image, region in found for window in windows(image, region, patch, overlaps.get(split))]
        for split, found in divided.items()
    }


def all_of(description: Description, images: Sequence[Sample]) -> list[Sample]:
    """Images that are all learnt, or where the description has a patch, windows of them. Raises `DataError`."""
    if not description.patch:
        return [*images]
    size, overlap = description.patch, description.overlap
    return [window for image in images for window in windows(image, _whole(image), size, overlap)]


def learnt_split(splits: Mapping[str, object]) -> str:
    """The split that is trained on: "train", or else the first."""
    return TRAIN if TRAIN in splits else next(iter(splits))


def regions(height: int, width: int, shares: Mapping[str, float]) -> dict[str, Window]:
    """Split -> its part of an image: strips across the longer side in the order of the splits, from the top or left.

    Raises:
      DataError: a share is less than a pixel.
    """
    length, low, found = max(height, width), 0.0, {}
    for split, share in shares.items():
        first, last = round(length * low), round(length * min(low + share, 1))
        if last <= first:
            raise DataError(f"the share of split {split!r}, {share:g}, of {height}x{width} pixels is less than one")
        found[split] = (
            Window(first, 0, last - first, width) if height > width else Window(0, first, height, last - first)
        )
        low += share
    return found


def windows(image: Sample, region: Window, patch: tuple[int, int], overlap: int | None) -> list[Sample]:
    """Windows of an image that cover a region and nothing else, row by row.

    Args:
      image: the whole.
      region: part of it.
      patch: height and width of the windows; where the region is smaller, so are they.
      overlap: pixels that two of them share. The last of a row or column is moved back to the region's end, so that it
        shares more. None: no pixel is in two, so that each is scored once; they are as few as there can be, and of
        equal size to a pixel.
    """
    rows = _spans(region.top, region.height, patch[0], overlap)
    columns = _spans(region.left, region.width, patch[1], overlap)
    return [
        window for top, height in rows for left, width in columns for window in cut(image, [top], [left], height, width)
    ]


def told(patch: tuple[int, int]) -> str:
    """HEIGHTxWIDTH."""
    return "{}x{}".format(*patch)


def _shared_by_region(description, images):
    """The images of which every split has a region, or none."""
    if description.group == REGION and not description.shares:
        raise DataError(
            f"{description.path}: group is {REGION!r}, which needs shares in splits: {{train: 0.8, val: 0.2}}"
        )
    if not description.shares or description.group not in ("", REGION):
        return []
    _, placed = in_folders(description, [image.name for image in images])
    shared = [image for image in images if image.name not in placed]
    return shared if description.group == REGION or len(shared) == 1 else []


def _in_regions(description, images, shared):
    """Split -> [(image, region)]; those that are not shared are in the splits of their folders, whole."""
    placed, _ = in_folders(description, [image.name for image in images])
    by_name = {image.name: image for image in images}
    found = {split: [(by_name[name], _whole(by_name[name])) for name in names] for split, names in placed.items()}
    found.update({split: [] for split in description.shares})
    for image in shared:
        try:
            parts = regions(*size_of(image.image), description.shares)
        except DataError as error:
            raise DataError(f"{description.path}: {image.image}: {error}") from None
        for split, region in parts.items():
            found[split].append((image, region))
    return {split: found[split] for split in description.splits}


def _whole(image):
    return Window(0, 0, *size_of(image.image))


def _tell_small(patch, regions):
    small = sum(region.height < patch[0] or region.width < patch[1] for region in regions)
    if small:
        which = f"{small} of {len(regions)} images, or of their regions, are" if len(regions) > 1 else "the image is"
        note(f"{which} smaller than patch {told(patch)}: so are the windows of these")


def _spans(first, length, patch, overlap):
    """[(first pixel, pixels)] of the windows on one axis of a region."""
    if overlap is not None:
        return [(first + start, min(patch, length)) for start in strided_starts(length, patch, patch - overlap)]
    count = -(-length // patch)
    edges = [first + length * number // count for number in range(count + 1)]
    return [(start, end - start) for start, end in zip(edges, edges[1:])]
