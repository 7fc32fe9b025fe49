"""What a request gets: the labels of its image in the form that it asks for."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from rasterio.io import MemoryFile

from data_pipelines.reading.places import Place
from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common import visualize
from did_tf.inference import outputs
from did_tf.serving.refusals import Refused

NPY = "application/x-npy"


@dataclasses.dataclass(frozen=True)
class Seen:
    """An image and what the network sees in it.

    Attributes:
      image: [H, W, bands].
      classes: [H, W] uint8, their numbers, 255 where there is no data.
      place: where on earth it lies, or None.
      spec: of the network's data.
      model: what tells the network from others.
      measured: {measure: [H, W] float32} of those that the form needs.
    """

    image: np.ndarray
    classes: np.ndarray
    place: Place | None
    spec: DatasetSpec
    model: str
    measured: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Form:
    """A form of answers.

    Attributes:
      media: its type.
      encode: gives the body.
      words: what it is.
      sees: whether it needs the network; else the classes of `Seen` are 0, and 255 without data.
      measures: of how sure the network is, see `confidence`, that it needs.
    """

    media: str
    encode: Callable[[Seen], bytes]
    words: str
    sees: bool = True
    measures: Sequence[str] = ()


def chosen(name: str | None, accept: str) -> Form:
    """The form of a name or, without one, of the types that a client accepts; labels as PNG where it takes any.

    Raises:
      Refused: there is none of that name (400), or of these types (406).
    """
    if name is not None:
        if name not in FORMS:
            raise Refused(400, f"no format {name!r:.40}: ?format= is one of {', '.join(FORMS)}")
        return FORMS[name]
    for media in _by_preference(accept or "*/*"):
        if media in _BY_MEDIA:
            return FORMS[_BY_MEDIA[media]]
    raise Refused(406, f"no answer is {accept!r:.60}: Accept one of {', '.join(_BY_MEDIA)}, or pass ?format=")


def counted(seen: Seen) -> dict[str, object]:
    """How many pixels each class has, JSON-serialisable."""
    counts, size = np.bincount(seen.classes.ravel(), minlength=IGNORE + 1), seen.classes.size
    legend = outputs.legend(seen.spec)
    numbers = [*range(seen.spec.num_classes), IGNORE]
    *classes, void = (
        {"id": id_, "name": name, "color": list(colour), "pixels": int(counts[n]), "share": int(counts[n]) / size}
        for n, (id_, name, colour) in zip(numbers, legend)
    )
    height, width = seen.classes.shape
    return {"height": height, "width": width, "model": seen.model, "classes": classes, "void": void}


def _label(seen):
    return _png(outputs.own_ids(seen.classes, seen.spec))


def _color(seen):
    return _png(outputs.colours(seen.classes, seen.spec))


def _overlay(seen):
    return _png(visualize.overlay(outputs.shown(seen.image, seen.classes, seen.spec), seen.classes, seen.spec.palette))


def _image(seen):
    return _png(outputs.shown(seen.image, seen.classes, seen.spec))


def _npy(seen):
    return _array(seen.classes)


def _confidence(seen):
    return _array(seen.measured["confidence"])


def _json(seen):
    return json.dumps(counted(seen)).encode()


def _tiff(seen):
    with MemoryFile(ext=".tif") as memory:
        outputs.write_label(memory.name, seen.classes, seen.spec, seen.place)
        return bytes(memory.getbuffer())


FORMS = {
    "label": Form("image/png", _label, "ids of the classes as in your own labels, one band"),
    "color": Form("image/png", _color, "the classes' colours"),
    "overlay": Form("image/png", _overlay, "the colours over the image"),
    "tiff": Form("image/tiff", _tiff, "the ids as a GeoTIFF, where the image lies"),
    "json": Form("application/json", _json, "pixels of every class and their share of all"),
    "image": Form("image/png", _image, "the image as it was read, in red, green and blue", sees=False),
    "npy": Form(NPY, _npy, "numbers of the classes, counted from 0, as a NumPy array; 255 without data"),
    "confidence": Form(
        NPY, _confidence, "how probable the class is, as a NumPy array, NaN without data", measures=("confidence",)
    ),
}
"""By the name that `?format=` has."""
_BY_MEDIA = {
    "image/png": "label",
    "image/tiff": "tiff",
    "application/json": "json",
    NPY: "npy",
    "image/*": "label",
    "*/*": "label",
}


def _array(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _png(pixels):
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels)[1].tobytes()


def _by_preference(accept):
    """The types of an Accept header, the most wanted first, without those that are not wanted."""
    parts = [[word.strip() for word in part.split(";")] for part in accept.lower().split(",")]
    weights = {media: _weight(words) for media, *words in parts}
    return sorted((media for media, weight in weights.items() if weight > 0), key=lambda media: -weights[media])


def _weight(words):
    try:
        return next((float(word[2:]) for word in words if word.startswith("q=")), 1.0)
    except ValueError:
        return 1.0
