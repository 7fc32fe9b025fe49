"""What makes the training step of the paper's DID faster on a CPU, each thing added to those before it, in turns:
`make bench ARGS=step`; and by themselves the gradients of filters in two ways, and with oneDNN the convolutions of one
image, `make bench ARGS=filters`.
"""

import functools
import time

import numpy as np
import tensorflow as tf

from benchmarks import turns
from benchmarks.turns import Case
from data_pipelines import memory
from did_tf.common import processor
from did_tf.models.layers.convolution import filter_gradient, forward

CROPS = 4
# side of the features, channels, filters, side of the filter; the first are of DID with crops of 321x321
FILTERS = (
    (161, 64, 64, 3),
    (161, 64, 128, 3),
    (81, 192, 48, 3),
    (41, 192, 48, 3),
    (21, 192, 48, 3),
    (81, 368, 192, 1),
    (41, 752, 192, 1),
    (21, 1376, 192, 1),
    (57, 128, 128, 3),
    (65, 256, 256, 3),
    (65, 512, 512, 3),
    (129, 48, 12, 3),
)

ONE = ((512, 64, 64, 3), (512, 64, 128, 3), (256, 192, 48, 3))
"""Of DID with a crop of 1024x1024."""


def step(precisions, seconds):
    """Entries of the report."""
    return [
        entry
        for precision in precisions
        for entry in turns.measure(f"DID, the step, {precision}", [*_cases(precision)], seconds or 150)
    ]


def _cases(precision):
    cores = memory.cores()
    plain = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    yield Case("without oneDNN", _told(precision, layers="kernels"), environment=plain, images=CROPS)
    yield Case("with oneDNN", _told(precision, layers="kernels"), images=CROPS)
    yield Case("filters by products", _told(precision), images=CROPS)
    if CROPS % cores == 0:
        yield Case(f"train.parts={cores}", _told(precision, {"train.parts": cores}), images=CROPS)


def _told(precision, more=None, layers=None):
    settings = {"train.batch_size": CROPS, "train.precision": precision, **(more or {})}
    return {"kind": "training", "experiment": "did_camvid", "settings": settings, "layers": layers}


def every_precision(precisions, seconds):
    """Likewise of the step as it is in each precision that the processor has, also with products in bfloat16 alone."""
    every = ("float32", "float32_fast", "bfloat16") if "bfloat16" in precisions else precisions
    cases = [Case(precision, _told(precision), images=CROPS) for precision in every]
    return turns.measure("DID, the step", cases, seconds or 75)


def filters(precisions, seconds):
    """Prints milliseconds of the gradient of a filter, by TensorFlow's kernel and by products, and their ratio."""
    whose = "oneDNN's" if processor.onednn_is_asked_for() else "TensorFlow's"
    print(
        f"\ngradients of filters, {CROPS} images, ms, {whose} operations: side, channels -> filters, the filter's side"
    )
    for precision in precisions:
        for side, channels, count, size in FILTERS:
            kernel, products = _medians(tf.as_dtype(precision), side, channels, count, size)
            shape = f"{side:4} {channels:5} -> {count:3}, {size}x{size}"
            print(
                f"  {precision:9} {shape}: kernel {kernel:7.2f}  products {products:7.2f}  {kernel / products:5.2f} x"
            )

    if processor.onednn_is_asked_for():
        _one_image()


def _one_image():
    """Prints milliseconds of convolutions of one image, by TensorFlow's own choice and as a volume, and their ratio."""
    print("\nconvolutions of one image, float32, ms: side, channels -> filters, the filter's side")
    options = {"strides": [1] * 4, "padding": "SAME", "dilations": [1] * 4}
    for side, channels, count, size in (*ONE, *(shape for shape in FILTERS if shape[-1] > 1)):
        x, kernel = tf.random.normal((1, side, side, channels)), tf.random.normal((size, size, channels, count))
        alone, volume = _times(
            functools.partial(tf.raw_ops.Conv2D, input=x, filter=kernel, **options),
            functools.partial(forward, x, kernel, options),
        )
        shape = f"{side:4} {channels:5} -> {count:3}, {size}x{size}"
        print(f"  {shape}: image {alone:7.2f}  volume {volume:7.2f}  {alone / volume:5.2f} x")


def _medians(dtype, side, channels, count, size):
    x = tf.cast(tf.random.normal((CROPS, side, side, channels)), dtype)
    slopes = tf.cast(tf.random.normal((CROPS, side, side, count)), dtype)
    shape = (size, size, channels, count)
    kernel = functools.partial(tf.raw_ops.Conv2DBackpropFilter, filter_sizes=shape, strides=[1] * 4, padding="SAME")
    return _times(
        lambda: kernel(input=x, out_backprop=slopes), lambda: filter_gradient(x, slopes, (size, size), "same")
    )


def _times(*ways):
    """Milliseconds of each of several functions, medians of turns."""
    calls = [tf.function(way, autograph=False) for way in ways]
    times = [[_milliseconds(call) for call in calls] for _ in range(9)]
    return np.median(times[2:], axis=0)


def _milliseconds(call):
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)
