"""What a trained network sees in an image, as files: PNG, or GeoTIFF where the image lies somewhere on earth.

`KINDS` has what may be wanted; all is written in strips of rows, so that nothing of a large image is held as a whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
from rasterio.errors import RasterioError, RasterioIOError

from data_pipelines.reading.places import Place
from data_pipelines.spec import IGNORE, DatasetSpec
from data_pipelines.writing import naming
from did_tf.common import visualize
from did_tf.common.readout import CLASSES, Readout, readout_of
from did_tf.inference import areas, polygons, strips
from did_tf.inference.confidence import MEASURES, sureness
from did_tf.inference.refining import RefinedStrips
from did_tf.inference.rows import Rows
from did_tf.scoring.evaluation import MAIN, PANEL, REFINED, coarse_to_fine

PICTURES = ("label", "color", "overlay", "outputs")
"""What is written of an image where nothing else is said."""
KINDS = (*PICTURES, "probabilities", *MEASURES, "polygons", "areas")
"""What can be."""
SHOWN = 4096
"""Pixels a side of an image too large to be looked at."""
BLOCK = 512  # pixels a side of a TIFF's tiles
VOID = "void"
"""What legends call that which has no class."""


class Seeing(Protocol):
    """What labels an image in strips of rows: a `Predictor`, or the like."""

    def strips(self, image: np.ndarray) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """See `Predictor.strips`."""


Strip = Callable[[slice, np.ndarray], None]
"""Takes rows of an image and their probabilities [rows, W, L] float32, of classes or regions."""


def see(
    predictor: Seeing,
    image: np.ndarray,
    mask: np.ndarray | None,
    keep: Strip | None = None,
    refine: RefinedStrips | None = None,
    readout: Readout = CLASSES,
) -> dict[str, np.ndarray]:
    """The class of every pixel, as `readout` says, without ever holding all probabilities where there are tiles.

    Args:
      predictor: of the network.
      image: [H, W, bands], as it takes it.
      mask: [H, W] bool, where the image has no data; or None.
      keep: is given the probabilities that count in strips of rows, NaN where there is no data.
      refine: of this image, whose probabilities are then those that count in place of "main"; or None.
      readout: how probabilities are read.

    Returns:
      Output name, `REFINED` too -> [H, W] uint8: number of the class, 255 where the image has no data.

    Raises:
      As a call of the predictor.
    """
    seen: dict[str, np.ndarray] = {}
    strips = predictor.strips(image)
    for rows, outputs in refine.in_turn(strips) if refine else strips:
        for name, values in outputs.items():
            _put(seen, name, rows, readout.classes(values), image)
        for refined, values in refine.take(outputs[MAIN]) if refine else [(rows, outputs[MAIN])]:
            if refine:
                _put(seen, REFINED, refined, readout.classes(values), image)
            if keep:
                keep(refined, values if mask is None else np.where(mask[refined, :, None], np.float32(np.nan), values))
    for classes in seen.values():
        if mask is not None:
            classes[mask] = IGNORE
    return seen


def _put(seen, name, rows, classes, image):
    seen.setdefault(name, np.full(image.shape[:2], IGNORE, np.uint8))
    seen[name][rows] = classes


def measures_for(kinds: Collection[str], only_sure: bool = False) -> list[str]:
    """Those of `MEASURES` that are needed to write `kinds`: polygons and areas tell how sure the network is.

    So does writing those classes alone that it is sure of (`only_sure`).
    """
    sure = {"confidence"} if only_sure or {"polygons", "areas"} & {*kinds} else set()
    return [name for name in MEASURES if name in {*kinds} | sure]


def measuring(
    size: tuple[int, int], measures: Collection[str], readout: Readout = CLASSES
) -> tuple[dict[str, np.ndarray], Strip]:
    """({measure: float32 [H, W], to be filled} of some `MEASURES`, what fills them from probabilities)."""
    found = {name: np.empty(size, np.float32) for name in measures}

    def keep(rows: slice, values: np.ndarray) -> None:
        for name, array in found.items():
            array[rows] = sureness(name, values, readout)

    return found, keep


@contextlib.contextmanager
def keeping(
    folder: str | Path,
    name: str,
    size: tuple[int, int],
    spec: DatasetSpec,
    place: Place | None,
    measures: Collection[str],
) -> Iterator[tuple[dict[str, np.ndarray], Strip]]:
    """As `measuring`; NAME_probabilities is written too: `probability_file`, which raises."""
    found, measure = measuring(size, measures, readout_of(spec))
    with probability_file(folder, name, size, spec, place) as write:

        def keep(rows: slice, values: np.ndarray) -> None:
            write(rows, values)
            measure(rows, values)

        yield found, keep


def write_results(
    folder: str | Path,
    name: str,
    image: np.ndarray,
    seen: Mapping[str, np.ndarray],
    spec: DatasetSpec,
    place: Place | None = None,
    kinds: Collection[str] = PICTURES,
    measured: Mapping[str, np.ndarray] = {},
    whole: np.ndarray | None = None,
) -> None:
    """Writes what the network sees in one image, as PNG; label and color as GeoTIFF where the image has a place.

    - NAME_label: ids of the classes as in the data set's own labels, one band of 8 bits, or 16 where an id needs them.
    - NAME_color: in the classes' colours.
    - NAME_overlay.png: these over the image.
    - NAME_outputs.png: image and outputs from coarse to fine, as Fig. 3 of the DID paper, and what a CRF made of the
      last, as Fig. 7 of DUC's; thinned out to `PANEL` pixels a side.
    - NAME_confidence, NAME_entropy, NAME_margin: see `confidence`; float32, GeoTIFF or .npy.
    - NAME_polygons.geojson, NAME_areas.csv: see `polygons` and `areas`.

    Args:
      folder: is created where there is none.
      name: may contain folders, which are created.
      image: [H, W, bands] of `spec.dtype`.
      seen: as of `see`.
      spec: `DatasetSpec`: its ids and palette, and which bands are shown as red, green and blue.
      place: where the image lies; None: nowhere.
      kinds: what is written, of `KINDS` less "probabilities".
      measured: {name: float32 [H, W]} of `measures_for` these kinds.
      whole: classes [H, W] of all that was measured, where `seen` leaves out some of it; None: it doesn't.

    Raises:
      OSError: a file can't be written.
    """
    path, classes = Path(folder) / name, seen.get(REFINED, seen[MAIN])
    path.parent.mkdir(parents=True, exist_ok=True)
    if place:
        _write_labels(path, classes, spec, place, kinds)
    else:
        pictures = {"label": own_ids, "color": colours}
        for kind in [kind for kind in pictures if kind in kinds]:
            visualize.save_png(f"{path}_{kind}.png", pictures[kind](classes, spec))
    _write_shown(path, image, seen, spec, kinds, whole)
    _write_derived(path, name, classes, measured, spec, place, kinds)


def write_large(
    folder: str | Path,
    name: str,
    image: Rows,
    found: Mapping[str, Any],
    spec: DatasetSpec,
    place: Place | None,
    kinds: Collection[str],
    whole: Any,
) -> None:
    """Writes what the network sees in an image of any size, as `write_results`; but always label and color as TIFF.

    Overlay and outputs are thinned out to `SHOWN` pixels a side.

    Args:
      folder, name, spec, place: as of `write_results`.
      image: gives rows of itself.
      found: {"main": classes [H, W], "probabilities" where wanted: [H, W, classes], a measure: [H, W]}, which give
        their rows, as the image does.
      kinds: of `KINDS`.
      whole: classes [H, W] of all that was measured, of which "main" may leave out some; likewise.

    Raises:
      DataError: the image can't be read.
      OSError: a file can't be written.
    """
    path, classes = Path(folder) / name, found[MAIN]
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_labels(path, classes, spec, place, kinds)
    if {"overlay", "outputs"} & {*kinds}:
        step = -(-max(classes.shape) // SHOWN)
        seen = {MAIN: _thinned(classes, step)}
        _write_shown(path, _thinned(image, step), seen, spec, kinds, _thinned(whole, step))
    _write_derived(path, name, classes, found, spec, place, kinds)
    if "probabilities" in kinds:
        with probability_file(folder, name, classes.shape, spec, place) as keep:
            for rows in strips.parts(*classes.shape):
                keep(rows, found["probabilities"][rows])


def _write_labels(path, classes, spec, place, kinds):
    """NAME_label and NAME_color as TIFF."""
    if "label" in kinds:
        write_label(f"{path}_label.tif", classes, spec, place)
    if "color" in kinds:
        _write_rows(f"{path}_color.tif", classes, lambda rows: colours(rows, spec), place)


def write_label(path: str, classes: Any, spec: DatasetSpec, place: Place | None) -> None:
    """Writes NAME_label as a TIFF, with a table of colours where ids have 8 bits.

    Args:
      path: of it, in a folder that is there.
      classes: [H, W] uint8, numbers of classes and 255: an array, or what gives rows of one.
      spec, place: as of `write_results`.

    Raises:
      OSError: that fails.
    """
    ids = own_ids(np.zeros((1, 1), np.uint8), spec).dtype
    table = {number: colour for number, _, colour in legend(spec)} if ids == np.uint8 else None
    _write_rows(path, classes, lambda rows: own_ids(rows, spec)[..., None], place, spec.void_id, table)


def _write_shown(path, image, seen, spec, kinds, whole):
    """NAME_overlay.png and NAME_outputs.png."""
    if not {"overlay", "outputs"} & {*kinds}:
        return
    classes = seen.get(REFINED, seen[MAIN])
    rgb = shown(image, classes if whole is None else whole, spec)
    if "overlay" in kinds:
        visualize.save_png(f"{path}_overlay.png", visualize.overlay(rgb, classes, spec.palette))
    if "outputs" in kinds:
        visualize.save_png(f"{path}_outputs.png", _outputs(rgb, seen, spec.palette, visualize.void_colour(spec)))


def _write_derived(path, name, classes, measured, spec, place, kinds):
    """Measures, polygons and areas."""
    for kind in [kind for kind in MEASURES if kind in kinds]:
        _write_measure(f"{path}_{kind}", measured[kind], place)
    confidence = measured.get("confidence")
    if "polygons" in kinds:
        polygons.write(f"{path}_polygons.geojson", strips.of_arrays(classes, confidence), spec, place)
    if "areas" in kinds:
        counted = areas.Areas(spec.num_classes)
        for part, sure in strips.of_arrays(classes, confidence):
            counted.add(part, sure)
        areas.write(f"{path}_areas.csv", counted.rows(name, spec, place))


def _write_measure(path, values, place):
    if place:
        _write_rows(f"{path}.tif", values, lambda rows: rows[..., None], place, np.nan)
        return
    array = _npy(f"{path}.npy", values.shape)
    for rows in strips.parts(*values.shape):
        array[rows] = values[rows]
    array.flush()


def _npy(path, shape):
    """A .npy of float32 to write into, whose room on the disk is taken: else a full one is no error later, but SIGBUS.

    Raises OSError.
    """
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)  # type: ignore[no-untyped-call]
    if hasattr(os, "posix_fallocate"):
        with naming(path), open(path, "r+b") as file:
            _take_room(file)
    return array


def _take_room(file):
    try:
        os.posix_fallocate(file.fileno(), 0, os.path.getsize(file.name))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without it
            raise


def _thinned(image, step):
    """Every `step`-th pixel of every `step`-th row, which are read with those between them: files have blocks.

    At a time as many rows as tiles of TIFFs have, or several times as many, so that none is decoded twice.
    """
    height, width = image.shape[:2]
    rows = BLOCK * max(1, strips.PIXELS // (BLOCK * width))
    return np.concatenate([image[top : top + rows][-top % step :: step, ::step] for top in range(0, height, rows)])


def shown(image: np.ndarray, classes: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """[H, W, 3] uint8: the image, in the colour of void where `classes` is 255, for there it is no measurement."""
    rgb = visualize.to_rgb(image, spec.rgb).copy()
    rgb[classes == IGNORE] = visualize.void_colour(spec)
    return rgb


def colours(classes: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """[H, W, 3] uint8: classes [H, W], and 255, in their colours."""
    return visualize.colorize(classes, spec.palette, visualize.void_colour(spec))


@contextlib.contextmanager
def probability_file(
    folder: str | Path, name: str, size: tuple[int, int], spec: DatasetSpec, place: Place | None
) -> Iterator[Strip]:
    """A file of probabilities that takes them in strips of rows: float32, NaN where there is no data.

    A band is of a class or, of data with regions, of a region. NAME_probabilities.tif where the image has a place, else
    NAME_probabilities.npy of [H, W, bands].

    Args:
      folder, name, place: as for `write_results`.
      size: (height, width) of the image.
      spec: whose classes or regions the bands are.

    Raises:
      OSError: it can't be written.
    """
    path = Path(folder) / f"{name}_probabilities"
    path.parent.mkdir(parents=True, exist_ok=True)
    if place is None:
        shape = (*size, len(spec.logits))
        array = _npy(f"{path}.npy", shape)
        yield array.__setitem__
        array.flush()
        return
    with _tiff(f"{path}.tif", (*size, len(spec.logits)), np.float32, place, nodata=np.nan) as file:
        file.descriptions = spec.logits
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


def _write_rows(path, values, pixels_of, place, nodata=None, colours=None):
    """A compressed TIFF of what `pixels_of` makes, [rows, W, bands], of rows of `values`."""
    height, width = values.shape[:2]
    first = pixels_of(np.asarray(values[0:1]))
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK} if min(height, width) >= BLOCK else {}
    options = {"nodata": nodata, "compress": "deflate", **tiles}
    with _tiff(path, (height, width, first.shape[2]), first.dtype, place, **options) as file:
        for top in range(0, height, BLOCK):
            rows = slice(top, min(top + BLOCK, height))
            part = pixels_of(np.asarray(values[rows])).transpose(2, 0, 1)
            file.write(part, window=((rows.start, rows.stop), (0, width)))
        if colours:
            file.write_colormap(1, colours)


@contextlib.contextmanager
def _tiff(path: str, shape: Iterable[int], dtype: Any, place: Place | None, **options: Any) -> Iterator[Any]:
    """A TIFF to write to, which lies at a place. Raises `OSError` where that fails."""
    height, width, count = shape
    where = {"crs": place.crs or None, "transform": rasterio.Affine(*place.transform)} if place else {}
    size = {"height": height, "width": width, "count": count, "dtype": dtype}
    try:
        with rasterio.open(path, "w", driver="GTiff", **size, **where, BIGTIFF="IF_SAFER", **options) as file:
            yield file
    except (RasterioError, RasterioIOError) as error:
        raise OSError(None, f"cannot write: {error}", path) from None
