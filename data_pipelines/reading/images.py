"""Reading image and label files as a `DatasetSpec` says, with one clear line for whatever is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_pipelines.reading.decoding import ORIENTATIONS, image_values, label_values, size_of
from data_pipelines.reading.labels import class_ids
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
    is then for display alone. Where `spec` has `label_colours`, the file holds those and `spec.void_colours`. Further
    ones, and what all else is, are `spec.aliases`, `spec.rest` and `spec.labels_soft`.

    Args:
      path: of the file.
      spec: of its data set.
      window: part to return, of its size; None for all. Beyond the label lies `IGNORE`.

    Raises:
      DataError: unreadable file, more than one band (or no colours, where they are expected), or an id or a colour
        that `spec` doesn't know (file and value are named).
    """
    label, size, alpha = label_values(path, window, bool(spec.label_colours), lossy=bool(spec.labels_soft))
    ids = class_ids(path, label, alpha, spec)
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
    first = "; channels first? An array is [height, width, bands]" if pixels.shape[0] == spec.bands else ""
    raise DataError(
        f"{path} has {_count(found, 'band')}, but {spec.name} has {spec.bands}: convert it, or correct the data set's "
        f"bands{first}"
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


def _count(number, what):
    return f"{number} {what}{'' if number == 1 else 's'}"
