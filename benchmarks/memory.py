"""The most memory that a process has held."""

import sys

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None


def peak() -> int:
    """Bytes that this process has held at most."""
    if resource is None:
        return psutil.Process().memory_info().peak_wset
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
