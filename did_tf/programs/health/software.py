"""Python, TensorFlow, Keras, and what else did_tf needs or can use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator

import tensorflow as tf
from packaging.requirements import Requirement  # TensorFlow needs it, too

from data_pipelines import extras
from did_tf.programs.health.findings import ABSENT, GOOD, NOTE, WRONG, Finding

PYTHON = (3, 10)
EXTRAS = {
    "cityscapes": ("cityscapesScripts", "draws Cityscapes' labels from polygons"),
    "crf": ("pydensecrf2", "--crf"),
    "openvino": ("openvino", "--engine=openvino, --format=openvino"),
    "onnx": ("tf2onnx", "--format=onnx"),
    "litert": ("ai-edge-litert", "--format=litert"),
    "search": ("optuna", "`did_tf search`"),
    "serve": ("starlette", "`did_tf serve`"),
    "surfaces": ("surface-distance", "evaluate --surfaces"),
    "addons": ("tensorflow-addons", "tfa.* optimizers, on TensorFlow 2.15"),
}
"""{extra of setup.py: (the package that tells it is there, what it is for)}; that of GPUs is looked at with these."""
SHOWN = ("numpy", "opencv-python", "opencv-python-headless", "pillow", "rasterio", "matplotlib", "ml_collections")


def look() -> Iterator[Finding]:
    """One finding after the other."""
    yield _python()
    yield _tensorflow()
    yield _packages()
    yield from (_extra(name, *about) for name, about in EXTRAS.items())


def version(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python():
    found = platform.python_version()
    facts = {"python": found, "system": platform.platform(), "implementation": platform.python_implementation()}
    if sys.version_info < PYTHON or sys.maxsize < 2**32:
        wanted = ".".join(map(str, PYTHON))
        return Finding("Python", WRONG, f"{found} on {facts['system']}", f"take {wanted} or later, of 64 bits", facts)
    return Finding("Python", GOOD, f"{found} on {facts['system']}", facts=facts)


def _tensorflow():
    keras = tf.keras.__version__ if hasattr(tf.keras, "__version__") else version("keras")
    build = tf.sysconfig.get_build_info()
    facts = {"tensorflow": tf.__version__, "keras": keras, "cuda_build": bool(build.get("is_cuda_build"))}
    stack = "the newer stack" if str(keras).startswith("3") else "the stack of TensorFlow 2.15"
    return Finding("TensorFlow", GOOD, f"{tf.__version__} with Keras {keras}: {stack}", facts=facts)


def _packages():
    """Whether all that setup.py asks for is there, in versions that it admits."""
    told = {name: found for name in SHOWN if (found := version(name))}
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("did_tf") or []]
    except importlib.metadata.PackageNotFoundError:
        told_so = "did_tf runs from its folder and is not installed, so that nothing says what it needs"
        return Finding("packages", NOTE, told_so, "pip install -e .", told)
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    unfit = [one for one in needed if not _fits(one)]
    if unfit:
        lacking = ", ".join(f"{one.name} {version(one.name) or 'is missing'} ({one.specifier})" for one in unfit)
        install = " ".join(f"'{one.name}{one.specifier}'" for one in unfit)
        return Finding("packages", WRONG, lacking, f"pip install {install}", told)
    return Finding("packages", GOOD, ", ".join(f"{name} {found}" for name, found in told.items()), facts=told)


def _fits(requirement):
    found = version(requirement.name)
    if found is None and requirement.name == "opencv-python":  # the same module without windows
        found = version("opencv-python-headless")
    if found is None and requirement.name == "tensorflow":
        found = version("tensorflow-cpu") or version("tensorflow-macos") or tf.__version__
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _extra(name, package, purpose):
    found = version(package)
    facts = {"package": package, "version": found}
    if found:
        return Finding(f"extra {name}", GOOD, f"{package} {found}", facts=facts)
    told = f"not installed (optional): {purpose}; {extras.install(name)} brings it"
    return Finding(f"extra {name}", ABSENT, told, facts=facts)
