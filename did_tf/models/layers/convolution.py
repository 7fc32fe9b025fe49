"""Convolution with a faster gradient for its filter, an exact one for its bias, and of one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common import processor

LEAST = 1024
"""Positions of the features from which on products are faster for kernels of more than one tap (measured)."""
_WORDS = 16
"""Channels of float32 in 64 bytes, at which rows must begin to be taken without a copy."""


@keras.utils.register_keras_serializable("did_tf")
class Convolution(keras.layers.Conv2D):
    """Keras' convolution [N, H, W, C] -> [N, h, w, filters]: in training the gradient of its filter comes by products.

    TensorFlow's kernel for it takes up to five times as long as the convolution itself on some processors; see
    docs/explanation/cpu.md for which of them `faster_by_products` knows. Where `slow_alone`, one image is convolved
    in another way. Results differ by rounding alone, but for the gradient of a bias in bfloat16, see `add_bias`.

    Args:
      gain: what its output is multiplied by in training, bias included: for a `Dropout` behind it that is `scaled`.
        Filters are fewer than features.
    """

    def __init__(self, *arguments: Any, gain: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gain = gain

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The convolution; its dtype is that of the inputs."""
        products = bool(training) and self.by_products(inputs)
        gain = self.gain if training else 1.0
        special = self._slow_alone(inputs) or self._sums_in_16_bits(inputs) or gain != 1
        if not (products or training and special):
            return super().call(inputs)
        kernel = tf.cast(gain * tf.convert_to_tensor(self.kernel), inputs.dtype)
        outputs = _convolve(inputs, kernel, self.strides, self.padding, self.dilation_rate, products)
        if self.use_bias:
            outputs = add_bias(outputs, tf.cast(gain * tf.convert_to_tensor(self.bias), inputs.dtype))
        return self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "gain": self.gain}

    def _slow_alone(self, inputs):
        return self.groups == 1 and self.dilation_rate == (1, 1) and slow_alone(self.kernel_size, inputs)

    def _sums_in_16_bits(self, inputs):
        on_cpu = not tf.config.list_physical_devices("GPU")
        return self.use_bias and self.groups == 1 and inputs.dtype == tf.bfloat16 and on_cpu

    def by_products(self, inputs: tf.Tensor | tf.TensorSpec) -> bool:
        """Whether the gradient of its filter over `inputs` [N, H, W, C] comes by products."""
        plain = self.strides == (1, 1) and self.groups == 1
        centred = self.padding == "same" and all(side % 2 for side in self.kernel_size)
        dense = self.dilation_rate == (1, 1)
        return (
            plain
            and (dense or centred)
            and None not in inputs.shape[1:]
            and faster_by_products(self.kernel_size, inputs)
        )


def faster_by_products(kernel_size: tuple[int, int], inputs: tf.Tensor | tf.TensorSpec) -> bool:
    """Whether products are known to be faster for a filter of that size over `inputs` [N, H, W, C] on this machine.

    They are in float32 with several taps on x86 processors with AVX2 and without AVX-512, and in bfloat16 with one tap
    on those that have it.
    """
    _, height, width, channels = inputs.shape
    if tf.config.list_physical_devices("GPU"):
        return False
    if inputs.dtype == tf.bfloat16:
        return kernel_size == (1, 1) and processor.has_bfloat16()
    large = height * width >= LEAST and channels % _WORDS == 0
    return kernel_size != (1, 1) and large and processor.is_avx2_alone()


def slow_alone(kernel_size: tuple[int, int], inputs: tf.Tensor | tf.TensorSpec) -> bool:
    """Whether TensorFlow's convolution with a filter of that size is slow for `inputs`, one image: see `forward`."""
    one = inputs.shape[0] == 1 and inputs.dtype == tf.float32 and kernel_size != (1, 1)
    return one and processor.onednn_is_asked_for() and not tf.config.list_physical_devices("GPU")


def _convolve(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    strides: tuple[int, int],
    padding: str,
    dilation: tuple[int, int],
    products: bool,
) -> tf.Tensor:
    """`inputs` with `kernel` [rows, columns, C, filters]; with `products`, the gradient of the kernel comes by them.

    Keras would part a dilated one into plain ones over copies of the features, which are kept.
    """
    options: dict[str, Any] = {"strides": [1, *strides, 1], "padding": padding.upper(), "dilations": [1, *dilation, 1]}

    @tf.custom_gradient
    def convolved(x, filters):
        def gradients(slopes):
            if dilation == (1, 1):
                own = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(x), filter=filters, out_backprop=slopes, **options
                )
            else:  # without oneDNN, TensorFlow's own knows no dilation
                own = _of_features(slopes, filters, options)
            if products or _has_no_kernel(dilation):
                return own, filter_gradient(x, slopes, filters.shape[:2], padding, dilation)
            return own, tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=filters.shape, out_backprop=slopes, **options
            )

        return forward(x, filters, options), gradients

    return convolved(inputs, kernel)


