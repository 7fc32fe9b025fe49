"""Event files of a run that goes on."""

import pytest
import tensorflow as tf

from did_tf.runs import events


@pytest.fixture
def folder(tmp_path):
    """Two processes have written: of the steps 1 to 4, and 5 and 6 with a picture."""
    for steps in (range(1, 5), range(5, 7)):
        writer = tf.summary.create_file_writer(str(tmp_path))
        for step in steps:
            with writer.as_default(step):
                tf.summary.scalar("loss", 1.0 / step)
                tf.summary.image("seen", tf.zeros([1, 8, 8, 3]))
        writer.close()
    return tmp_path


def steps(folder):
    """As TensorFlow's own reader finds them."""
    files = folder.glob("events.out.tfevents.*")
    found = [event for file in files for event in tf.compat.v1.train.summary_iterator(str(file))]
    return sorted((event.step, value.tag) for event in found for value in event.summary.value)


@pytest.mark.parametrize("last", [0, 3, 5, 6])
def test_later_steps_go_and_the_others_stay(folder, last):
    events.drop_after(folder, last)
    assert steps(folder) == [(step, tag) for step in range(1, last + 1) for tag in ("loss", "seen")]
    assert len([*folder.iterdir()]) == 2


def test_an_end_that_was_cut_short_goes(folder):
    file = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    data = file.read_bytes()
    file.write_bytes(data[:-7])
    events.drop_after(folder, 6)
    assert steps(folder) == [(step, tag) for step in range(1, 7) for tag in ("loss", "seen")][:-1]


def test_files_that_stay_as_they_are_are_not_written(folder):
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    events.drop_after(folder, 6)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before
