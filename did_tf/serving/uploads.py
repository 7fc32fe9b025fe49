"""From the body of a request to an image: in a file, which is read by the very code that reads those of `predict`."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
from starlette.requests import Request

from data_pipelines.reading import rasters
from data_pipelines.reading.decoding import JPEG, PNG
from data_pipelines.reading.places import Place
from data_pipelines.spec import TIFF, DataError, DatasetSpec
from did_tf.inference import inputs
from did_tf.serving.limits import Limits
from did_tf.serving.refusals import Refused

HOW = "send the image itself as the body: curl --data-binary @image.png"
CHANNELS = 4  # that a picture has without being one of many bands
_numbers = itertools.count()


class Upload:
    """An image that was sent.

    Args:
      path: of the file that holds it.
      spec: of the network's data.
      limits: what it may be.

    Attributes:
      pixels: how many it has, by its header.

    Raises:
      Refused: it is none (415), is damaged (400) or too large (413).
    """

    def __init__(self, path: Path, spec: DatasetSpec, limits: Limits) -> None:
        self._path = path
        with open(path, "rb") as file:
            head = file.read(16)
        if not head:
            raise Refused(400, f"the body is empty: {HOW}")
        if not head.startswith((PNG, JPEG, *TIFF)):
            raise Refused(415, f"the body is no PNG, JPEG or TIFF: {HOW}")
        (self._input,) = inputs.find_images(path, path.parent / "nothing", spec)
        with self._refusing(400):
            height, width = self._input.size()
            bands = rasters.bands_of(path) if head.startswith(TIFF) else 1
        self.pixels = height * width
        # Bands beyond those of the data would be decoded before they are refused.
        if self.pixels * max(1, bands / max(CHANNELS, spec.bands)) > limits.max_pixels:
            told = f"{height}x{width} pixels" + (f" of {bands} bands" if bands > 1 else "")
            raise Refused(413, f"the image has {told}, and at most {limits.max_pixels} are taken: cut it into parts")

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """As of `inputs.Input`. Raises `Refused` where it can't be read or is not as the network's data."""
        with self._refusing(400):
            return self._input.read()

    def place(self) -> Place | None:
        """Where on earth it lies. Raises `Refused`."""
        with self._refusing(400):
            return self._input.place()

    @contextlib.contextmanager
    def _refusing(self, status: int) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise Refused(status, str(error).replace(str(self._path), "the image")) from None


@contextlib.asynccontextmanager
async def received(request: Request, folder: Path, limits: Limits) -> AsyncIterator[Path]:
    """The body of a request as a file in `folder`, which is there within the context.

    Raises:
      Refused: the body is a form (415) or too large (413), which its header says or its end would tell.
      starlette.requests.ClientDisconnect: the client is gone.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise Refused(415, f"the body is a form: {HOW}")
    too_large = Refused(413, f"the body has more than {limits.max_mb:g} MB: send a smaller file, or parts of the image")
    if int(request.headers.get("content-length") or 0) > limits.max_bytes:
        raise too_large
    path = folder / str(next(_numbers))
    try:
        with open(path, "wb") as file:
            async for part in request.stream():
                if file.tell() + len(part) > limits.max_bytes:
                    raise too_large
                file.write(part)
        yield path
    finally:
        path.unlink(missing_ok=True)
