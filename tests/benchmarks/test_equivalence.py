"""Updates of one device, of two, and of two processes."""

import numpy as np
import pytest

from benchmarks import equivalence


def test_differences_are_parts_of_the_largest_value():
    expected = {
        "losses": {"a": np.float32(2), "b": np.float32(100)},
        "weights": {"a": np.array([1.0, -4.0]), "b": np.zeros(3)},
        "averages": {},
    }
    found = {
        "losses": {"a": np.float32(2.5), "b": np.float32(101)},
        "weights": {"a": np.array([1.0, -4.0]), "b": np.array([0, 0.2, 0])},
        "averages": {},
    }
    assert equivalence.differences(expected, found) == pytest.approx({"losses": 0.25, "weights": 0.05})


@pytest.mark.slow
def test_devices_and_processes_equal_one(tmp_path):
    """All that an update has to do with but micro-batches, in one row."""
    rows = ["all but accumulate"]
    found = equivalence.all_measured(rows, tmp_path)
    expected = found.pop("one device")
    for way, of_rows in found.items():
        for row in rows:
            for column, difference in equivalence.differences(expected[row], of_rows[row]).items():
                assert difference < (1e-3 if column == "gradient" else 1e-5), (way, row, column)
