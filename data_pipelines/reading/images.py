"""Reading image and label files as a `DatasetSpec` says, with one clear line for whatever is wrong with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from data_pipelines.reading.decoding import ORIENTATIONS, image_values, label_values, size_of
from data_pipelines.reading.holes import Filled, either, equal, fill
from data_pipelines.reading.labels import class_ids, counted
from data_pipelines.spec import DTYPES, IGNORE, OF_IMAGES, OF_LABELS, DataError, DatasetSpec, Window

__all__ = ["check_sizes", "read_filled", "read_image", "read_label", "read_masked", "size_of"]

WHOLE = 2**24  # float32 holds all integers up to that
PICTURES = DatasetSpec("RGB images", (), (), {}, mean=(0.0,) * 3, std=(1.0,) * 3)


def read_image(
    path: str | Path, spec: DatasetSpec | None = None, window: Window | None = None, orientation: str = "stored"
) -> np.ndarray:
    """Image [H, W, bands] of `spec.dtype`.

    Pictures have their bands in the order red, green, blue, alpha; palettes become colours. Grey pictures get three
    equal bands in data sets of 8-bit RGB. An alpha channel too many is dropped: where it is 0, nothing was measured.
    CMYK becomes RGB without colour profiles: (255 - C)(255 - K) / 255, and so on. Other numbers than 8- and 16-bit
    unsigned ones become float32 where that is `spec.dtype` and holds them exactly; so do all that have a scale or an
    offset by their tags, which are applied. Anything else must be as `spec` says. Where nothing was measured stands the
    mean, see `holes`.

    Args:
      path: of the file.
      spec: of its data set; None for 8-bit RGB.
      window: part to return, of its size; None for all. Beyond the image lies the mean, rounded for integers.
      orientation: what to do about a camera's mark that the picture should be turned: "stored" gives the pixels as
        they are stored, "upright" turns them, "refuse" raises.

    Raises:
      DataError: the file is missing, damaged or not what `spec` says; or values are infinite, or NaN without being
        `spec.nodata`.
      ValueError: an unknown `orientation`.
    """
    return read_masked(path, spec, window, orientation)[0]


def read_masked(
    path: str | Path, spec: DatasetSpec | None = None, window: Window | None = None, orientation: str = "stored"
) -> tuple[np.ndarray, np.ndarray | None]:
    """An image, and where it is void. Arguments and errors are those of `read_image`.

    Returns:
      (image as of `read_image`, mask). The mask is [H, W] bool, True where `holes` says that a pixel is void; None
      where neither the data set nor the file knows of such pixels.
    """
    image, _, void = read_filled(path, spec, window, orientation)
    return image, void


def read_filled(
    path: str | Path, spec: DatasetSpec | None = None, window: Window | None = None, orientation: str = "stored"
) -> Filled:
    """An image, and what of it was not measured. Arguments and errors are those of `read_image`."""
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation {orientation!r}: use one of {', '.join(ORIENTATIONS)}")
    spec = spec or PICTURES
    stored = image_values(path, window, orientation, as_rgb8=_is_rgb8(spec))
    values, holes = _with_bands(path, stored, spec)
    if spec.nodata is not None:
        holes = either(holes, equal(values, spec.nodata))
    filled = fill(_with_dtype(path, values, holes, stored.scale, spec), holes, spec.filling, spec.nodata_rule)
    _check_finite(path, filled.image, spec)
    image, void = np.ascontiguousarray(filled.image), filled.void
    if window is None or image.shape[:2] == (window.height, window.width):
        return filled._replace(image=image)
    holes = np.zeros(image.shape, bool) if filled.filled is None else filled.filled
    return Filled(
        _padded(image, window, stored.size, spec.filling),
        _padded(holes, window, stored.size, True),
        None if void is None else _padded(void, window, stored.size, False),
    )


def read_label(
    path: str | Path,
    spec: DatasetSpec,
    window: Window | None = None,
    orientation: str = "stored",
    clear: int | None = None,
) -> np.ndarray:
    """Label map [H, W] uint8: class ids, and `IGNORE` for void.

    In the file, classes have the ids `spec.label_ids` (or their own), and void `spec.void_ids` or `IGNORE`. A palette
    is then for display alone. Where `spec` has `label_colours`, the file holds those and `spec.void_colours`. Further
    ones, and what all else is, are `spec.aliases`, `spec.rest` and `spec.labels_soft`. Void is also what the file's own
    nodata tag or mask says, if `spec.nodata_tags` counts that.

    Args:
      path: of the file.
      spec: of its data set.
      window: part to return, of its size; None for all. Beyond the label lies `IGNORE`.
      orientation: "stored" or "refuse", as for `read_image`.
      clear: as of `labels.class_ids`.

    Raises:
      DataError: unreadable file, more than one band (or no colours, where they are expected), an id or a colour
        that `spec` doesn't know (file and value are named), or a class that is nodata by the file's own tag.
    """
    stored = label_values(path, window, bool(spec.label_colours), orientation, lossy=bool(spec.labels_soft))
    void = stored.void.all(axis=-1) if stored.void is not None and spec.nodata_tags in OF_LABELS else None
    if void is None or not void.any():
        ids = class_ids(path, stored.values, stored.alpha, spec, clear)
    else:
        if stored.tag:
            _refuse_class_as_nodata(path, stored.values[void][:1], stored.alpha, spec)
        ids = np.full(void.shape, IGNORE, np.uint8)
        ids[~void] = class_ids(path, stored.values[~void][None], stored.alpha, spec, clear)[0]
    return ids if window is None else _padded(ids, window, stored.size, IGNORE)


def check_sizes(
    path: Path, pixels: np.ndarray, other: Path, others: np.ndarray, window: Window | None, role: str = ""
) -> None:
    """Raises `DataError` where two files of one image are not equally large.

    Args:
      path, other: of the files.
      pixels, others: what was read of each, [H, W, ...].
      window: the part that was read, which is equally large whatever it is cut from; None for all.
      role: words before the other's name, such as "its label ".
    """
    one, two = (size_of(path), size_of(other)) if window else (pixels.shape[:2], others.shape[:2])
    if one != two:
        raise DataError(
            f"{path} is {one[0]}x{one[1]} but {role}{other} is {two[0]}x{two[1]} (height x width): they must be equal"
        )


def _refuse_class_as_nodata(path, value, alpha, spec):
    """Raises `DataError` where the value, [1, bands], that is nodata by the label's own tag is that of a class."""
    try:
        known = dataclasses.replace(spec, rest=None, labels_soft="")
        found = int(class_ids(path, value[None], alpha, known)[0, 0])
    except DataError:  # nothing that the data set knows
        return
    if found != IGNORE:
        raise DataError(
            f"label {path} says by its nodata tag that {'/'.join(map(str, value[0].tolist()))} is nothing, and for "
            f"{spec.name} it is the class {spec.classes[found]!r}: list it as void, or set nodata_tags to images, and "
            "the tags of labels don't count"
        )


