"""Reading image and label files as a `DatasetSpec` says, with one clear line for whatever is wrong with them."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from data_pipelines.reading.decoding import ORIENTATIONS, image_values, is_jpeg, label_values, size_of
from data_pipelines.spec import DTYPES, IGNORE, DataError, DatasetSpec, Window

__all__ = ["read_image", "read_label", "read_masked", "size_of"]

WHOLE = 2**24  # float32 holds all integers up to that
PICTURES = DatasetSpec("RGB images", (), (), {}, mean=(0.0,) * 3, std=(1.0,) * 3)


def read_image(
    path: str | Path, spec: DatasetSpec | None = None, window: Window | None = None, orientation: str = "stored"
) -> np.ndarray:
    """Image [H, W, bands] of `spec.dtype`.

    Pictures have their bands in the order red, green, blue, alpha; palettes become colours. Grey pictures get three
    equal bands in data sets of 8-bit RGB, and an alpha channel too many is dropped where it is opaque. CMYK becomes
    RGB without colour profiles: (255 - C)(255 - K) / 255, and so on. Other numbers than 8- and 16-bit unsigned ones
    become float32 where that is `spec.dtype` and holds them exactly. Anything else must be as `spec` says.

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
    """An image, and where it has no data. Arguments and errors are those of `read_image`.

    Returns:
      (image as of `read_image`, mask). The mask is [H, W] bool, True where a band was `spec.nodata`; those values are
      the band's mean in the image. It is None where the data set has no such value.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation {orientation!r}: use one of {', '.join(ORIENTATIONS)}")
    spec = spec or PICTURES
    mean = np.array(spec.mean) if spec.dtype == "float32" else np.rint(spec.mean)
    pixels, size, alpha = image_values(path, window, orientation, as_rgb8=_is_rgb8(spec))
    pixels = _with_dtype(path, _with_bands(path, pixels, alpha, spec), spec)
    image, mask = _without_holes(path, pixels, spec, mean)
    image = np.ascontiguousarray(image)
    if window is None:
        return image, mask
    return _padded(image, window, size, mean), None if mask is None else _padded(mask, window, size, False)


def read_label(path: str | Path, spec: DatasetSpec, window: Window | None = None) -> np.ndarray:
    """Label map [H, W] uint8: class ids, and `IGNORE` for void.

    In the file, classes have the ids `spec.label_ids` (or their own), and void `spec.void_ids` or `IGNORE`. A palette
    is then for display alone. Where `spec` has `label_colours`, the file holds those and `spec.void_colours`.

    Args:
      path: of the file.
      spec: of its data set.
      window: part to return, of its size; None for all. Beyond the label lies `IGNORE`.

    Raises:
      DataError: unreadable file, more than one band (or no colours, where they are expected), or an id or a colour
        that `spec` doesn't know (file and value are named).
    """
    label, size, alpha = label_values(path, window, bool(spec.label_colours))
    ids = _ids_of_colours(path, label, alpha, spec) if spec.label_colours else _ids(path, label, spec)
    return ids if window is None else _padded(ids, window, size, IGNORE)


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


def _with_bands(path, pixels, alpha, spec):
    """`pixels` with `spec.bands` bands: without an opaque alpha channel too many, and grey as RGB."""
    found = pixels.shape[2]
    if found == spec.bands:
        return pixels
    if alpha and (found - 1 == spec.bands or found == 2 and _is_rgb8(spec)):
        opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        clear = np.count_nonzero(pixels[..., -1] != opaque)
        if clear:
            raise DataError(
                f"{path} has an alpha channel, not opaque in {_count(clear, 'pixel')}, and {spec.name} has "
                f"{_count(spec.bands, 'band')}: save it without alpha"
            )
        return _with_bands(path, pixels[..., :-1], False, spec)
    if found == 1 and _is_rgb8(spec):
        return np.repeat(pixels, 3, axis=2)
    raise DataError(
        f"{path} has {_count(found, 'band')}, but {spec.name} has {spec.bands}: convert it, or correct the data set's "
        "bands"
    )


def _with_dtype(path, pixels, spec):
    """`pixels` as `spec.dtype`, where that changes no value and hides no change of scale between files."""
    name = pixels.dtype.name
    if name == spec.dtype:
        return pixels.astype(spec.dtype, copy=False)  # in the machine's order of bytes
    if spec.dtype != "float32" or name in DTYPES or pixels.dtype.kind not in "iuf":
        raise DataError(
            f"{path} has {name} values, but {spec.name} has {spec.dtype}: their scales may differ, so convert it, or "
            "correct the data set's dtype"
        )
    with np.errstate(over="ignore"):
        converted = pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        exact = np.array_equal(converted, pixels, equal_nan=True)
    else:
        exact = not pixels.size or pixels.min() >= -WHOLE and pixels.max() <= WHOLE
    if not exact:
        raise DataError(f"{path} has {name} values that float32 can't hold exactly: convert it to float32")
    return converted


def _without_holes(path, pixels, spec, mean):
    """(`pixels` with `mean` where there is `spec.nodata`, [H, W] bool where that was or None)."""
    mask = None
    if spec.nodata is not None:
        holes = np.isnan(pixels) if np.isnan(spec.nodata) else pixels == spec.nodata
        mask = holes.any(axis=-1)
        pixels = np.where(holes, mean.astype(pixels.dtype), pixels)
    if spec.dtype == "float32" and not np.isfinite(pixels).all():
        count = np.count_nonzero(~np.isfinite(pixels).all(axis=-1))
        raise DataError(
            f"{path} has {_count(count, 'pixel')} with NaN or infinite values: replace them, or where NaN stands for "
            "no data, say so in the data set (nodata)"
        )
    return pixels, mask


def _is_rgb8(spec):
    return spec.dtype == "uint8" and spec.bands == 3 and spec.rgb is not None


def _ids(path, label, spec):
    """Class ids [h, w] uint8 for the ids [h, w, 1] of a label file."""
    if label.shape[2] != 1:
        raise DataError(f"label {path} has {label.shape[2]} channels: expected one channel of class ids")
    if label.dtype.kind not in "bui":
        raise DataError(f"label {path} holds {label.dtype.name} values: expected integers")
    label = label[..., 0]
    table = _table_of_ids(spec.num_classes, tuple(spec.label_ids), tuple(spec.void_ids))
    if label.dtype == np.uint8 and label.size:
        ids = cv2.LUT(label, table[:256])
    else:
        inside = (label >= 0) & (label < len(table))
        ids = np.where(inside, table[np.where(inside, label, 0).astype(np.uint16)], np.int16(-1))
    if ids.size and ids.min() < 0:
        classes = ", ".join(map(str, spec.label_ids)) or f"0 to {spec.num_classes - 1}"
        void = ", ".join(str(value) for value in (*spec.void_ids, IGNORE) if value not in spec.label_ids)
        found = sorted(np.unique(label[ids < 0]).tolist())
        raise DataError(
            f"label {path} holds {'value' if len(found) == 1 else 'values'} {', '.join(map(str, found[:5]))}: "
            f"{spec.name} knows classes {classes} and void {void}"
        )
    return ids.astype(np.uint8)


def _ids_of_colours(path, label, alpha, spec):
    """Class ids [h, w] uint8 for the colours [h, w, 3] of a label file, maybe with opaque alpha."""
    if alpha and label.shape[2] == 4 and (label[..., 3] == 255).all():
        label = label[..., :3]
    if label.shape[2] != 3 or label.dtype != np.uint8:
        shape = "x".join(map(str, label.shape))
        raise DataError(f"label {path} has {shape} {label.dtype.name} values: expected 8-bit colours in three channels")
    table = _table_of_colours(tuple(map(tuple, spec.label_colours)), tuple(map(tuple, spec.void_colours)))
    packed = _packed(label)
    ids = table[packed]
    if ids.size and ids.min() < 0:
        unknown, counts = np.unique(packed[ids < 0], return_counts=True)
        most = unknown[counts.argmax()]
        colour = tuple(int(most) >> shift & 255 for shift in (0, 8, 16))
        more = f", and {_count(len(unknown) - 1, 'further colour')}" if len(unknown) > 1 else ""
        hint = "; JPEG changes colours: use the original" if is_jpeg(path) else ""
        raise DataError(
            f"label {path} holds the colour {colour} in {_count(counts.max(), 'pixel')}{more}: {spec.name} has neither "
            f"a class nor void of that colour{hint}"
        )
    return ids.astype(np.uint8)


def _packed(colours):
    """[h, w] uint32 for [h, w, 3] uint8: red + 256 green + 65536 blue."""
    opaque = np.zeros((*colours.shape[:2], 4), np.uint8)
    opaque[..., :3] = colours
    return opaque.view("<u4")[..., 0]


@functools.lru_cache(maxsize=8)
def _table_of_ids(num_classes, label_ids, void_ids):
    """[65536] int16: value in a label file -> class id, `IGNORE`, or -1 where it is unknown."""
    table = np.full(np.iinfo(np.uint16).max + 1, -1, np.int16)
    table[[*void_ids, IGNORE]] = IGNORE
    table[list(label_ids) or slice(num_classes)] = np.arange(num_classes)
    return table


@functools.lru_cache(maxsize=2)
def _table_of_colours(label_colours, void_colours):
    """[2 ** 24] int16: colour as of `_packed` -> class id, `IGNORE`, or -1 where it is unknown."""
    table = np.full(2**24, -1, np.int16)
    for ids, colours in ((np.arange(len(label_colours)), label_colours), (IGNORE, void_colours)):
        table[_packed(np.array(colours, np.uint8).reshape(1, -1, 3))[0]] = ids
    return table


def _count(number, what):
    return f"{number} {what}{'' if number == 1 else 's'}"
