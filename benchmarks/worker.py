"""What a measured process does: it prepares one call and makes it whenever it is asked to. Python alone is needed.

`benchmarks.turns` starts it with the call's description, in JSON, as its last argument.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None


def serve(prepare, peak=None):
    """Answers on stdout, a line of JSON each.

    Args:
      prepare: function of the description, whose "cores" are those to run on, that gives (facts to report, function to
        time). The function is called twice before anything is reported: whatever is traced, loaded or searched for once
        is not timed.
      peak: function that gives the most bytes held; `peak_of_process` if None.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    told = json.loads(sys.argv[-1])
    if cores := told.get("cores"):
        os.sched_setaffinity(0, cores)
    facts, call = prepare(told)
    call(), call()
    print(json.dumps(facts), file=answers, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        call()
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "peak": (peak or peak_of_process)()}), file=answers, flush=True)


def peak_of_process():
    """Bytes that this process has held at most: `data_pipelines.memory.peak`, which other environments have not."""
    if own := re.search(r"^VmHWM:\s+(\d+) kB$", _status(), re.MULTILINE):
        return int(own[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status():
    path = Path("/proc/self/status")
    return path.read_text() if path.exists() else ""
