"""Program: where the time of a training step goes on a CPU: `python -m benchmarks.profile [--precision=bfloat16]`.

The paper's DID, by TensorFlow's profiler: for each type of operation how many there are in a step, what they
take, added up over threads, and their share. And the floor: the same convolutions, forward and both ways back, by
themselves, one after the other on all cores. Beside their rate stands that of the best case, one large product of
matrices.
"""

from did_tf.common import processor

if __name__ == "__main__":  # before TensorFlow, as `did_tf train`
    processor.ask_for_onednn()

from did_tf.programs import quiet  # noqa: F401  # isort: skip (it quietens TensorFlow)

import collections
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from tensorflow import keras

from benchmarks import ours
from benchmarks.arguments import parser_of
from did_tf.common import compat

SHOWN, ROUNDS, SIDE = 20, 5, 4096
"""Types of operations; how often step, convolutions and product are timed, in turns; the side of its matrices."""


def main():
    parser = parser_of(__name__)
    parser.add_argument("--crops", type=int, default=4, help="in the batch (default: 4)")
    parser.add_argument("--side", type=int, default=321, help="of a crop (default: 321)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="(default: float32)")
    crops, side, precision = vars(parser.parse_args()).values()
    tf.get_logger().setLevel("ERROR")  # which warns of a function for each convolution
    model, step = _step(crops, side, precision)
    print(f"{processor.name()}, load {psutil.getloadavg()[0]:.1f}; DID, {crops} crops of {side}x{side}, {precision}")
    found = operations(step)
    whole = sum(seconds for _, seconds in found.values())
    print(f"operations of a step, added up over threads: {whole:.3f} s")
    for name, (count, seconds) in sorted(found.items(), key=lambda item: -item[1][1])[:SHOWN]:
        print(f"  {name:40} {count:5} x {1000 * seconds:8.1f} ms {seconds / whole:7.1%}")
    calls, products = convolutions(model, (crops, side, side, 3))
    best, of_best = _matrix_product()
    rounds = [
        (_seconds(step), sum(alike * _seconds(call) for alike, call in calls), _seconds(best)) for _ in range(ROUNDS)
    ]
    times = np.array(rounds)
    (of_step, alone, alone_best), share = np.median(times, 0), np.median(times[:, 1] / times[:, 0])
    print(f"a step {of_step:.3f} s, its convolutions alone {alone:.3f} s ({2e-9 * products / alone:.0f} GFLOP/s)")
    print(f"one product of {SIDE}x{SIDE} matrices: {2e-9 * of_best / alone_best:.0f} GFLOP/s")
    print(f"share of the convolutions, each round by itself: {share:.2f}")


def _matrix_product():
    """(function that multiplies two large matrices, its multiply-adds)."""
    one, other = (tf.random.normal((SIDE, SIDE), dtype=_dtype()) for _ in range(2))
    multiply = tf.function(lambda: tf.matmul(one, other), autograph=False)
    multiply()
    return multiply, SIDE**3


def _step(crops, side, precision):
    told = [f"--config.train.batch_size={crops}", f"--config.data.crop=({side},{side})"]
    told.append(f"--config.train.precision={precision}")
    model, step = ours.training(ours.on_drawn_frames("did_camvid", told))
    step(), step()
    return model, step


def _dtype():
    return keras.mixed_precision.global_policy().compute_dtype


def _seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def operations(call):
    """{type: (how many, seconds)} of the operations that `call` runs, by TensorFlow's profiler."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            call()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    found = collections.defaultdict(lambda: (0, 0.0))
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            # "NAME:TYPE" are operations; what is traced beside them has no colon, or C++'s two.
            _, _, kind = plane.event_metadata[event.metadata_id].name.partition(":")
            if kind.isidentifier() and not kind.startswith("__inference"):  # which is the step itself
                count, seconds = found[kind]
                found[kind] = (count + 1, seconds + event.duration_ps / 1e12)
    return dict(found)


def convolutions(model, shape):
    """([(how many are alike, function that computes one of them and its gradients)], multiply-adds of all).

    Of those that a network does for images of that shape. The first has no gradient of its input.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    probe = tf.function(keras.Model(model.input, [layer.input for layer in layers]), autograph=False)
    shapes = [x.shape for x in probe.get_concrete_function(tf.TensorSpec(shape)).structured_outputs]
    alike = collections.defaultdict(list)
    for number, (layer, of_input) in enumerate(zip(layers, shapes)):
        kind = (tuple(of_input), layer.filters, layer.kernel_size, layer.strides, layer.dilation_rate, layer.use_bias)
        alike[(*kind, number == 0)].append(layer)
    calls, products = [], 0
    for (of_input, *_, first), same in alike.items():
        call, of_output = _there_and_back(same[0], of_input, first)
        call()
        calls.append((len(same), call))
        products += len(same) * np.prod(of_output[:-1]) * np.prod(same[0].kernel.shape) * (2 if first else 3)
    return calls, products


def _there_and_back(layer, shape, first):
    """(function that computes a layer and its gradients, shape of its output)."""
    x, weights = tf.random.normal(shape, dtype=_dtype()), [compat.tf_variable(v) for v in layer.trainable_variables]
    slopes = tf.random.normal(layer(x).shape, dtype=_dtype())

    @tf.function(autograph=False)
    def call():
        with tf.GradientTape() as tape:
            tape.watch(x)
            made = layer(x, training=True)
        return made, tape.gradient(made, weights if first else [x, *weights], slopes)

    return call, slopes.shape


if __name__ == "__main__":
    main()
