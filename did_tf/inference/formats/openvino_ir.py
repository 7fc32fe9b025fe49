"""OpenVINO's own files, an extra: `pip install 'did_tf[openvino]'`. Its converter reads the frozen graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

from did_tf.inference.contract import OUTPUTS, Network


def write(network: Network, folder: Path, precision: str) -> None:
    """Writes network.xml and network.bin to `folder`, the weights in float32 or float16."""
    import openvino

    frozen = network.frozen()
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "network.pb"
        graph.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        model = openvino.Core().read_model(graph)
    for tensor, name in zip(frozen.outputs, OUTPUTS):
        model.output(tensor.name).get_tensor().set_names({name})
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=precision == "float16")
