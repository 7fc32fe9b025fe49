"""What is learnt in the measurement of pseudo-labels."""

import cv2
import numpy as np
import pytest

from benchmarks import pseudo_labels
from data_pipelines import load


@pytest.fixture
def camvid(tmp_path):
    """Nine frames of train and two of val; the label of frame n is n, and no frame is like another."""
    for split, count, first in (("train", 9, 0), ("val", 2, 100)):
        for folder, size, low in ((split, (8, 8, 3), first), (f"{split}annot", (8, 8), 0)):
            (tmp_path / folder).mkdir()
            for number in range(count):
                cv2.imwrite(f"{tmp_path / folder}/{split}{number}.png", np.full(size, low + number, np.uint8))
    return tmp_path


def test_labelled_frames_are_evenly_spaced():
    assert pseudo_labels.chosen([*"abcdefghi"], 3) == ["a", "e", "i"]
    assert len({*pseudo_labels.chosen([*range(367)], 60)}) == 60


def test_the_others_are_learnt_with_pseudo_labels_and_val_has_its_own(camvid, tmp_path):
    (tmp_path / "made").mkdir()
    for number in range(9):
        label = np.full((8, 8), number, np.uint8)
        label[0], label[1] = 11, (number + 1) % 9  # an eighth is not sure, and one is wrong
        cv2.imwrite(f"{tmp_path / 'made'}/train{number}_label.png", label)
    names = [f"train{number}" for number in (0, 4, 8)]
    pseudo_labels.describe(tmp_path / "some", camvid, names, None)
    pseudo_labels.describe(tmp_path / "more", camvid, names, tmp_path / "made")
    some, more = load("folders", tmp_path / "some"), load("folders", tmp_path / "more")
    learnt = [sample.name for sample in more.samples("train")]
    assert learnt[:3] == [sample.name for sample in some.samples("train")] == [f"train/{name}" for name in names]
    assert learnt[3:] == [f"pseudo/train{number}" for number in (1, 2, 3, 5, 6, 7)]
    assert [sample.name for sample in more.samples("val")] == ["val/val0", "val/val1"]
    assert (some.spec.mean, some.spec.void_ids) == (more.spec.mean, (11,))
    assert pseudo_labels.compared(tmp_path / "more", camvid) == (7 / 8, 6 / 7)


def test_a_description_of_other_frames_is_told(tmp_path, capsys):
    for place, told in (("a", ""), ("a", ""), ("b", f"{tmp_path / 'data'} was of a/{{train,val}}: ")):
        pseudo_labels.describe(tmp_path / "data", place, ["x"], None)
        assert told in (said := capsys.readouterr().out) and bool(said) == bool(told)
