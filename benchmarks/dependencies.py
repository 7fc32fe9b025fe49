"""What did_tf needs and what that needs: known vulnerabilities, and the licence of each package. `make audit`.

`python -m benchmarks.dependencies [--write=docs/reference/licences.md]`. The tools, pip-audit and pip-licenses, are
in an environment of their own (`--tools`), so that nothing of theirs is among what they look at. Vulnerabilities are
asked of the package index: what that does not answer is said to be unchecked, as is all without a network. Exit status
1 where a package has a known vulnerability, or a licence that asks those who use it to publish what is theirs.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.arguments import parser_of

TOOLS = ".venv-audit/bin"
PATIENCE = 300
"""Seconds for an index that does not answer."""
STRICT = re.compile(r"(?<!L)\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
"""Licences that reach further than to the package itself; the LGPL does not."""
PAGE = """# Licences of what did_tf needs

did_tf has the [Apache License 2.0](../../LICENSE). `pip install` brings these {count} packages, each under its own
licence as its metadata says it; extras are left out. Written by `make audit ARGS=--write=docs/reference/licences.md` on
Python {python}, with the versions of that day. None of them asks those who use it to publish what is theirs; where it
says UNKNOWN, a package's metadata is silent. The wheels of opencv-python (FFmpeg, Qt), rasterio (GDAL) and others hold
further libraries, some under the LGPL, whose texts lie in them.

| package | version | licence |
|---|---|---|
{rows}
"""


def needed(root="did_tf"):
    """Names of all installed packages that `root` needs, directly or not, without extras; sorted."""
    found, waiting = set(), [root]
    while waiting:
        for text in _requirements(waiting.pop()):
            one = Requirement(text)
            name = _plain(one.name)
            if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})) and _is_installed(name):
                found.add(name)
                waiting.append(name)
    return sorted(found)


def vulnerabilities(tools, packages):
    """(lines on known vulnerabilities, names that could not be checked, why)."""
    site = sysconfig.get_paths()["purelib"]
    command = [f"{tools}/pip-audit", f"--path={site}", "--format=json", "--progress-spinner=off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        listed = json.loads(done.stdout)["dependencies"]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return [], packages, f"{type(error).__name__}, {str(error):.100}"
    return judged(listed, packages)


def judged(listed, packages):
    """As `vulnerabilities`, of what pip-audit lists."""
    about = {_plain(one["name"]): one for one in listed}
    asked = {name: about.get(name, {"skip_reason": "not listed"}) for name in packages}
    lines = [
        f"{name} {one['version']}: {bug['id']}, mended in {', '.join(bug['fix_versions']) or 'no version yet'}"
        for name, one in asked.items()
        for bug in one.get("vulns", [])
    ]
    unchecked = [name for name, one in asked.items() if "skip_reason" in one]
    return lines, unchecked, asked[unchecked[0]]["skip_reason"] if unchecked else ""


def licences(tools, packages):
    """[(name, version, licence)] of the packages, as pip-licenses says."""
    command = [f"{tools}/pip-licenses", f"--python={sys.executable}", "--format=json", "--with-system"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    entries = {_plain(one["Name"]): one for one in json.loads(done.stdout)}
    return [
        (one["Name"], one["Version"], " ".join(one["License"].split())[:80])
        for name in packages
        if (one := entries.get(name))
    ]


def main(argv=None):
    """Prints what was found. Returns the exit status."""
    parser = parser_of(__name__)
    parser.add_argument("--tools", default=TOOLS, help=f"folder of pip-audit and pip-licenses (default: {TOOLS})")
    parser.add_argument("--write", type=Path, help="a Markdown file for the licences")
    args = parser.parse_args(argv)
    if not Path(args.tools, "pip-licenses").is_file():
        parser.error(f"--tools={args.tools} has no pip-licenses: `make audit` installs it")
    packages = needed()
    found = licences(args.tools, packages)
    silent = sorted({*packages} - {_plain(name) for name, *_ in found})
    strict = [f"{name}: {licence}" for name, _, licence in found if STRICT.search(licence)]
    unknown = [name for name, _, licence in found if licence.upper() == "UNKNOWN"]
    print(f"licences: {len(found)} packages, {len(strict)} strict, {len(unknown)} unknown {' '.join(unknown)}".strip())
    for line in strict:
        print(f"  strict: {line}")
    if silent:
        print(f"  NOT CHECKED: {len(silent)} of {len(packages)} packages, such as {silent[0]} (not listed)")
    if args.write:
        rows = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in found)
        python = ".".join(map(str, sys.version_info[:2]))
        args.write.write_text(PAGE.format(count=len(found), python=python, rows=rows), encoding="utf-8")
    known, unchecked, why = vulnerabilities(args.tools, packages)
    print(f"vulnerabilities: {len(packages) - len(unchecked)} packages checked, {len(known)} known")
    for line in known:
        print(f"  {line}")
    if unchecked:
        print(f"  NOT CHECKED: {len(unchecked)} of {len(packages)} packages, such as {unchecked[0]} ({why})")
    return 1 if known or strict else 0


def _requirements(name):
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _is_installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _plain(name):
    """As indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
