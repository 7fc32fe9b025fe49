"""The table of counted and measured memory."""

from benchmarks import memory


def test_a_row_says_what_was_counted_measured_and_of_what():
    found = {"counted": 3 * 2**30, "peak": 4 * 2**30, "name": "did_camvid,train.batch_size=4"}
    assert memory._row(found) == "        3.00      4.00   0.75  did_camvid,train.batch_size=4"


def test_sizes_are_written_without_commas():
    """Which part the settings of a case."""
    assert memory._sides("321x480") == "(321,480)" and memory._sides("float32") == "float32"
    assert memory._sides("True") == "True" and memory._sides("max") == "max"
