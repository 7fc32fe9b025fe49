"""What nodata takes from the classes, against counts that are made here."""

import numpy as np
from in_memory import InMemory, halves, noise

from data_pipelines.audit import findings, nodata
from data_pipelines.audit.survey import survey

CLASSES = {"classes": ("a", "b"), "palette": ((0, 0, 0), (9, 9, 9))}


class Holed(InMemory):
    """Void is what the image's first band has at 0."""

    def read(self, sample):
        image, label, void = self.read_unmasked(sample)
        label[void] = 255
        return image, label

    def read_unmasked(self, sample):
        image, label = super().read(sample)
        return image, label.copy(), image[..., 0] == 0


def pair(seed, rows, columns):
    """An image of 24x32 without data in the first `rows` of the first `columns`, whose left half is class 0."""
    image = np.maximum(noise(seed), 1)
    image[:rows, :columns] = 0
    return image, halves()


def judged(*pairs, **spec):
    dataset = Holed({"train": list(pairs)}, **CLASSES, **spec)
    one = survey(dataset, "train")
    return dataset.spec, one, findings.judge(dataset.spec, [one])


def test_shares_of_each_class():
    spec, one, verdict = judged(pair(0, 6, 16), pair(1, 0, 0))
    assert one.taken[:2].tolist() == [6 * 16, 0] and one.counts.void == 6 * 16
    np.testing.assert_allclose(nodata.shares(spec, one), [6 * 16 / (2 * 24 * 16), 0])
    assert nodata.rows(spec, [one]) == [["nodata, % of pixels", "6.25"], ["  takes of 0 a", "12.50"]]
    assert verdict == ([], [], [])


def test_without_nodata_nothing_is_said():
    spec, one, _ = judged(pair(0, 0, 0), pair(1, 0, 0))
    assert nodata.rows(spec, [one]) == [] and not one.taken.any()


def test_what_is_lost_in_large_part_or_whole():
    _, _, verdict = judged(pair(0, 20, 16), pair(1, 12, 16))
    assert verdict.notes == ["train: nodata takes 66.7% of a: is that value nodata there?"]
    _, _, verdict = judged(pair(0, 24, 16), pair(1, 24, 16), nodata_rule="any")
    assert verdict.problems[-1] == (
        "train: nodata takes all of a: is a pixel void where one band has no data (nodata_rule: any), or where all "
        "have none?"
    )
