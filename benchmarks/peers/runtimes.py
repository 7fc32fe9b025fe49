"""OpenVINO or ONNX Runtime measured, labelling one image with did_tf's network. A process of `benchmarks.turns`."""

import os

import numpy as np

from benchmarks import worker


def prepare(told):
    """({"version": of the runtime}, function to time)."""
    return {"openvino": _openvino, "onnxruntime": _onnxruntime}[told["runtime"]](told)


def _openvino(told):
    import openvino

    model = openvino.Core().read_model(f"{told['folder']}/saved_model")
    model.reshape([1, told["side"], told["side"], 3])
    precision = {"float32": "f32", "bfloat16": "bf16"}[told["precision"]]
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    image = _noise((1, told["side"], told["side"], 3))
    return {"version": openvino.__version__}, lambda: request.infer([image], share_outputs=True)


def _onnxruntime(told):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(f"{told['folder']}/network.onnx", options, ["CPUExecutionProvider"])
    image = _noise((1, 3, told["side"], told["side"]))
    return {"version": onnxruntime.__version__}, lambda: session.run(None, {"image": image})


def _noise(shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


if __name__ == "__main__":
    worker.serve(prepare)
