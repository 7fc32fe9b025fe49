"""An ONNX file, an extra: `pip install 'did_tf[onnx]'`. By tf2onnx, at any size of the image.

What tf2onnx overlooks is avoided where the networks are made: it rounds quotients of negative whole numbers towards 0,
and takes explicit padding of a transposed convolution for none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from did_tf.inference.contract import OUTPUTS, Network

OPSET = 18
"""Of ONNX, which runtimes know since 2023."""


def write(network: Network, folder: Path, precision: str) -> None:
    """Writes network.onnx to `folder`; each key of dataset.json is an entry of its metadata, as JSON."""
    import onnx
    import tf2onnx

    frozen = network.frozen()
    image = frozen.inputs[0].name
    names = {image: "image", **{tensor.name: name for tensor, name in zip(frozen.outputs, OUTPUTS)}}
    file, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name=network.model.name,
        input_names=[image],
        output_names=[tensor.name for tensor in frozen.outputs],
        opset=OPSET,
        tensors_to_rename=names,
    )
    for node in file.graph.node:
        _pad_explicitly(node)
    onnx.helper.set_model_props(file, {key: json.dumps(value) for key, value in network.about().items()})
    onnx.checker.check_model(file)
    onnx.save(file, str(folder / "network.onnx"))


def _pad_explicitly(node: Any) -> None:
    """A dilated convolution gets numbers for its padding "same", which ONNX Runtime has of others alone."""
    from onnx import helper

    own = {attribute.name: attribute for attribute in node.attribute}
    dilations = own["dilations"].ints if "dilations" in own else ()
    if node.op_type != "Conv" or "auto_pad" not in own or max(dilations, default=1) == 1:
        return
    # They have odd kernels and no strides.
    around = [(side - 1) * apart // 2 for side, apart in zip(own["kernel_shape"].ints, dilations)]
    for name in {"auto_pad", "pads"} & set(own):
        node.attribute.remove(own[name])
    node.attribute.append(helper.make_attribute("pads", [*around, *around]))
