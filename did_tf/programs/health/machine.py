"""Processor, GPUs, memory and disk."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import tensorflow as tf

from data_pipelines import extras, memory
from data_pipelines.spec import DataError
from did_tf.common import processor
from did_tf.programs.health.findings import GOOD, NOTE, WRONG, Finding
from did_tf.training.distribution import best_precision

GIB = 2**30
LEAST_MEMORY, LEAST_DISK, LITTLE_DISK = 2 * GIB, GIB, 10 * GIB
"""did_camvid_quick takes about 4 GiB of memory; a run with its checkpoints one or two on the disk."""
DRIVER = Path("/proc/driver/nvidia/version")
DEVICE = Path("/dev/nvidiactl")
LIBRARIES = {
    "cudart": "cuda_runtime",
    "cublas": "cublas",
    "cublasLt": "cublas",
    "cudnn": "cudnn",
    "cufft": "cufft",
    "cusolver": "cusolver",
    "cusparse": "cusparse",
    "nvJitLink": "nvjitlink",
}
"""{library that TensorFlow loads on a GPU: folder of `nvidia` that pip puts it into}."""


def look(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """One finding after the other; `folders` are looked at for room, {what is in it: path, maybe not there yet}."""
    yield _processor()
    yield _gpus()
    yield _memory()
    yield from (_disk(name, folder) for name, folder in folders.items())


def _processor():
    precision, why = best_precision("cpu")
    facts = {"processor": processor.name(), "cores": memory.cores(), "precision": precision}
    onednn = ", oneDNN asked for in training" if processor.is_avx2_alone() else ""
    told = f"{facts['processor']}, {facts['cores']} cores; train.precision=auto is {precision} ({why}){onednn}"
    return Finding("processor", GOOD, told, facts=facts)


def _gpus():
    found = [_described(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    if found:
        precision, why = best_precision("auto")
        told = f"{', '.join(one['name'] for one in found)}; train.precision=auto is {precision} ({why})"
        return Finding("GPU", GOOD, told, facts={"gpus": found, "driver": _driver(), "precision": precision})
    driver = _driver()
    facts = {"gpus": [], "driver": driver, "visible": os.environ.get("CUDA_VISIBLE_DEVICES")}
    if not driver:
        if DEVICE.exists():
            return Finding("GPU", WRONG, "an NVIDIA GPU whose driver does not answer", _DRIVER_ADVICE, facts)
        return Finding("GPU", GOOD, "none that TensorFlow can use: did_tf computes on the CPU", facts=facts)
    if facts["visible"] in ("", "-1"):
        return Finding("GPU", NOTE, "hidden by CUDA_VISIBLE_DEVICES", "unset it, if that is not meant", facts)
    if not tf.sysconfig.get_build_info().get("is_cuda_build"):
        told = f"NVIDIA driver {driver}, but this TensorFlow is built for CPUs alone"
        return Finding("GPU", WRONG, told, f"{extras.install('gpu')} (on Windows: in WSL2)", facts)
    lacking = [library for library, package in LIBRARIES.items() if not _is_found(library, package)]
    facts["lacking"] = lacking
    if lacking:
        told = f"NVIDIA driver {driver}, but these libraries are missing: {', '.join(lacking)}"
        return Finding("GPU", WRONG, told, f"{extras.install('gpu')}, which brings them", facts)
    told = f"NVIDIA driver {driver}, and libraries are there, but TensorFlow sees no GPU"
    return Finding("GPU", WRONG, told, f"{_DRIVER_ADVICE}; TF_CPP_MIN_LOG_LEVEL=0 shows what TensorFlow says", facts)


_DRIVER_ADVICE = "install a driver of the version that the libraries need (525 or later for CUDA 12), then restart"


def _described(gpu):
    details = tf.config.experimental.get_device_details(gpu)
    capability = ".".join(map(str, details.get("compute_capability", ())))
    return {"name": details.get("device_name", gpu.name), "compute_capability": capability or None}


def _driver():
    """The version of NVIDIA's driver; empty where none answers."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    if shutil.which(query[0]):
        try:
            done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
    return "of unknown version" if DRIVER.is_file() else ""


def _is_found(library, package):
    """Whether a library of CUDA is where the system or pip puts it."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if any(Path(folder, package, "lib").glob(f"lib{library}.so*")):
            return True
    names = [f"lib{library}.so", *(f"lib{library}.so.{number}" for number in (12, 11, 10, 9, 8))]
    return any(map(_loads, names))


def _loads(name):
    try:
        return bool(ctypes.CDLL(name))
    except OSError:
        return False


def _memory():
    try:
        free = memory.free_memory()
    except DataError as error:
        return Finding("memory", WRONG, str(error), "correct or unset it")
    total = psutil.virtual_memory().total
    facts = {"total": total, "free": free}
    told = f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB"
    if free < LEAST_MEMORY:
        return Finding("memory", WRONG, told, "end other programs, or raise the container's limit", facts)
    return Finding("memory", GOOD, told, facts=facts)


def _disk(name, folder):
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    told, facts = f"{free / GIB:.1f} GiB free for {folder}", {"folder": str(folder), "free": free}
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, WRONG, f"{folder} can't be written", "name another folder, or change its rights", facts)
    if free < LEAST_DISK:
        return Finding(name, WRONG, told, "make room, or name another folder", facts)
    if free < LITTLE_DISK:
        return Finding(name, NOTE, told, "a longer training may need more: keep fewer checkpoints", facts)
    return Finding(name, GOOD, told, facts=facts)
