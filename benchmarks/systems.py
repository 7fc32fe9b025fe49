"""Every architecture in every precision that this processor has: what `make bench` measures."""

from benchmarks import turns
from benchmarks.turns import Case
from experiments import camvid_budget

CROP, CROPS, SIDE = 97, 2, 321
"""Of training crops; how many are in a batch; and of the image that is labelled. Small: all take ten minutes."""


def systems(precisions, seconds):
    """Entries of the report: an update of `camvid_budget`'s training, and the labelling of one image."""
    entries = []
    for system in camvid_budget.ROWS:
        for kind, cases in (("training", _training), ("inference", _inference)):
            group = f"{system}, {kind}"
            entries += turns.measure(group, [*cases(f"camvid_budget:{system}", precisions)], seconds or 15)
    return entries


def memory(precisions, seconds):
    """Likewise of `did_camvid` at its full size: 22 crops of 321x321, whole and in halves."""
    cases = [
        Case(
            f"{precision}, accumulate {accumulate}",
            _told("did_camvid", {"train.precision": precision, "train.accumulate": accumulate}),
            images=22,
        )
        for precision in precisions
        for accumulate in (1, 2)
    ]
    # One after the other: they take much memory.
    return [entry for case in cases for entry in turns.measure("did_camvid, training", [case], seconds or 1, least=3)]


def _training(experiment, precisions):
    small = {"data.crop": (CROP, CROP), "train.batch_size": CROPS}
    for precision in precisions:
        yield Case(precision, _told(experiment, {**small, "train.precision": precision}), images=CROPS)


def _inference(experiment, precisions):
    for precision in precisions:
        told = {"kind": "inference", "experiment": experiment, "side": SIDE, "precision": precision}
        yield Case(precision, {**told, "engine": "tensorflow"})


def _told(experiment, settings):
    return {"kind": "training", "experiment": experiment, "settings": settings}
