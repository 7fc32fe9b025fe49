"""The formats that a trained network is exported in: a row each."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from data_pipelines import extras
from did_tf.common.errors import ConfigError, nearest
from did_tf.inference.contract import Network
from did_tf.inference.formats import litert, onnx_file, openvino_ir, tensorflow_model

ALL = "all"


@dataclasses.dataclass(frozen=True)
class Format:
    """One format in one precision: a folder of files.

    Attributes:
      name: of the format, and of what runs it in `alone.KINDS`.
      precision: of weights or features.
      title: for people.
      runtime: what runs it, for people.
      file: in the folder, without which it is no such export.
      write: writes a network in the precision into a folder that is there.
      modules: that it takes, of the extra of its name.
    """

    name: str
    precision: str
    title: str
    runtime: str
    file: str
    write: Callable[[Network, Path, str], None]
    modules: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Name of its folder beside others'."""
        return self.name if self.exact else f"{self.name}_{self.precision}"

    @property
    def label(self) -> str:
        """For people, with the precision where that is another than float32."""
        return self.title if self.exact else f"{self.title} in {self.precision}"

    @property
    def exact(self) -> bool:
        """Whether it computes in float32, as the checkpoint does."""
        return self.precision == "float32"

    def check_packages(self) -> None:
        """Raises `ConfigError` where a package is missing."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ConfigError(
                    f"--format={self.name} needs the package {module} ({error}): {extras.install(self.name)}"
                ) from None


_SAVED_MODEL = ("SavedModel", "TensorFlow", "saved_model.pb", tensorflow_model.write)
_ONNX = ("ONNX file", "ONNX Runtime", "network.onnx", onnx_file.write, ("onnx", "tf2onnx", "onnxruntime"))
_OPENVINO = ("OpenVINO IR", "OpenVINO", "network.xml", openvino_ir.write, ("openvino",))
_LITERT = ("LiteRT file", "LiteRT", "network.tflite", litert.write, ("ai_edge_litert",))

FORMATS = (
    Format("saved_model", "float32", *_SAVED_MODEL),
    Format("saved_model", "bfloat16", *_SAVED_MODEL),
    Format("onnx", "float32", *_ONNX),
    Format("openvino", "float32", *_OPENVINO),
    Format("openvino", "float16", *_OPENVINO),
    Format("litert", "float32", *_LITERT),
    Format("litert", "float16", *_LITERT),
    Format("litert", "int8", *_LITERT),
)
SAVED_MODEL = FORMATS[0]
NAMES = tuple(dict.fromkeys(form.name for form in FORMATS))
PRECISIONS = tuple(dict.fromkeys(form.precision for form in FORMATS))


def choose(names: Sequence[str], precisions: Sequence[str]) -> list[Format]:
    """The rows of `FORMATS` of some names and precisions.

    Args:
      names: of `NAMES`, or `ALL`.
      precisions: of `PRECISIONS`; of each format those that it has. None: float32, and of `ALL` all.

    Raises:
      ConfigError: an unknown one, or a format has none of the precisions.
    """
    for flag, given, known in (("format", names, (*NAMES, ALL)), ("precision", precisions, PRECISIONS)):
        for word in given:
            if word not in known:
                raise ConfigError(f"--{flag} must be of {', '.join(known)}, got {word!r}{nearest(word, known)}")
    every = ALL in names
    wanted = precisions or (PRECISIONS if every else ("float32",))
    found = [form for form in FORMATS if (every or form.name in names) and form.precision in wanted]
    for name in names:
        if name != ALL and name not in {form.name for form in found}:
            has = ", ".join(form.precision for form in FORMATS if form.name == name)
            raise ConfigError(f"--format={name} has the precisions {has}, not {', '.join(wanted)}")
    return found
