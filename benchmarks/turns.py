"""Measuring what is compared in turns, each in a process of its own: what else the machine does hits all alike."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
PAUSE = 0.2
"""Seconds between turns, after which no thread of the last one waits by spinning."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured: a process, and what it is told.

    Attributes:
      name: of its row in the table.
      told: its description, for `worker.serve`.
      module: that is run.
      python: the interpreter of its environment.
      environment: variables of its environment, beside those of this one.
      images: how many there are in a call.
      folder: checkout that it runs in.
      others: descriptions of further processes that do their part of it at the same time.
    """

    name: str
    told: dict
    module: str = "benchmarks.ours"
    python: str = sys.executable
    environment: dict = dataclasses.field(default_factory=dict)
    images: int = 1
    folder: Path = ROOT
    others: list = dataclasses.field(default_factory=list)


def measure(group, cases, seconds, least=5, most=31):
    """Entries of the report, one for each case that could be measured, and of the others what went wrong.

    Times are medians; the spread is half the distance between the quartiles. The ratio is that to the first case within
    each round; there is none where that one can't be measured. Peaks are of the whole process.

    Args:
      group: name of what is compared.
      cases: a `Case` each, all of which are in memory at once.
      seconds: to measure for, beside what it takes to begin.
      least, most: number of rounds.
    """
    processes = [_Process(case) for case in tqdm(cases, f"{group}: starting", leave=False, disable=None)]
    try:
        alive = [process for process in processes if not process.error]
        _take_turns(group, alive, seconds, least, most)
    finally:
        for process in processes:
            process.end()
    first = None if processes[0].error else processes[0].seconds
    return [_entry(group, process, first) for process in processes]


def _take_turns(group, processes, seconds, least, most):
    spent = 0.0
    with tqdm(total=seconds, desc=group, unit="s", leave=False, disable=None) as bar:
        for number in range(most):
            if number >= least and spent >= seconds:
                break
            shift = number % max(1, len(processes))
            for process in processes[shift:] + processes[:shift]:  # nobody is always after the same
                time.sleep(PAUSE)
                spent += process.take_turn()
            bar.update(min(spent, seconds) - bar.n)


def _entry(group, process, first):
    case = process.case
    entry = {"group": group, "name": case.name, "images": case.images, **process.facts}
    if process.error:
        return {**entry, "error": process.error}
    return {
        **entry,
        "median": float(np.median(process.seconds)),
        "spread": spread(process.seconds),
        **(_beside(first, process.seconds) if first else {}),
        "peak": process.peak,
        "seconds": process.seconds,
    }


def _beside(first, seconds):
    ratio = np.array(seconds) / first
    return {"ratio": float(np.median(ratio)), "ratio_spread": spread(ratio)}


def spread(values):
    """Half the distance between the quartiles."""
    low, high = np.percentile(values, (25, 75))
    return float(high - low) / 2


class _Process:
    """The processes that make a case's call when told to, one as a rule. `error` says why one ended, where it did."""

    def __init__(self, case):
        self.case, self.seconds, self.peak, self.error, self.facts = case, [], 0, "", {}
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `end`)
        self._all = [self._start(told) for told in (case.told, *case.others)]
        self.facts = self._answers()[0]

    def take_turn(self):
        """Seconds that the call took, of the slowest process; 0 where one has ended."""
        if self.error:
            return 0.0
        for process in self._all:
            with contextlib.suppress(BrokenPipeError):  # one that has ended, which its answer tells
                process.stdin.write("\n")
                process.stdin.flush()
        answers = self._answers()
        if self.error:
            return 0.0
        self.seconds.append(max(answer["seconds"] for answer in answers))
        self.peak = sum(answer["peak"] for answer in answers)
        return self.seconds[-1]

    def end(self):
        for process in self._all:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        self._stderr.close()

    def _start(self, told):
        return subprocess.Popen(
            [self.case.python, "-m", self.case.module, json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=self.case.folder,
            env={**os.environ, **self.case.environment},
        )

    def _answers(self):
        lines = [process.stdout.readline() for process in self._all]
        if all(lines):
            return [json.loads(line) for line in lines]
        status = self._all[lines.index("")].wait()
        if status < 0:  # what it said before is no reason
            self.error = f"ended by {signal.Signals(-status).name}"
            return [{}]
        self._stderr.seek(0)
        said = self._stderr.read().strip().splitlines() or [f"ended with status {status}"]
        self.error = said[-1][:300]
        return [{}]
