"""What was measured as a table, and as JSON, with all that it depends on; and two of these compared.

`python -m benchmarks.report A.json B.json`, or `make bench-compare A=... B=...`.
"""

import datetime
import json
import math
import platform
import sys
from pathlib import Path

import psutil

from benchmarks.arguments import parser_of
from data_pipelines.memory import cores
from did_tf.common import processor
from did_tf.common.files import write_json

GIB = 2**30
SAME_MEMORY = 0.02
"""Peaks of one thing differ by up to this part from process to process."""


def header(machine):
    """One line on the machine."""
    bfloat16 = "bfloat16 in hardware" if machine["bfloat16"] else "no bfloat16 in hardware"
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['processor']}, {machine['cores']} cores, {bfloat16}, load {machine['load']:.1f}; {versions}"


def markdown(cells):
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def table(head, lines):
    """Lines of a table in Markdown: the cells of its head, then lines of `markdown`."""
    return [markdown(head), "|---" * len(head) + "|", *lines]


def write_table(folder, head, results, line):
    """Writes table.json, of results with their machines, and table.md, with a `line` of each below a head, anew."""
    each = (result["machine"] for result in results)
    machines = sorted({f"{one['processor']}, {one['cores']} cores, commit {one['commit']}  " for one in each})
    lines = [*machines, "", *table(head, map(line, results))]
    Path(folder, "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(Path(folder, "table.json"), results)


def interval(bounds):
    """A cell: (low, high) of a fraction, or None, in percent."""
    low, high = (f"{100 * bound:.1f}" for bound in bounds) if bounds else ("?", "?")
    return f"{low} to {high}"


def rows(entries):
    """The table of one group: lines of text."""
    width = max(len(entry["name"]) for entry in entries)
    columns = f"{'parameters':>10}  {'seconds a call':>18}  {'images/s':>8}  {'ratio to the first':>18}  peak, GiB"
    yield f"  {'':{width}}  {columns}"
    for entry in entries:
        yield f"  {entry['name']:{width}}  {_row(entry)}"


def _row(entry):
    if "error" in entry:
        return f"not measured: {entry['error']}"
    parameters = f"{entry['parameters'] / 1e6:.2f}M" if "parameters" in entry else ""
    seconds = f"{entry['median']:.4g} +- {entry['spread']:.2g}"
    ratio = f"{entry['ratio']:.3f} +- {entry['ratio_spread']:.3f}" if "ratio" in entry else "-"
    rate = f"{entry['images'] / entry['median']:.3g}"
    return f"{parameters:>10}  {seconds:>18}  {rate:>8}  {ratio:>18}  {entry['peak'] / GIB:9.2f}"


def write(folder, parts, machine, entries):
    """Writes JSON into the folder; returns its path."""
    made = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = Path(folder, f"{made}-{'-'.join(parts)}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"made": made, "parts": parts, "machine": machine, "entries": entries}, indent=1))
    return path


def machine(commit, versions):
    """What figures depend on beside the code."""
    return {
        "commit": commit,
        "processor": processor.name(platform.processor() or platform.machine()),
        "cores": cores(),
        "bfloat16": processor.has_bfloat16(),
        "load": psutil.getloadavg()[0],
        "versions": {"Python": platform.python_version(), **versions},
    }


def compare(before, after):
    """Lines that say of each row of both reports how it differs.

    Times and ratios differ beyond the noise where they do so by more than both spreads together, peaks where they do by
    more than `SAME_MEMORY`. Seconds are of a machine; where that or its load is another, the ratios within a run say
    more.
    """
    for key in ("processor", "cores", "gpus", "versions"):
        one, other = (of["machine"].get(key) for of in (before, after))
        if one != other:
            yield f"note: other {key}: {one} and {other}"
    yield "load before it {:.1f} and {:.1f}".format(*(of["machine"]["load"] for of in (before, after)))
    yield f"commits {before['machine']['commit']} and {after['machine']['commit']}"
    old = {(entry["group"], entry["name"]): entry for entry in before["entries"]}
    new = {(entry["group"], entry["name"]): entry for entry in after["entries"]}
    for key in old:
        if key not in new:
            yield f"{': '.join(key)}: in the first alone"
    for key, entry in new.items():
        yield f"{': '.join(key)}: {_difference(old.get(key), entry)}"


def _difference(old, new):
    if old is None:
        return "in the second alone"
    if failed := [entry["error"] for entry in (old, new) if "error" in entry]:
        return f"not measured in one of them: {failed[0]}"
    told = [_changed("time", old["median"], new["median"], old["spread"] + new["spread"])]
    if "ratio" in old and "ratio" in new:
        noise = old["ratio_spread"] + new["ratio_spread"]
        told.append(_changed("ratio to the first", old["ratio"], new["ratio"], noise))
    told.append(_changed("peak", old["peak"], new["peak"], SAME_MEMORY * old["peak"]))
    return ", ".join(told)


def _changed(what, old, new, noise):
    beyond = abs(new - old) > noise and not math.isclose(new, old)
    return f"{what} x {new / old:.3f} ({'CHANGED' if beyond else 'within the noise'})"


def main():
    parser = parser_of(__name__)
    parser.add_argument("reports", nargs="*", metavar="REPORT", help="two, the earlier one first")
    paths = [Path(argument) for argument in parser.parse_args().reports if argument]
    if len(paths) != 2 or not all(path.is_file() for path in paths):
        missing = [str(path) for path in paths if not path.is_file()]
        what = f"there is no file {missing[0]}" if missing else "two reports of `make bench` are needed, A= and B="
        print(f"error: {what}; they are in runs/bench", file=sys.stderr)
        raise SystemExit(2)
    print("\n".join(compare(*(json.loads(path.read_text()) for path in paths))))


if __name__ == "__main__":
    main()
