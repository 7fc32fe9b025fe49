"""A report of `did_tf cost` in lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KINDS = ("inference", "training")
_OF = {
    "process": "TensorFlow and the network",
    "optimizer": "moments",
    "graph": "the update's graph",
    "batches": "batches",
    "update": "features and gradients",
}
"""What a process holds memory for, by its name in the report."""


def of(report: Mapping[str, Any]) -> str:
    """The lines of a report of `cost`."""
    sides = ["all" if side is None else f"{side:.0f}" for side in report["receptive_field"]]
    field = "all of the image" if sides == ["all", "all"] else "x".join(sides)
    lines = [
        f"{report['experiment']}: {report['model']}, {report['parameters'] / 1e6:.2f}M parameters "
        f"({report['weight_bytes'] / 1e6:.1f} MB), receptive field {field}"
    ]
    for kind in KINDS:
        lines += _section(kind, report[kind])
    measured = next((report[kind]["measured"] for kind in KINDS if report[kind]["measured"]), None)
    if measured:
        lines.append(
            "on {device}, {cores} cores, load {load:.1f}; TensorFlow {tensorflow}, Keras {keras}".format(
                **measured["machine"]
            )
        )
    return "\n".join(lines)


def _section(kind, part):
    what = "image" if kind == "inference" else "crop"
    lines = [
        f"{kind}, {part['batch']} x {shown(part['size'])} ({part['source']}), {part['precision']}:",
        f"  multiply-adds  {part['multiply_adds'] / 1e9:.2f} G{', forward alone' if kind == 'training' else ''}",
    ]
    held = "at once" if kind == "inference" else "kept for the backward pass"
    every = f" ({part['at_once']} {what}s at once)" if part["at_once"] < part["batch"] else ""
    features, every_layer = (_megabytes(part[key]) for key in ("features", "all_features"))
    lines.append(f"  features       {features} {held}{every}, {every_layer} in all layers")
    if memory := part["memory"]:
        shares = ", ".join(f"{name} {memory[key] / 1e9:.2f}" for key, name in _OF.items())
        lines.append(f"  memory         {memory['total'] / 1e9:.2f} GB of the process: {shares}")
    if found := part["measured"]:
        rate = part["batch"] / found["seconds"]
        lines.append(
            f"  measured       {found['seconds']:.4g} s +- {found['spread']:.2g} (median of {found['calls']}), "
            f"{rate:.3g} {what}s per second, peak memory {found['memory'] / 1e9:.2f} GB beside the weights"
        )
    return lines


def _megabytes(count):
    return f"{count / 1e6:.{0 if count >= 1e7 else 2}f} MB"


def shown(size: Sequence[int]) -> str:
    """(height, width) as HEIGHTxWIDTH."""
    return "x".join(map(str, size))
