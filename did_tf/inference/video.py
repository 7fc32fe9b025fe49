"""Videos, frame by frame: read from a file or a folder of pictures, labelled, and written."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from data_pipelines.memory import check_room
from data_pipelines.own_data.matching import IMAGES
from data_pipelines.reading.images import read_masked
from data_pipelines.spec import IGNORE, DataError
from data_pipelines.writing import beside, naming
from did_tf.common import visualize
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError
from did_tf.common.readout import CLASSES, Readout
from did_tf.common.terminal import silent_stderr
from did_tf.inference import outputs

CODECS = {".mp4": "mp4v", ".webm": "VP90", ".avi": "MJPG", ".mkv": "FFV1"}
"""{ending: codec} that opencv-python's wheel writes; it has no H.264. Browsers play .webm; .mkv is without loss."""
RATE = 25.0
"""Frames per second where nothing says how many."""
SHOWN = {
    "overlay": lambda frame, classes, spec: visualize.overlay(frame, classes, spec.palette),
    "color": lambda frame, classes, spec: outputs.colours(classes, spec),
    "side_by_side": lambda frame, classes, spec: np.hstack([frame, outputs.colours(classes, spec)]),
}
"""{name: picture of a frame [H, W, 3], its classes [H, W], 255 where void, and the `DatasetSpec` of these}."""
_MISSED = 0.02  # share of the frames by which a header may be wrong: some formats tell a time alone

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is told in one line


class Frames:
    """The frames of a video file or a folder, one after the other: RGB, uint8 [H, W, 3]. They can be taken once.

    Attributes:
      rate: frames per second; None where nothing says so.
      count: how many there should be; 0 where nothing says so.
      void: [H, W] bool, where the frame that was given last has no data; None: nowhere.
    """

    rate: float | None = None
    count: int = 0
    void: np.ndarray | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        raise NotImplementedError

    def check(self, done: int, rate: float) -> None:
        """Says what is odd once all have been taken, of which `done` are written with so many a second.

        Raises:
          DataError: some could not be read.
        """
        raise NotImplementedError


class OfFile(Frames):
    """Those of a video, upright as its mark of rotation says, in the order in which they are shown."""

    def __init__(self, path: Path) -> None:
        with silent_stderr():
            self.path, self._capture, self._last = path, cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0.0
        if not self._capture.isOpened():
            raise DataError(f"cannot read {path}: it is no video, damaged, or of a codec that OpenCV's FFmpeg lacks")
        width, height = self._told(cv2.CAP_PROP_FRAME_WIDTH), self._told(cv2.CAP_PROP_FRAME_HEIGHT)
        check_room(str(path), int(width * height) * 3)
        self.rate = self._told(cv2.CAP_PROP_FPS) or None
        self.count = int(self._told(cv2.CAP_PROP_FRAME_COUNT))

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            read, frame = self._capture.read()
            if not read:
                return
            self._last = self._told(cv2.CAP_PROP_POS_MSEC) / 1000
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def check(self, done: int, rate: float) -> None:
        """As of `Frames`: frames at varying times are a note; at a rate of the user's own all times are others."""
        if done < self.count * (1 - _MISSED) - 1:
            raise DataError(f"{self.path} is damaged or cut off: {done} of its {self.count} frames could be read")
        if self._last and rate == self.rate and abs(self._last - (done - 1) / rate) > max(0.5, 2 / rate):
            print(
                f"note: the frames of {self.path} are not {rate:.6g} a second throughout: it takes {self._last:.1f} s, "
                f"and the output {done / rate:.1f} s"
            )

    def _told(self, what):
        """What the file says of itself, 0 for nothing or what can't be."""
        value = self._capture.get(what)
        return value if math.isfinite(value) and value > 0 else 0.0


class OfFolder(Frames):
    """The pictures of a folder by their names, numbers by what they count: 2 before 10. Those in subfolders are not."""

    def __init__(self, folder: Path) -> None:
        names = (path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith("."))
        self._paths, self._damage = sorted((path for path in names if path.is_file()), key=_by_numbers), Damage()
        self.count = len(self._paths)
        if not self.count:
            raise DataError(f"no frames in {folder}: looked for {' '.join(sorted(IMAGES))}")

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self._paths:
            with self._damage.of(path.name):
                frame, self.void = read_masked(path, orientation="upright")
                yield frame

    def check(self, done: int, rate: float) -> None:
        """As of `Frames`: those that can't be read are left out."""
        self._damage.tell("the output has all others")


