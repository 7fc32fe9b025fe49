"""What a trained network sees in an image, as files: PNG, or GeoTIFF where the image lies somewhere on earth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.errors import RasterioError, RasterioIOError

from data_pipelines.reading.places import Place
from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common import visualize
from did_tf.inference.refining import RefinedStrips
from did_tf.scoring.evaluation import MAIN, PANEL, REFINED, coarse_to_fine

VOID = "void"
"""What legends call that which has no class."""


class Seeing(Protocol):
    """What labels an image in strips of rows: a `Predictor`, or the like."""

    def strips(self, image: np.ndarray) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """See `Predictor.strips`."""


Strip = Callable[[slice, np.ndarray], None]
"""Takes rows of an image and their probabilities [rows, W, num_classes] float32."""


def see(
    predictor: Seeing,
    image: np.ndarray,
    mask: np.ndarray | None,
    keep: Strip | None = None,
    refine: RefinedStrips | None = None,
) -> dict[str, np.ndarray]:
    """The most probable class of every pixel, without ever holding all probabilities where there are tiles.

    Args:
      predictor: of the network.
      image: [H, W, bands], as it takes it.
      mask: [H, W] bool, where the image has no data; or None.
      keep: is given the probabilities that count in strips of rows, NaN where there is no data.
      refine: of this image, whose probabilities are then those that count in place of "main"; or None.

    Returns:
      Output name, `REFINED` too -> [H, W] uint8: number of the class, 255 where the image has no data.

    Raises:
      As a call of the predictor.
    """
    seen: dict[str, np.ndarray] = {}
    strips = predictor.strips(image)
    for rows, outputs in refine.in_turn(strips) if refine else strips:
        for name, values in outputs.items():
            _put(seen, name, rows, values, image)
        for refined, values in refine.take(outputs[MAIN]) if refine else [(rows, outputs[MAIN])]:
            if refine:
                _put(seen, REFINED, refined, values, image)
            if keep:
                keep(refined, values if mask is None else np.where(mask[refined, :, None], np.float32(np.nan), values))
    for classes in seen.values():
        if mask is not None:
            classes[mask] = IGNORE
    return seen


def _put(seen, name, rows, values, image):
    seen.setdefault(name, np.full(image.shape[:2], IGNORE, np.uint8))
    seen[name][rows] = values.argmax(axis=-1)


def write_pictures(
    folder: str | Path,
    name: str,
    image: np.ndarray,
    seen: Mapping[str, np.ndarray],
    spec: DatasetSpec,
    place: Place | None = None,
) -> None:
    """Writes what the network sees in one image, as PNG; label and color as GeoTIFF where the image has a place.

    - NAME_label: ids of the classes as in the data set's own labels, one band of 8 bits, or 16 where an id needs them.
    - NAME_color: in the classes' colours.
    - NAME_overlay.png: these over the image.
    - NAME_outputs.png: image and outputs from coarse to fine, as Fig. 3 of the DID paper, and what a CRF made of the
      last, as Fig. 7 of DUC's; thinned out to `PANEL` pixels a side.

    Args:
      folder: is created where there is none.
      name: may contain folders, which are created.
      image: [H, W, bands] of `spec.dtype`.
      seen: as of `see`.
      spec: `DatasetSpec`: its ids and palette, and which bands are shown as red, green and blue.
      place: where the image lies; None: nowhere.

    Raises:
      OSError: a file can't be written.
    """
    classes, rgb, void = seen.get(REFINED, seen[MAIN]), visualize.to_rgb(image, spec.rgb), visualize.void_colour(spec)
    rgb[classes == IGNORE] = void  # where what was read is no measurement
    labels, colours = own_ids(classes, spec), visualize.colorize(classes, spec.palette, void)
    path = Path(folder) / name
    if place:
        table = {number: colour for number, _, colour in legend(spec)} if labels.dtype == np.uint8 else None
        _write_tiff(f"{path}_label.tif", labels[..., None], place, spec.void_id, table)
        _write_tiff(f"{path}_color.tif", colours, place)
    else:
        visualize.save_png(f"{path}_label.png", labels)
        visualize.save_png(f"{path}_color.png", colours)
    visualize.save_png(f"{path}_overlay.png", visualize.overlay(rgb, classes, spec.palette))
    visualize.save_png(f"{path}_outputs.png", _outputs(rgb, seen, spec.palette, void))


@contextlib.contextmanager
def probability_file(
    folder: str | Path, name: str, size: tuple[int, int], spec: DatasetSpec, place: Place | None
) -> Iterator[Strip]:
    """A file of probabilities that takes them in strips of rows: float32, a band per class, NaN where there is no data.

    NAME_probabilities.tif where the image has a place, else NAME_probabilities.npy of [H, W, num_classes].

    Args:
      folder, name, place: as for `write_pictures`.
      size: (height, width) of the image.
      spec: whose classes the bands are.

    Raises:
      OSError: it can't be written.
    """
    path = Path(folder) / f"{name}_probabilities"
    path.parent.mkdir(parents=True, exist_ok=True)
    if place is None:
        shape = (*size, spec.num_classes)
        array = np.lib.format.open_memmap(f"{path}.npy", "w+", np.float32, shape)  # type: ignore[no-untyped-call]
        yield array.__setitem__
        array.flush()
        return
    with _tiff(f"{path}.tif", (*size, spec.num_classes), np.float32, place, nodata=np.nan) as file:
        file.descriptions = spec.classes
        yield lambda rows, values: file.write(values.transpose(2, 0, 1), window=((rows.start, rows.stop), (0, size[1])))


def own_ids(classes: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """Numbers of classes, and 255, as the ids that the data set's labels have: uint8, or uint16 where one needs it."""
    wide = max(*spec.output_ids, spec.void_id) > np.iinfo(np.uint8).max
    table = np.full(IGNORE + 1, spec.void_id, np.uint16 if wide else np.uint8)
    table[: spec.num_classes] = spec.output_ids
    return table[classes]


