"""What a run logs."""

import sys

from did_tf.runs.logs import Logs
from did_tf.runs.run_folder import RunFolder


def test_numbers_are_not_kept_by_tensorflow(tmp_path):
    """It keeps a tensor for each number of Python's that it is given, for ever."""
    logs = Logs(RunFolder(tmp_path), ("step", "images", "loss"), 0)
    step, value = 987_654_321, 0.123_456_789
    before = sys.getrefcount(step), sys.getrefcount(value)
    logs.write({"step": step, "images": 2 * step, "loss": value})
    assert (sys.getrefcount(step), sys.getrefcount(value)) == before
