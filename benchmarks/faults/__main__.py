"""Does faults to trainings and counts what is lost: `make fault-test`, or `python -m benchmarks.faults`.

Cases are drawn from the seed. What is done stands in OUTPUT/results.jsonl: after --seconds it stops, and the same
command goes on, at the same commit. The last line has the counts; the status is 1 where something was lost, 2 where
OUTPUT was begun otherwise.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.arguments import parser_of
from benchmarks.faults import kinds, runs
from did_tf.runs.manifest import git_commit

KITTI = """
import sys
import story, tiny
from pathlib import Path
from kitti_folder import make_kitti
from did_tf import wiring
folder = Path(sys.argv[1])
make_kitti(folder / "data", frames=5, test=1)
settings = story.config("duc_kitti", folder / "data", {"dataset.options": {"patch": 64, "stride": 50}})
tiny.save_run(folder / "run", settings, wiring.make_model(settings, wiring.make_spec(settings)))
"""
"""Makes what the submission is of: small data of a benchmark, and a run with random weights."""
WORDS = ("differs", "lost", "doubled", "traceback")
"""By which lines on what is wrong are counted."""


def main():
    parser = parser_of(__name__)
    parser.add_argument("output", nargs="?", default="runs/faults", help="folder (default: runs/faults)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after the case that is under way then")
    parser.add_argument("--workers", type=int, default=1, help="processes that train together, in an OUTPUT of its own")
    for name, (_, cases) in kinds.KINDS.items():
        parser.add_argument(f"--{name}", type=int, default=cases, help=f"how many cases (default: {cases})")
    args = parser.parse_args()
    if not any(getattr(args, name) > 0 for name in kinds.KINDS):
        parser.error(f"no case of any kind is to be done: give one of {', '.join(f'--{name}' for name in kinds.KINDS)}")
    folder, end = Path(args.output).resolve(), time.monotonic() + args.seconds
    runs.WORKERS[:] = [args.workers]
    if refusal := begin(folder, {"commit": git_commit(), "seed": args.seed, "workers": args.workers}):
        print(f"error: {refusal}; use another OUTPUT, or delete it", file=sys.stderr)
        return 2
    prepare(folder)
    known = {(case["kind"], case["number"]) for case in runs.read_lines(folder / "results.jsonl")}
    for name, (do, _) in kinds.KINDS.items():
        for number in range(getattr(args, name)):
            if (name, number) in known:
                continue
            if time.monotonic() > end:
                print(f"stopped after {args.seconds:.0f} s; the same command goes on")
                return count(folder)
            record(folder, name, number, do(folder, number, random.Random(f"{args.seed} {name} {number}")))
    record(folder, "ends", 0, {"what": "runs that were under way", "wrong": kinds.finish(folder)})
    return count(folder)


def begin(folder, facts):
    """Notes what a campaign is done with. Returns why it can't go on in `folder`, begun with other facts; or nothing.

    Weights carry the commit: those of two are never the same.
    """
    path = folder / "campaign.json"
    if not path.is_file() and not (folder / "ready").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(facts))
    begun = json.loads(path.read_text()) if path.is_file() else {}
    others = [f"{name} {begun.get(name)} (now {value})" for name, value in facts.items() if begun.get(name) != value]
    return f"{folder} was begun with {', '.join(others)}" if others else ""


def prepare(folder):
    """What the cases are compared with and done to: a run that nothing disturbs, and a run of a benchmark."""
    if not (folder / "ready").is_file():
        process = runs.Process(runs.training(folder / "reference"), folder / "logs" / "reference.txt")
        if process.end():
            sys.exit(process.text())
        path = {"PYTHONPATH": f"{runs.ROOT}:{runs.ROOT / 'tests'}"}
        subprocess.run(
            [sys.executable, "-c", KITTI, folder / "kitti"], check=True, cwd=runs.ROOT, env={**os.environ, **path}
        )
        (folder / "ready").touch()


def record(folder, kind, number, found):
    with open(folder / "results.jsonl", "a") as file:
        file.write(json.dumps({"kind": kind, "number": number, **found}) + "\n")
    print(f"{kind} {number}: {found['what']}" + "".join(f"\n  WRONG: {line}" for line in found["wrong"]), flush=True)


def count(folder):
    """Prints what was done and lost; the exit status."""
    cases = runs.read_lines(folder / "results.jsonl")
    done = ", ".join(f"{sum(case['kind'] == kind for case in cases)} {kind}" for kind in kinds.KINDS)
    ends, lost, doubled, tracebacks, others = found = faults(cases)
    print(
        f"{done}: {ends} runs with another end, {lost} metrics lines lost, {doubled} doubled, {tracebacks} tracebacks, "
        f"{others} other faults"
    )
    return 1 if any(found) else 0


def faults(cases):
    """Numbers of runs with another end, metrics lines lost and doubled, tracebacks, and other faults, in `cases`.

    Several files of one run may differ. What is wrong stands before the file to see.
    """
    wrong = [(number, *line.partition(", see ")[::2]) for number, case in enumerate(cases) for line in case["wrong"]]
    found = [[(number, place) for number, line, place in wrong if word in line] for word in WORDS]
    others = sum(not any(word in line for word in WORDS) for _, line, _ in wrong)
    return len({*found[0]}), *map(len, found[1:]), others


if __name__ == "__main__":
    sys.exit(main())
