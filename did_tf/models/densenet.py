"""Dense blocks and transitions (Huang et al. 2017), the parts that DID and Ladder DenseNet share."""

from tensorflow import keras

from did_tf.models.layers import Dropout, FusedBatchNormalization

layers = keras.layers


class Units:
    """Makes the layers of one network: the settings that all its convolutions share stand here, once.

    Args:
      dropout: rate after the convolutions that ask for it.
      use_bias: whether pre-activation convolutions have a bias.
      momentum: of the moving statistics of batch normalisation.
      epsilon: of batch normalisation.
    """

    def __init__(self, dropout=0.0, use_bias=True, momentum=0.997, epsilon=1e-5):
        self.dropout, self.use_bias, self.momentum, self.epsilon = dropout, use_bias, momentum, epsilon

    def conv(self, x, filters, kernel, name, strides=1, dilation=1, use_bias=None):
        """Convolution, SAME padding, Xavier initialised."""
        return layers.Conv2D(
            filters,
            kernel,
            strides=strides,
            dilation_rate=dilation,
            padding="same",
            use_bias=self.use_bias if use_bias is None else use_bias,
            kernel_initializer="glorot_uniform",
            name=name,
        )(x)

    def bn_relu(self, x, name):
        x = FusedBatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=f"{name}.bn")(x)
        return layers.ReLU(name=f"{name}.relu")(x)

    def bn_relu_conv(self, x, filters, kernel, name, **options):
        """The papers' "B-R-C"."""
        return self.conv(self.bn_relu(x, name), filters, kernel, f"{name}.conv", **options)

    def drop(self, x, name):
        return Dropout(self.dropout, name=f"{name}.dropout")(x) if self.dropout else x


def dense_block(make, x, units, growth, name, dilation=1, bottleneck=4):
    """`units` dense units: BN-ReLU-1x1(bottleneck * growth), BN-ReLU-3x3(growth), concatenated to their input."""
    for unit in range(1, units + 1):
        here = f"{name}.unit{unit}"
        new = make.bn_relu_conv(x, bottleneck * growth, 1, f"{here}.conv1x1")
        new = make.drop(new, f"{here}.conv1x1")
        new = make.bn_relu_conv(new, growth, 3, f"{here}.conv3x3", dilation=dilation)
        new = make.drop(new, f"{here}.conv3x3")
        x = layers.Concatenate(name=f"{here}.concat")([x, new])
    return x


def transition(make, x, filters, name, pool=True):
    """BN-ReLU-1x1 to `filters`, then 2x2 average pooling with stride 2 unless `pool` is off."""
    x = make.drop(make.bn_relu_conv(x, filters, 1, f"{name}.conv1x1"), f"{name}.conv1x1")
    return layers.AveragePooling2D(2, 2, padding="same", name=f"{name}.pool")(x) if pool else x