def _padded(pixels, window, size, fill):
    """`pixels`, what an image of `size` has of `window`, in a frame of `fill` as large as the window."""
    if pixels.shape[:2] == (window.height, window.width):
        return pixels
    rows, columns = window.inside(*size)
    whole = np.empty((window.height, window.width, *pixels.shape[2:]), pixels.dtype)
    whole[...] = fill
    top, left = rows.start - window.top, columns.start - window.left
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def _with_bands(path, stored, spec):
    """(values with `spec.bands` bands, without an alpha channel too many and grey as RGB; their holes or None)."""
    values, counts = stored.values, spec.nodata_tags in OF_IMAGES
    holes, found = stored.void if counts else None, values.shape[2]
    if found != spec.bands and stored.alpha and (found - 1 == spec.bands or found == 2 and _is_rgb8(spec)):
        values, clear = values[..., :-1], values[..., -1:] == 0
        holes = holes[..., :-1] if holes is not None and holes.shape[2] == found else holes
        holes = either(holes, clear) if counts and clear.any() else holes
    if values.shape[2] == spec.bands:
        return values, holes
    if values.shape[2] == 1 and _is_rgb8(spec):
        return np.repeat(values, 3, axis=2), holes
    first = "; channels first? An array is [height, width, bands]" if stored.size[0] == spec.bands else ""
    raise DataError(
        f"{path} has {counted(found, 'band')}, but {spec.name} has {spec.bands}: convert it, or correct the data set's "
        f"bands{first}"
    )


def _with_dtype(path, pixels, holes, scale, spec):
    """`pixels` as `spec.dtype`, where that changes no value and hides no change of scale between files."""
    name = pixels.dtype.name
    if scale:
        return _scaled(path, pixels, scale, spec)
    if name == spec.dtype:
        return pixels.astype(spec.dtype, copy=False)  # in the machine's order of bytes
    if spec.dtype != "float32" or name in DTYPES or pixels.dtype.kind not in "iuf":
        raise DataError(
            f"{path} has {name} values, but {spec.name} has {spec.dtype}: their scales may differ, so convert it, or "
            "correct the data set's dtype"
        )
    if holes is not None:
        pixels = np.where(holes, pixels.dtype.type(0), pixels)
    with np.errstate(over="ignore"):
        converted = pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        exact = np.array_equal(converted, pixels, equal_nan=True)
    else:
        exact = not pixels.size or pixels.min() >= -WHOLE and pixels.max() <= WHOLE
    if not exact:
        raise DataError(f"{path} has {name} values that float32 can't hold exactly: convert it to float32")
    return converted


def _scaled(path, pixels, scale, spec):
    """What was measured, float32, by the scale and offset of each band."""
    scales, offsets = (np.array(numbers[: pixels.shape[2]]) for numbers in scale)
    if spec.dtype != "float32":
        raise DataError(
            f"{path} has a scale of {scales[0]:g} and an offset of {offsets[0]:g} (its tags), but {spec.name} has "
            f"{spec.dtype}: with float32 as its dtype they are applied; or remove the tags from all files"
        )
    with np.errstate(all="ignore"):
        return (pixels * scales + offsets).astype(np.float32)


def _check_finite(path, pixels, spec):
    if spec.dtype == "float32" and not np.isfinite(pixels).all():
        count = np.count_nonzero(~np.isfinite(pixels).all(axis=-1))
        raise DataError(
            f"{path} has {counted(count, 'pixel')} with NaN or infinite values: replace them, or where NaN stands for "
            "no data, say so in the data set (nodata)"
        )


def _is_rgb8(spec):
    return spec.dtype == "uint8" and spec.bands == 3 and spec.rgb is not None
