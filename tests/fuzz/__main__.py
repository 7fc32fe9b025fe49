"""The fuzz campaign, `make fuzz-test`: inputs that nobody means, to all that reads foreign bytes, in one process.

Each input is made from (seed, number) alone, so that one is tried again with --only=SURFACE:NUMBER. It must be read, or
end in one line of the project's own errors, in time, without a file written outside of its folder, a process started, a
connection made or anything unpickled. The last line has the counts; exit status 1 where there is a finding.
"""

import argparse
import collections
import contextlib
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import guard  # noqa: E402
import surfaces  # noqa: E402

TOLD = 40
"""Findings that are told, one for each place in the code."""


def main(argv=None):
    """Runs the campaign. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, shared out among the surfaces")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--surfaces", default="", help="some alone, between commas")
    parser.add_argument("--only", default="", metavar="SURFACE:NUMBER", help="one input, with its traceback")
    parser.add_argument("--first", type=int, default=0, help="number of each surface's first input")
    parser.add_argument("--seconds", type=float, default=5.0, help="that an input may take")
    args = parser.parse_args(argv)
    name, _, number = args.only.partition(":")
    wanted = {name} if args.only else set(filter(None, args.surfaces.split(",")))
    kinds = [kind for kind in surfaces.SURFACES if not wanted or kind.__name__ in wanted]
    if unknown := wanted - {kind.__name__ for kind in kinds}:
        known = ", ".join(kind.__name__ for kind in surfaces.SURFACES)
        parser.error(f"there is no surface {', '.join(sorted(unknown))}; known: {known}")
    if number and not number.isdecimal():
        parser.error(f"--only={args.only}: it must be SURFACE:NUMBER")
    warnings.simplefilter("ignore")
    if not args.only:  # decoders say on stderr what they think of a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = sys.stdout
    with tempfile.TemporaryDirectory() as folder:
        # With all of a large machine's memory, a picture of 10 GiB is read, which takes a while and is right.
        os.environ |= {"DID_TF_CACHE": f"{folder}/cache", "DID_TF_MEMORY": "3"}
        watch = guard.Guard(folder, args.seconds)
        shares = sum(kind.share for kind in kinds)
        total, found, start = 0, collections.Counter(), time.perf_counter()
        for kind in kinds:
            count = 1 if args.only else max(1, round(args.inputs * kind.share / shares))
            first = int(number or args.first)
            total += count
            found += campaign(kind, Path(folder), args.seed, range(first, first + count), watch, bool(args.only))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{total} inputs, seed {args.seed}, {time.perf_counter() - start:.0f} s: {sum(found.values())} findings in "
        f"{len(found)} places; the slowest took {watch.slowest:.2f} s; at most {peak:.1f} GiB"
    )
    return 1 if found else 0


def campaign(kind, folder, seed, numbers, watch, trace=False):
    """{place: how many findings} of some inputs of a surface."""
    surface, found, refused = kind(Path(tempfile.mkdtemp(dir=folder)) / "inputs"), collections.Counter(), 0
    start = time.perf_counter()
    for number in numbers:
        surface.make(random.Random(f"{seed} {kind.__name__} {number}"))
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), watch.input():
                surface.read()
        except surfaces.EXPECTED as error:
            refused += 1
            if "\n" not in str(error):
                continue
            place = f"more than a line: {error!r:.200}"
        except (Exception, guard.Forbidden, guard.TooLong) as error:
            place = _place(error)
            if trace:
                traceback.print_exc()
        else:
            continue
        if place not in found and len(found) < TOLD:
            print(f"{kind.__name__}:{number}: {place}", flush=True)
        found[place] += 1
    print(f"{kind.__name__}: {len(numbers)} inputs, {refused} refused, {time.perf_counter() - start:.0f} s", flush=True)
    return found


def _place(error):
    """What was raised, and where in the project: one line for each fault."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/data_pipelines/" in frame.filename or "/did_tf/" in frame.filename] or frames
    return f"{type(error).__name__} at {'/'.join(own[-1].filename.split('/')[-2:])}:{own[-1].lineno}: {str(error):.120}"


if __name__ == "__main__":
    sys.exit(main())
