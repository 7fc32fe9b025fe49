"""Engines that need not be installed."""

from did_tf.inference import engines
from did_tf.inference.engines import Engine


def pretend_openvino(monkeypatch):
    """Has --engine=auto take OpenVINO, of version 9.9, for the smallest work; TensorFlow plays its part."""
    monkeypatch.setattr(engines, "START", 0)
    monkeypatch.setattr(engines, "ANEW", 0)
    monkeypatch.setattr(engines.open_vino, "version", lambda: "9.9")
    monkeypatch.setattr(engines.open_vino, "is_installed", lambda: True)
    monkeypatch.setattr(
        engines,
        "OpenVino",
        lambda model, outputs, precision, streams, *values: Engine()._tensorflow(model, outputs, *values),
    )
