"""Python imports this first where its folder is on PYTHONPATH: the FAULT_AT-th writing and all after it fail."""

import builtins
import os
import sys

_left, _errno = int(os.environ["FAULT_AT"]), int(os.environ["FAULT_ERRNO"])


def _failing(operation, applies=lambda *args: True):
    def call(*args, **kwargs):
        global _left
        if "did_tf.runs" in sys.modules and applies(*args, *kwargs.values()):
            _left -= 1
            if _left < 0:
                raise OSError(_errno, os.strerror(_errno), str(args[0]))
        return operation(*args, **kwargs)

    return call


def _writes(path, mode="r", *more):
    return mode in ("w", "wb", "a", "x") and not str(path).startswith(("/proc", "/dev"))


os.fsync, os.replace = _failing(os.fsync), _failing(os.replace)
builtins.open = _failing(builtins.open, _writes)
