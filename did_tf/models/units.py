"""What every architecture is made of: its image input, its units of convolution and normalisation, its outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from tensorflow import keras

from did_tf.common import kinds
from did_tf.common.errors import ConfigError
from did_tf.models.layers import (
    Convolution,
    Dropout,
    FusedBatchNormalization,
    Normalize,
    ResizeBilinear,
    check_size,
    gain_of,
)
from did_tf.models.placement import NO_STEPS, steps_between

layers = keras.layers

ImageShape = tuple[int | None, int | None, int]
"""(H, W, C) of an image; H and W may be None, for any size."""
Initializer: TypeAlias = "str | keras.initializers.Initializer"

XAVIER = "glorot_uniform"
TASKS = ("segmentation", "classification")
"""What a network with an option `task` can be for."""
_SHARE, _EPSILON = kinds.number("[0, 1)"), kinds.number("(0, 1]")
_COUNT = kinds.whole("[1, 10000]")
_COUNTS = kinds.either(_COUNT, kinds.sequence(_COUNT, least=1))


def kaiming() -> keras.initializers.Initializer:
    """He et al. 2015, section 2.2, over the fan-out, which the papers built on ResNets start from."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class Units:
    """Makes the layers of one network: the settings that all its convolutions share stand here, once.

    Args:
      dropout: rate after the convolutions that ask for it, in [0, 1).
      use_bias: whether convolutions have a bias where nothing else is said.
      momentum: of the moving statistics of batch normalisation, in [0, 1).
      epsilon: of batch normalisation, in (0, 1].
      initializer: of kernels: a Keras initializer, or a function without arguments that makes one.

    Raises:
      ConfigError: a rate, momentum or epsilon is out of its range.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        use_bias: bool = True,
        momentum: float = 0.997,
        epsilon: float = 1e-5,
        initializer: Initializer | Callable[[], keras.initializers.Initializer] = XAVIER,
    ) -> None:
        _SHARE.check("model.dropout", dropout)
        _SHARE.check("model.bn_momentum", momentum)
        _EPSILON.check("model.bn_epsilon", epsilon)
        self.dropout, self.use_bias, self.momentum, self.epsilon = dropout, use_bias, momentum, epsilon
        self.initializer = initializer

    def conv(
        self,
        x: keras.KerasTensor,
        filters: int,
        kernel: int,
        name: str,
        strides: int = 1,
        dilation: int = 1,
        use_bias: bool | None = None,
        padding: str = "same",
        gain: float = 1.0,
    ) -> keras.KerasTensor:
        """Convolution [N, H, W, C] -> [N, ceil(H / strides), ceil(W / strides), filters].

        Padding is "same", or "symmetric": as many zeros before as after, whatever the size. `gain` is `Convolution`'s.
        Raises `ConfigError` where no filters are left.
        """
        if filters < 1:
            raise ConfigError(f"the layer {name} would have {filters} filters: make the network wider")
        if padding == "symmetric" and kernel > 1:
            x = layers.ZeroPadding2D(dilation * (kernel // 2), name=f"{name}.pad")(x)
            padding = "valid"
        return Convolution(
            filters,
            kernel,
            strides=strides,
            dilation_rate=dilation,
            padding="valid" if padding == "valid" else "same",
            use_bias=self.use_bias if use_bias is None else use_bias,
            kernel_initializer=self.new_initializer(),
            gain=gain,
            name=name,
        )(x)

    def new_initializer(self) -> Initializer:
        """Initializer of one kernel: made anew where a function makes it, as layers must not share one that draws."""
        return self.initializer() if callable(self.initializer) else self.initializer

    def bn(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Batch normalisation, a layer NAME.bn."""
        return FusedBatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=f"{name}.bn")(x)

    def relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """A layer NAME.relu."""
        return layers.ReLU(name=f"{name}.relu")(x)

    def bn_relu(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """The activation in front of a convolution, of pre-activation networks."""
        return self.relu(self.bn(x, name), name)

    def bn_relu_conv(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, **options: Any
    ) -> keras.KerasTensor:
        """The papers' "B-R-C", of pre-activation networks; `options` are those of `conv`."""
        return self.conv(self.bn_relu(x, name), filters, kernel, f"{name}.conv", **options)

    def bn_relu_conv_drop(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, **options: Any
    ) -> keras.KerasTensor:
        """Likewise with dropout behind it, at the network's rate; without a layer where that is 0."""
        x = self.bn_relu_conv(x, filters, kernel, name, gain=gain_of(self.dropout), **options)
        return Dropout(self.dropout, scaled=True, name=f"{name}.dropout")(x) if self.dropout else x

    def conv_bn(self, x: keras.KerasTensor, filters: int, kernel: int, name: str, **options: Any) -> keras.KerasTensor:
        """Convolution and batch normalisation, of post-activation networks; `options` are those of `conv`."""
        return self.bn(self.conv(x, filters, kernel, f"{name}.conv", **options), name)

    def conv_bn_relu(
        self, x: keras.KerasTensor, filters: int, kernel: int, name: str, **options: Any
    ) -> keras.KerasTensor:
        """The unit of post-activation networks; `options` are those of `conv`."""
        return self.relu(self.conv_bn(x, filters, kernel, name, **options), name)

    def drop(self, x: keras.KerasTensor, name: str, rate: float) -> keras.KerasTensor:
        """Dropout at `rate`; without a layer where that is 0."""
        return Dropout(rate, name=f"{name}.dropout")(x) if rate else x


def image_input(
    model: str,
    input_shape: ImageShape,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    minimum: int,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """(image, x): the network's input [N, H, W, C] and its normalised pixel values, float32 of the same shape.

    Args:
      model: the architecture's name, for messages.
      input_shape: (H, W, C); H and W may be None.
      mean, std: per band, in pixel values; None for 127.5.
      minimum: smallest height and width that the network takes, in pixels.

    Raises:
      ConfigError: there are not as many means or deviations as bands, a deviation is not positive, or a known size is
        too small.
    """
    bands = input_shape[-1]
    check_size((None, *input_shape), minimum)
    check_lengths(model, bands, mean=mean, std=std)
    image = keras.Input(input_shape, name="image")
    return image, Normalize(mean or (127.5,) * bands, std or (127.5,) * bands, minimum, name="normalize")(image)


def resize(
    x: keras.KerasTensor, like: keras.KerasTensor, placement: str, name: str, dtype: str | None = None
) -> keras.KerasTensor:
    """x [N, h, w, C] resized to the height and width of like [N, H, W, any], of whose grid it was made.

    Args:
      x, like: of the same network.
      placement: one of `PLACEMENTS`.
      name: of the layer.
      dtype: None for the policy's.
    """
    steps = steps_between(x, like) if placement == "exact" else NO_STEPS
    return ResizeBilinear(placement, steps, name=name, dtype=dtype)([x, like])


def resize_to_image(
    logits: keras.KerasTensor, image: keras.KerasTensor, output: str, placement: str
) -> keras.KerasTensor:
    """Logits [N, h, w, classes] of `output`, resized to the image's height and width in float32.

    The layer is called head.OUTPUT.up: what goes into it are the logits at the network's own resolution.
    """
    return resize(logits, image, placement, f"head.{output}.up", dtype="float32")


def classify(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Float32 logits [N, classes] of activated features [N, h, w, C]: their means, and one dense layer."""
    x = layers.GlobalAveragePooling2D(dtype="float32", name="head.main.pool")(x)
    return layers.Dense(num_classes, dtype="float32", name="head.main.dense")(x)


def check_choices(model: str, **options: tuple[Any, Collection[Any]]) -> None:
    """Raises ConfigError where an option, given as name=(value, known values), is not among the known."""
    for option, (value, known) in options.items():
        if value not in known:
            raise ConfigError(f"{model}: {option} must be one of {tuple(known)}, got {value!r}")


def check_counts(model: str, **options: int | Sequence[int]) -> None:
    """Raises ConfigError where an option, or an entry of one, is no whole number from 1 to 10000."""
    for option, value in options.items():
        _COUNTS.check(f"{model}: {option}", value)


def check_rates(model: str, **options: Sequence[float]) -> None:
    """Raises ConfigError where an entry of an option is no number in [0, 1)."""
    for option, values in options.items():
        kinds.sequence(_SHARE).check(f"{model}: {option}", values)


def check_absent(model: str, encoder: str, chosen: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Raises ConfigError where `chosen` differs from `plain`, {option that the encoder has not: its default}."""
    for option, default in plain.items():
        if chosen[option] != default:
            raise ConfigError(f"{model}: {encoder} has no {option}: it must be {default!r}, got {chosen[option]!r}")


def check_lengths(model: str, length: int, **options: Any) -> None:
    """Raises ConfigError where a sequence that is not None hasn't `length` entries."""
    for option, value in options.items():
        entries = value if hasattr(value, "__len__") else (value,)
        if value is not None and len(entries) != length:
            raise ConfigError(f"{model}: {option} must have {length} entries, got {tuple(entries)}")
