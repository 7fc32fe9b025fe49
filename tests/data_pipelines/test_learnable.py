"""Whether there is anything to score on, told before anything is built."""

import dataclasses

import numpy as np
import pytest
from in_memory import SPEC, InMemory, halves, noise

from data_pipelines.learnable import check_classes, check_scored, classes_in
from data_pipelines.spec import DataError

VOID = np.full((24, 32), 255, np.uint8)


class Counting(InMemory):
    """Counts how often something is read."""

    reads = 0

    def read(self, sample):
        self.reads += 1
        return super().read(sample)


def split(*labels, **changes):
    return Counting({"val": [(noise(number), label) for number, label in enumerate(labels)]}, **changes)


def test_labels_are_read_up_to_the_first_with_a_class():
    data = split(VOID, halves(), halves())
    check_scored(data, "val")
    assert data.reads == 2


@pytest.mark.parametrize("limit, labels", [(None, 3), (2, 2)])
def test_a_split_that_is_void_altogether_is_refused(limit, labels):
    data = split(VOID, VOID, VOID if limit is None else halves())
    with pytest.raises(DataError, match=f"val of memory has no class in any of its {labels} labels, all is void"):
        check_scored(data, "val", limit)


def test_fewer_than_two_classes_are_refused():
    data = split(halves(first=0, second=255), classes=("thing",), palette=((9, 9, 9),))
    for check in (lambda: check_classes(data.spec), lambda: check_scored(data, "val")):
        with pytest.raises(DataError, match="memory has one class, thing, .*make the rest a class as well"):
            check()


def test_the_ignore_label_is_a_class_of_images_alone():
    assert classes_in(halves(first=1, second=255), split().spec) == {1}
    assert classes_in(np.int32(255), split(task="classification", palette=()).spec) == {255}


def test_one_class_of_whole_images_is_told_in_words_of_folders():
    spec = dataclasses.replace(SPEC, task="classification", classes=("only",), palette=())
    with pytest.raises(
        DataError, match="has one class, only: there is nothing to tell it from; add a folder of others"
    ):
        check_classes(spec)
