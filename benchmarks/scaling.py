"""What more cores, devices and processes bring to the training of DID: `make bench ARGS=scaling`.

The same 4 crops of 193x193 in every row. A row of several processes gives each its share of the crops and of the cores:
what independent trainings would reach together, which nothing that waits for others can exceed.
"""

import os

from benchmarks import turns
from benchmarks.turns import Case

CROP, CROPS = 193, 4


def scaling(precisions, seconds):
    """Entries of the report."""
    cores = sorted(os.sched_getaffinity(0))
    return [
        entry
        for precision in precisions
        for entry in turns.measure(f"DID, scaling, {precision}", [*_cases(precision, cores)], seconds or 90)
    ]


def _cases(precision, cores):
    counts = [count for count in (1, 2, 4) if count <= len(cores)]
    for count in counts:
        yield Case(_named(count, "core"), _told(precision, CROPS, cores=cores[:count]), images=CROPS)
    for count in counts[1:]:
        devices = _told(precision, CROPS, {"train.devices": f"cpu*{count}"})
        yield Case(f"{count} logical devices", devices, images=CROPS)
        yield Case(f"{count} parts", _told(precision, CROPS, {"train.parts": count}), images=CROPS)
    for count in counts[1:]:
        share = len(cores) // count
        copies = [
            _told(precision, CROPS // count, cores=cores[number * share : (number + 1) * share])
            for number in range(count)
        ]
        yield Case(f"{count} processes", copies[0], images=CROPS, others=copies[1:])


def _told(precision, crops, settings=None, cores=None):
    own = {"data.crop": (CROP, CROP), "train.batch_size": crops, "train.precision": precision, **(settings or {})}
    return {"kind": "training", "experiment": "did_camvid", "settings": own, "cores": cores}


def _named(count, what):
    return f"{count} {what}" + ("s" if count > 1 else "")