def _has_no_kernel(dilation):
    """Whether TensorFlow has none for the gradient of filters with that dilation: on CPUs oneDNN alone has one."""
    return dilation != (1, 1) and not processor.has_onednn() and not tf.config.list_physical_devices("GPU")


def _of_features(slopes, filters, options):
    """The gradient of the features of a dilated convolution, itself one, with the filters turned round."""
    turned, same = tf.transpose(tf.reverse(filters, [0, 1]), [0, 1, 3, 2]), options["padding"] == "SAME"
    if same and all(side % 2 for side in filters.shape[:2]):
        return forward(slopes, turned, options)
    reach = [(side - 1) * apart for side, apart in zip(filters.shape[:2], options["dilations"][1:3])]
    around = [(far - far // 2, far // 2) if same else (far, far) for far in reach]
    return forward(tf.pad(slopes, [(0, 0), *around, (0, 0)]), turned, {**options, "padding": "VALID"})


def forward(x: tf.Tensor, filters: tf.Tensor, options: Mapping[str, Any]) -> tf.Tensor:
    """The convolution itself, of [N, H, W, C] with [rows, columns, C, filters]; `options` are those of `Conv2D`.

    Of one image in float32 TensorFlow gives oneDNN the filters in the order that they have. It knows but one way with
    these, products over a copy of the features for each tap: ten times their bytes and up to five times the time of its
    own order, which it takes for volumes. So the image becomes a volume of one layer.
    """
    if not slow_alone(tuple(filters.shape[:2]), x):
        return tf.raw_ops.Conv2D(input=x, filter=filters, **options)
    volume = {key: [1, *value] if key != "padding" else value for key, value in options.items()}
    outputs = tf.raw_ops.Conv3D(input=tf.expand_dims(x, 1), filter=tf.expand_dims(filters, 0), **volume)
    return tf.squeeze(outputs, 1)


def add_bias(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Features [N, H, W, C] and a bias [C], whose gradient comes by a product, summed in float32.

    On CPUs TensorFlow's own kernel for it adds up bfloat16 in bfloat16, which has 8 bits: over 26,244 positions the sum
    is off by a tenth of itself, over more by all of it.
    """

    @tf.custom_gradient
    def added(x, bias):
        def gradients(slopes):
            flat = _flat(slopes)
            return slopes, tf.matmul(tf.ones([1, tf.shape(flat)[0]], flat.dtype), flat)[0]

        return tf.nn.bias_add(x, bias), gradients

    return added(x, bias)


def filter_gradient(
    x: tf.Tensor, slopes: tf.Tensor, size: tuple[int, int], padding: str, dilation: tuple[int, int] = (1, 1)
) -> tf.Tensor:
    """[rows, columns, C, filters]: the gradient of a convolution's filter of `size`, at stride 1.

    For each tap it is one product over all positions. On one grid, flattened, features and slopes of a tap are a fixed
    number of rows apart: every tap takes its rows of the features from where they lie.

    Args:
      x: features [N, H, W, C] that were convolved; H, W and C are known.
      slopes: of what came out, [N, h, w, filters].
      size: rows and columns of the filter.
      padding: "same" or "valid".
      dilation: of its rows and columns.
    """
    with tf.control_dependencies([slopes]):  # or the padded features are made in the forward pass, and kept
        x = tf.identity(x)
    more = [(side - 1) * apart for side, apart in zip(size, dilation)]
    around = [(side // 2, side - side // 2) if padding == "same" else (0, 0) for side in more]
    width = x.shape[2] + sum(around[1])
    features = _flat(tf.pad(x, [(0, 0), *around, (0, 0)]))
    slopes = _flat(tf.pad(slopes, [(0, 0), (0, more[0]), (0, more[1]), (0, 0)]))
    count = tf.shape(features)[0] - more[0] * width - more[1]
    rows, columns = (range(0, side * apart, apart) for side, apart in zip(size, dilation))
    starts = [row * width + column for row in rows for column in columns]
    taps = [tf.matmul(features[start : start + count], slopes[:count], transpose_a=True) for start in starts]
    return tf.reshape(tf.stack(taps), [*size, x.shape[-1], slopes.shape[-1]])


def _flat(x):
    return tf.reshape(x, [-1, x.shape[-1]])
