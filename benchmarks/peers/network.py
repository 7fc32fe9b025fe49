"""DID in PyTorch, layer for layer that of `did_tf.models.did`, whose weights it takes by their names. PyTorch alone."""

import torch
from torch import nn
from torch.nn import functional

OUTPUTS = ("main", "block2", "block3")
KINDS = {
    **{"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"},
    **{"moving_mean": "running_mean", "moving_variance": "running_var"},
}
"""What did_tf calls the weights of a layer, and PyTorch."""


class Did(nn.Module):
    """[N, 3, H, W] float32 pixel values, H and W 16n+1 -> {output: logits [N, classes, H, W] float32}.

    Args:
      classes: how many.
      mean, std: of the three bands.
      growth, units, dilations, dropout, momentum: as of `did_tf.models.did`.
    """

    def __init__(
        self,
        classes,
        mean,
        std,
        growth=48,
        units=(6, 8, 8, 8),
        dilations=(1, 1, 2, 4),
        dropout=0.2,
        momentum=0.997,
    ):
        super().__init__()
        self.units, self.dropout, self.momentum = units, dropout, momentum
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.layers = nn.ModuleDict()
        width = self._add_stem(len(mean))
        widths = self._add_blocks(width, growth, units, dilations)
        self._add_decoder(widths, classes)

    def forward(self, image):
        x = (image - self.mean) * self.scale
        for number in (1, 2, 3):
            x = self._bn_relu(self._layer(f"stem.conv{number}")(x), f"stem.conv{number}")
        x = functional.max_pool2d(x, 3, 2, padding=1)
        taps = []
        for block, count in enumerate(self.units, 1):
            for unit in range(1, count + 1):
                here = f"block{block}.unit{unit}"
                new = self._drop(self._bn_relu_conv(x, f"{here}.conv1x1"))
                x = torch.cat([x, self._drop(self._bn_relu_conv(new, f"{here}.conv3x3"))], 1)
            taps.append(x)
            if block < 4:
                x = self._drop(self._bn_relu_conv(x, f"transition{block}.conv1x1"))
            if block < 3:
                x = functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)
        return self._heads(self._decoder(taps), image.shape[2:])

    def take(self, weights):
        """Takes {path: array} of did_tf's network. Raises where one is missing, left over or of another shape."""
        counts = {name: value for name, value in self.state_dict().items() if name.endswith("num_batches_tracked")}
        self.load_state_dict({**self.named(weights), **counts})

    @staticmethod
    def named(weights):
        """{name of a parameter or buffer here: tensor as it is here} of {path: array} of did_tf's network."""
        state = {}
        for path, value in weights.items():
            layer, kind = path.rsplit("/", 1)
            tensor = torch.from_numpy(value)
            state[f"layers.{_key(layer)}.{KINDS[kind]}"] = tensor.permute(3, 2, 0, 1) if kind == "kernel" else tensor
        return state

    def _add_stem(self, bands):
        for number, (filters, stride) in enumerate(((64, 2), (64, 1), (128, 1)), 1):
            self._add_conv(f"stem.conv{number}", bands, filters, 3, stride=stride, bias=False)
            self._add_bn(f"stem.conv{number}", filters)
            bands = filters
        return bands

    def _add_blocks(self, width, growth, units, dilations):
        widths = []
        for block, (count, dilation) in enumerate(zip(units, dilations), 1):
            for unit in range(1, count + 1):
                here = f"block{block}.unit{unit}"
                self._add_bn_conv(f"{here}.conv1x1", width, 4 * growth, 1)
                self._add_bn_conv(f"{here}.conv3x3", 4 * growth, growth, 3, dilation=dilation)
                width += growth
            widths.append(width)
            if block < 4:
                self._add_bn_conv(f"transition{block}.conv1x1", width, width, 1)
        return widths

    def _add_decoder(self, widths, classes):
        for level, width in enumerate(widths, 1):
            self._add_conv(f"decoder.lateral{level}", width, widths[0], 1)
        for level in (3, 2):
            self._add_conv(f"decoder.smooth{level}", widths[0], widths[0], 1)
        for output in OUTPUTS:
            self._add_bn_conv(f"head.{output}", widths[0], classes, 1)

    def _add_bn_conv(self, name, before, after, kernel, dilation=1):
        self._add_bn(name, before)
        self._add_conv(f"{name}.conv", before, after, kernel, dilation=dilation)

    def _add_conv(self, name, before, after, kernel, stride=1, dilation=1, bias=True):
        padding = dilation * (kernel // 2)
        self.layers[_key(name)] = nn.Conv2d(before, after, kernel, stride, padding, dilation, bias=bias)

    def _add_bn(self, name, width):
        self.layers[_key(f"{name}.bn")] = nn.BatchNorm2d(width, eps=1e-5, momentum=1 - self.momentum)

    def _layer(self, name):
        return self.layers[_key(name)]

    def _bn_relu(self, x, name):
        return functional.relu(self._layer(f"{name}.bn")(x), inplace=True)

    def _bn_relu_conv(self, x, name):
        return self._layer(f"{name}.conv")(self._bn_relu(x, name))

    def _drop(self, x):
        return functional.dropout(x, self.dropout, self.training)

    def _decoder(self, taps):
        lateral = [self._layer(f"decoder.lateral{level}")(tap) for level, tap in enumerate(taps, 1)]
        fused = {"block3": lateral[3] + lateral[2]}
        for level, coarser, output in ((2, "block3", "block2"), (1, "block2", "main")):
            x = self._layer(f"decoder.smooth{level + 1}")(fused[coarser])
            fused[output] = _resize(x, lateral[level - 1].shape[2:]) + lateral[level - 1]
        return fused

    def _heads(self, fused, size):
        scores = {output: self._bn_relu_conv(fused[output], f"head.{output}") for output in OUTPUTS}
        return {output: _resize(_float32_at_least(x), size) for output, x in scores.items()}


def _resize(x, size):
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


def _float32_at_least(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _key(name):
    return name.replace(".", "_")