def legend(spec: DatasetSpec) -> list[tuple[int, str, tuple[int, int, int]]]:
    """(id in NAME_label, name, colour) of every class, and of what has none."""
    return [*zip(spec.output_ids, spec.classes, spec.palette), (spec.void_id, VOID, visualize.void_colour(spec))]


def write_legend(path: str | Path, spec: DatasetSpec) -> None:
    """Writes a picture of the `legend`. Raises `OSError` where that fails."""
    entries = legend(spec)
    names = [f"{number}  {name}" for number, name, _ in entries]
    visualize.save_png(path, visualize.legend(names, [colour for *_, colour in entries]))


def _outputs(rgb, seen, palette, void):
    """Image, side outputs, "main" and `REFINED` in a row. Side outputs are named by block, the coarsest the highest."""
    step = -(-max(rgb.shape[:2]) // PANEL)
    order = coarse_to_fine(seen)
    titles = ["block1" if output == MAIN and "block2" in seen else output for output in order]
    panels = [visualize.colorize(seen[output][::step, ::step], palette, void) for output in order]
    return visualize.side_by_side([rgb[::step, ::step], *panels], ["image", *titles])


def _write_tiff(path, pixels, place, nodata=None, colours=None):
    with _tiff(path, pixels.shape, pixels.dtype, place, nodata=nodata, compress="deflate") as file:
        file.write(pixels.transpose(2, 0, 1))
        if colours:
            file.write_colormap(1, colours)


@contextlib.contextmanager
def _tiff(path: str, shape: Iterable[int], dtype: Any, place: Place, **options: Any) -> Iterator[Any]:
    """A GeoTIFF to write to. Raises `OSError` where that fails."""
    height, width, count = shape
    where = {"crs": place.crs or None, "transform": rasterio.Affine(*place.transform)}
    size = {"height": height, "width": width, "count": count, "dtype": dtype}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with rasterio.open(path, "w", driver="GTiff", **size, **where, BIGTIFF="IF_SAFER", **options) as file:
            yield file
    except (RasterioError, RasterioIOError) as error:
        raise OSError(None, f"cannot write: {error}", path) from None
