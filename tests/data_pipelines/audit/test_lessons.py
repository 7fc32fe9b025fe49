"""Where nothing can be learnt or scored, the audit says so as a problem."""

import numpy as np
import pytest
from in_memory import InMemory, halves, noise, pairs

from data_pipelines.audit import findings, survey

VOID = np.full((24, 32), 255, np.uint8)


def problems(pairs, **changes):
    dataset = InMemory(pairs, **changes)
    return findings.judge(dataset.spec, [survey.survey(dataset, split) for split in pairs]).problems


def void(count, seed):
    return [(noise(seed + number), VOID) for number in range(count)]


def test_of_data_to_learn_from_there_are_none():
    assert problems({"train": pairs(3) + void(1, 20), "val": pairs(2, 50)}) == []


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_any_labelled_pixel_is_one(split):
    data = {"train": pairs(3), "val": pairs(2, 50), split: void(2, 80)}
    (problem,) = problems(data)
    assert problem.startswith(f"{split} of memory has no class in any of its 2 labels, all is void")


def test_labels_of_a_test_split_may_be_withheld():
    assert problems({"train": pairs(3), "val": pairs(2, 50), "test": void(2, 80)}) == []


def test_one_class_alone_is_one():
    one = [(noise(number), halves(first=0, second=255)) for number in range(3)]
    (problem,) = problems({"train": one}, classes=("thing",), palette=((9, 9, 9),))
    assert problem.startswith("memory has one class, thing, and all else is void: there is nothing to tell it from")


def test_labels_that_show_one_class_are_one():
    """As masks of 0 and 255 do, whose 255 is taken for void."""
    (problem,) = problems({"train": [(noise(number), halves(first=0, second=255)) for number in range(3)]})
    assert problem.startswith("train shows a alone and no other class: there is nothing to tell it from")