class Smoothing:
    """The mean of a network's probabilities over frames, in which each counts less the longer ago it is.

    Args:
      weight: of what was before, in [0, 1): 0 forgets it; of 0.5 each frame counts half as much as the next.
      readout: how probabilities are read.
    """

    def __init__(self, weight: float, readout: Readout = CLASSES) -> None:
        self.weight, self._readout = weight, readout
        self._mean = np.empty((0, 0, 0), np.float32)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Classes [H, W] uint8 of a frame by the mean with those before; 255 where it has no data.

        Args:
          probabilities: float32 [H, W, C] of the next frame, NaN where it has no data. Of another size than the last,
            or where the last had none, it begins anew.
        """
        if self._mean.shape != probabilities.shape:
            self._mean = np.full_like(probabilities, np.nan)
        anew = np.isnan(self._mean)
        self._mean *= np.float32(self.weight)
        self._mean += np.float32(1 - self.weight) * probabilities
        np.copyto(self._mean, probabilities, where=anew)
        return np.where(
            np.isnan(self._mean[..., 0]), np.uint8(IGNORE), self._readout.classes(self._mean).astype(np.uint8)
        )


class Writer:
    """Writes pictures as a video, all of the size of the first; others are brought to it, with black around.

    Args:
      path: of a new file, whose ending is one of `CODECS`.
      rate: frames per second.

    Attributes:
      done: how many were written.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate, self.done = path, rate, 0
        self._size, self._writer = (0, 0), cv2.VideoWriter()

    def write(self, picture: np.ndarray) -> None:
        """Adds a picture, RGB uint8 [H, W, 3]. Raises `ConfigError` where the codec lacks or takes no such size."""
        if not self.done:
            self._open(*picture.shape[:2])
        with silent_stderr():  # where OpenCV tells of a full disk, and goes on
            self._writer.write(cv2.cvtColor(_fitted(picture, *self._size), cv2.COLOR_RGB2BGR))
        self.done += 1

    def close(self) -> None:
        """Ends the file. Raises OSError where it does not hold all pictures, of which OpenCV says nothing."""
        with silent_stderr():
            self._writer.release()
        read, there = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG), 0
        while read.grab():
            there += 1
        read.release()
        if there != self.done:
            raise OSError(None, f"{there} of {self.done} frames are there: is the disk full?", str(self.path))

    def _open(self, height, width):
        # Codecs store colours at half the size, and OpenCV drops the last of an odd number of rows.
        self._size = (height + height % 2, width + width % 2)
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix])
        with silent_stderr():  # where FFmpeg complains of codes that it then takes
            opened = self._writer.open(str(self.path), cv2.CAP_FFMPEG, code, self.rate, self._size[::-1])
        if not opened:
            raise ConfigError(
                f"OpenCV can't write {self.path.suffix} of {width}x{height} pixels at {self.rate:g} frames a second: "
                f"pass an --output=file of another kind: {' '.join(CODECS)}"
            )


@contextlib.contextmanager
def writing(path: str | Path, rate: float) -> Iterator[Writer]:
    """Gives a `Writer` of what is at `path` at the end, whole; where something is raised, nothing is.

    Args:
      path: of a file whose ending is one of `CODECS`. Its folder is created.
      rate: frames per second.

    Raises:
      OSError: it can't be written; the message names it.
    """
    path = Path(path)
    folder = beside(path)  # as FFmpeg goes by the ending, the file in it has a name of its own
    with naming(path):
        folder.mkdir(parents=True, exist_ok=True)
        writer = Writer(folder / f"video{path.suffix.lower()}", rate)
        try:
            yield writer
            writer.close()
            os.replace(writer.path, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def frames_of(source: str | Path) -> Frames:
    """The frames of a video file, or of a folder of pictures. Raises `DataError` where there are none."""
    source = Path(source)
    if source.is_dir():
        return OfFolder(source)
    if not source.is_file():
        raise DataError(f"no video or folder of frames {source}: pass --input=file or --input=dir")
    return OfFile(source)


def _by_numbers(path):
    """Sorts names by the numbers in them."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _fitted(picture, height, width):
    """The picture at this size: its last row and column repeated where that is an even size, else black around it."""
    missing = (height - picture.shape[0], width - picture.shape[1])
    if {*missing} <= {0, 1}:
        return cv2.copyMakeBorder(picture, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    return cv2.copyMakeBorder(
        smaller, top, height - size[1] - top, left, width - size[0] - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
