"""What every architecture is made of: its image input, its units of convolution and normalisation, its outputs."""

from tensorflow import keras

from did_tf.models.layers import Dropout, FusedBatchNormalization, Normalize, ResizeBilinear, check_size

layers = keras.layers

XAVIER = "glorot_uniform"


def kaiming():
    """He et al. 2015 over the fan-out, which the papers built on ResNets start from."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class Units:
    """Makes the layers of one network: the settings that all its convolutions share stand here, once.

    Args:
      dropout: rate after the convolutions that ask for it.
      use_bias: whether convolutions have a bias where nothing else is said.
      momentum: of the moving statistics of batch normalisation.
      epsilon: of batch normalisation.
      initializer: of kernels: a Keras initializer, or a function without arguments that makes one.
    """

    def __init__(self, dropout=0.0, use_bias=True, momentum=0.997, epsilon=1e-5, initializer=XAVIER):
        self.dropout, self.use_bias, self.momentum, self.epsilon = dropout, use_bias, momentum, epsilon
        self.initializer = initializer

    def conv(self, x, filters, kernel, name, strides=1, dilation=1, use_bias=None, padding="same"):
        """Convolution. Padding is "same", or "symmetric": as many zeros before as after, whatever the size."""
        if padding == "symmetric" and kernel > 1:
            x = layers.ZeroPadding2D(dilation * (kernel // 2), name=f"{name}.pad")(x)
            padding = "valid"
        return layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            dilation_rate=dilation,
            padding="valid" if padding == "valid" else "same",
            use_bias=self.use_bias if use_bias is None else use_bias,
            kernel_initializer=self.new_initializer(),
            name=name,
        )(x)

    def new_initializer(self):
        return self.initializer() if callable(self.initializer) else self.initializer

    def bn(self, x, name):
        return FusedBatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=f"{name}.bn")(x)

    def relu(self, x, name):
        return layers.ReLU(name=f"{name}.relu")(x)

    def bn_relu(self, x, name):
        return self.relu(self.bn(x, name), name)

    def bn_relu_conv(self, x, filters, kernel, name, **options):
        """The papers' "B-R-C", of pre-activation networks."""
        return self.conv(self.bn_relu(x, name), filters, kernel, f"{name}.conv", **options)

    def conv_bn(self, x, filters, kernel, name, **options):
        """Convolution and batch normalisation, of post-activation networks."""
        return self.bn(self.conv(x, filters, kernel, f"{name}.conv", **options), name)

    def conv_bn_relu(self, x, filters, kernel, name, **options):
        return self.relu(self.conv_bn(x, filters, kernel, name, **options), name)

    def drop(self, x, name, rate=None):
        rate = self.dropout if rate is None else rate
        return Dropout(rate, name=f"{name}.dropout")(x) if rate else x


def image_input(model, input_shape, mean, std, minimum):
    """(image, x): the network's input and its normalised pixel values.

    Args:
      model: the architecture's name, for messages.
      mean, std: per band, in pixel values; None for 127.5.
      minimum: smallest height and width that the network takes.

    Raises:
      ValueError: as many means or deviations as bands are not there, or a known size is too small.
    """
    bands = input_shape[-1]
    check_size((None, *input_shape), minimum)
    check_lengths(model, bands, mean=mean, std=std)
    image = keras.Input(input_shape, name="image")
    return image, Normalize(mean or (127.5,) * bands, std or (127.5,) * bands, minimum, name="normalize")(image)


def resize_to_image(logits, image, output, align_corners=True):
    """Logits [N, h, w, classes] of `output`, resized to the image's height and width in float32.

    The layer is called head.OUTPUT.up: what goes into it are the logits at the network's own resolution.
    """
    return ResizeBilinear(align_corners, name=f"head.{output}.up", dtype="float32")([logits, image])


def check_choices(model, **options):
    """Raises ValueError where an option, given as name=(value, known values), is not among the known."""
    for option, (value, known) in options.items():
        if value not in known:
            raise ValueError(f"{model}: {option} must be one of {tuple(known)}, got {value!r}")


def check_lengths(model, length, **options):
    """Raises ValueError where a sequence that is not None hasn't `length` entries."""
    for option, value in options.items():
        entries = value if hasattr(value, "__len__") else (value,)
        if value is not None and len(entries) != length:
            raise ValueError(f"{model}: {option} must have {length} entries, got {tuple(entries)}")
