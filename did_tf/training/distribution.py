"""Where a run computes: devices by name -> `tf.distribute` strategy; precision by name -> Keras policy."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow import keras

from data_pipelines import memory
from did_tf.cluster.places import VARIABLE, of_tensorflow
from did_tf.cluster.waiting import meet, patience
from did_tf.common import processor
from did_tf.common.errors import ConfigError

PRECISIONS = {
    "float32": "float32",
    "float32_fast": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
"""Names of Keras' policies by our own."""
_TENSOR_CORES, _BFLOAT16_CORES = (7, 0), (8, 0)  # compute capabilities of the first GPUs that have them


def make_strategy(devices: str) -> tf.distribute.Strategy:
    """A strategy for `devices`; where TF_CONFIG names other processes, for those of all of them.

    Waits for these then, and must come before TensorFlow computes anything.

    Args:
      devices: "auto": every GPU (MirroredStrategy where there are several), else the CPU; "cpu"; "gpu" or "gpu:1":
        one of them; "cpu*2": two logical devices on the CPU, mirrored, to try multi-GPU training without GPUs.

    Raises:
      ConfigError: a name of another form, a GPU that is not there, several CPUs after TensorFlow has started with
        fewer, or a TF_CONFIG that can't be.
      Failure: one of the other processes does not come.
    """
    gpus = tf.config.list_physical_devices("GPU")
    match = re.fullmatch(r"auto|cpu(?:\*(\d+))?|gpu(?::(\d+))?", devices)
    if not match:
        raise ConfigError(f"train.devices must be auto, cpu, gpu, gpu:N or cpu*N, got {devices!r}")
    if devices.startswith("gpu") and int(match[2] or 0) >= len(gpus):
        raise ConfigError(f"train.devices={devices}: TensorFlow sees {len(gpus)} GPUs; use auto or cpu")
    if place := of_tensorflow(os.environ):
        if match[1]:
            raise ConfigError(f"train.devices={devices} is for one process: each of several workers has its own CPU")
        chosen = gpus if devices == "auto" else gpus[int(match[2] or 0) :][:1] if devices != "cpu" else []
        return _of_workers(place, chosen)
    if devices == "auto" and len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    if devices == "auto":
        return tf.distribute.OneDeviceStrategy(f"/{'gpu' if gpus else 'cpu'}:0")
    if match[1]:
        return tf.distribute.MirroredStrategy(_logical_cpus(int(match[1])))
    return tf.distribute.OneDeviceStrategy(f"/{devices if ':' in devices else devices + ':0'}")


def distributed(
    strategy: tf.distribute.Strategy, batches: Callable[[tuple[int, int]], tf.data.Dataset], batch_size: int
) -> tf.distribute.DistributedDataset | tf.data.Dataset:
    """What every replica gets of each global batch: as many elements in a row, the first replica the first ones.

    One device of the CPU gets them as they come: on the way to others stands an iterator of TensorFlow's own that is
    tuned, whose end may wait up to a minute (`training_batches` says no to that for its part alone).

    Args:
      strategy: whose replicas share them.
      batches: gives the batches of the K-th of M workers, of (K, M): of each global batch one of M equal parts.
      batch_size: of a global batch, a multiple of the replicas.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        whole = batches((0, 1))
        if isinstance(strategy, tf.distribute.OneDeviceStrategy) and is_on_cpu(strategy):
            return whole
        return strategy.experimental_distribute_dataset(whole)

    def of_worker(context):
        mine = batches((context.input_pipeline_id, context.num_input_pipelines))
        return mine.rebatch(context.get_per_replica_batch_size(batch_size), drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_worker)


def is_on_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether no device of a strategy is anything else."""
    return all("CPU" in device.upper() for device in strategy.extended.worker_devices)


def compute_deterministically() -> None:
    """Every operation gives the same bits in every run from here on, or fails. Holds for the whole process."""
    tf.config.experimental.enable_op_determinism()


def check_shares(train: Mapping[str, Any], devices: int) -> None:
    """Raises `ConfigError` where devices, micro-batches and parts can't share a batch of the section `train` evenly."""
    size, parts = train["batch_size"], devices * train["accumulate"] * train["parts"]
    if size != "auto" and size % parts:
        several = devices > 1 and train["devices"] == "auto"
        fewer = several * "; or fewer GPUs: --config.train.devices=gpu (one), CUDA_VISIBLE_DEVICES=0,1 (these)"
        raise ConfigError(
            f"train.batch_size={size} can't be shared by {devices} devices x {train['accumulate']} micro-batches x "
            f"{train['parts']} parts: use a multiple of {parts}{fewer}"
        )


def share_cores(parts: int) -> None:
    """Gives each of `parts` that are computed side by side one core, where there are as many parts as cores.

    Otherwise, and once TensorFlow computes, threads stay as they are: each operation may take all cores.
    """
    if parts == 1 or parts < memory.cores():
        return
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(memory.cores())


def set_precision(precision: str) -> None:
    """Sets Keras' global policy: activations of one of `PRECISIONS`; weights stay float32. Raises `ConfigError`.

    "float32_fast" holds for the whole process, and must come before the first convolution, when oneDNN looks for it. On
    GPUs it is TensorFloat-32, which TensorFlow takes for any float32 unless it is told not to.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"train.precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "float32_fast":
        os.environ["ONEDNN_DEFAULT_FPMATH_MODE"] = "BF16"
    tf.config.experimental.enable_tensor_float_32_execution(precision == "float32_fast")
    keras.mixed_precision.set_global_policy(PRECISIONS[precision])


def best_precision(devices: str) -> tuple[str, str]:
    """(the one of `PRECISIONS` that trains fastest on `devices`, why it is), see `make_strategy`.

    Never one that is emulated there. What can't be told of a device, such as on macOS and Windows, counts as missing.
    """
    if devices.startswith("cpu") or not tf.config.list_physical_devices("GPU"):
        if not processor.multiplies_bfloat16():
            return "float32", f"{processor.name()} is not known to compute in bfloat16"
        # TensorFlow has bfloat16's layers for x86 alone.
        precision = "bfloat16" if processor.has_bfloat16() else "float32_fast"
        return precision, f"{processor.name()} multiplies in bfloat16"
    capability = min(_capability(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    told = f"the GPU has compute capability {'.'.join(map(str, capability))}"
    if capability >= _BFLOAT16_CORES:
        return "bfloat16", told
    return ("float16" if capability >= _TENSOR_CORES else "float32"), told


def emulated(precision: str, devices: str) -> str:
    """What is wrong with a precision on `devices`, in a sentence: that it is emulated, or has no effect. Or empty."""
    if tf.config.list_physical_devices("GPU") and not devices.startswith("cpu"):
        return ""
    if precision == "bfloat16" and not processor.has_bfloat16():
        return f"{processor.name()} is not known to compute in it: it may take minutes a step"
    if precision == "float32_fast" and not processor.multiplies_bfloat16():
        return f"{processor.name()} is not known to multiply in bfloat16: as float32"
    return ""


def _of_workers(place, gpus):
    """A strategy of this process and others; each computes on all of its own `gpus`, or on its CPU."""
    others = [address for i, address in enumerate(place.addresses) if i != place.index]
    print(f"worker {place.index} of {len(place.addresses)}: waits for {', '.join(others)}", flush=True)
    tf.config.set_visible_devices(gpus, "GPU")
    ways = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(implementation=ways.AUTO if gpus else ways.RING)
    meet(place, patience(os.environ))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (RuntimeError, tf.errors.OpError) as error:
        raise ConfigError(f"{VARIABLE}: workers can't be joined, worker {place.index}: {error}") from None


def _capability(gpu):
    """(major, minor) of what an NVIDIA GPU can; (0, 0) of others."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))


def _logical_cpus(count):
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise ConfigError(f"train.devices=cpu*{count}: TensorFlow started with fewer; use a new process") from None
    return [f"/cpu:{i}" for i in range(count)]
