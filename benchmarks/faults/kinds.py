"""The kinds of faults. Each is a function of (folder of the campaign, number of the case, its random numbers).

It gives {"what": of the case in words, "wrong": a line for each thing that is not as it should be}. The process of one
case goes on where that of the case before was stopped.
"""

import errno
import os
import shutil
import signal
from pathlib import Path

from benchmarks.faults import runs

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ERRORS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO)
STEPS = runs.SETTINGS["train.steps"]


def kill(folder, number, random):
    """A signal at a random moment of training, or of another command for every fifth case."""
    if number % 5 == 4:
        return _kill_other(folder, number, random)
    sent, early, worker = random.choice(SIGNALS), random.random() < 0.15, _aim(random)
    run = _current(folder, "killed")
    before = runs.state(run / "manifest.json")
    process = runs.Process(runs.training(run), folder / "logs" / f"kill_{number}.txt")
    if not early:
        process.started(run / "manifest.json", before)
    came, status = process.kill_after(random.uniform(0, 6 if early else 12), sent, worker)
    wrong = runs.complaints(process, status, runs.stopped_by(sent, worker) if came else (0,))
    whom = "train" if worker is None else f"worker {worker}"
    what = f"{sent.name} of {whom} at step {runs.tail(run)}" + ", which had ended or was not there" * (not came)
    return {"what": what, "wrong": wrong + _finished(folder, run, status)}


def _aim(random):
    """Whom a signal is for: the command that was given (None), or one of its workers."""
    count = runs.WORKERS[0]
    return random.choice([None, None, *range(count)]) if count > 1 else None


def _kill_other(folder, number, random):
    """A signal at a random moment of another command, which is then given again and has to end well."""
    command, result = _others(folder)[number // 5 % 4]
    sent, log = random.choice(SIGNALS), folder / "logs" / f"kill_{number}.txt"
    process = runs.Process(command, log)
    came, status = process.kill_after(random.uniform(3, 14), sent)
    wrong = runs.complaints(process, status, runs.stopped_by(sent) if came else (0,))
    again = runs.Process(command, log.with_name(f"kill_{number}_again.txt"))
    wrong += runs.complaints(again, again.end(), (0,))
    if not result.exists():
        wrong.append(f"there is no {result}")
    shutil.rmtree(result) if result.is_dir() else result.unlink(missing_ok=True)
    return {"what": f"{sent.name} of {command[0]}", "wrong": wrong}


def _others(folder):
    """(command line, what it makes) of export, preparation, evaluation and submission."""
    reference, kitti = folder / "reference", folder / "kitti"
    known = ["--experiment=did_synthetic", f"--run={reference}"]
    settings = [argument for argument in runs.training(reference) if argument.startswith("--config.dataset")]
    prepared = folder / "prepared"
    return [
        (["export", *known, f"--output={folder / 'exported'}"], folder / "exported"),
        (["prepare", "--experiment=did_synthetic", f"--output={prepared}", *settings], prepared),
        (["evaluate", *known], reference / "evaluation"),
        (["submit", "--experiment=duc_kitti", f"--run={kitti / 'run'}"], kitti / "run" / "submission"),
    ]


def disk(folder, number, random):
    """From a random writing on all fail: disk full, quota, read-only, input and output."""
    which, at, run = ERRORS[number % len(ERRORS)], random.randrange(0, 90), _current(folder, "failed")
    layer = Path(__file__).parent / "layer"
    environment = {"FAULT_AT": str(at), "FAULT_ERRNO": str(which), "PYTHONPATH": f"{layer}{os.pathsep}{runs.ROOT}"}
    process = runs.Process(runs.training(run), folder / "logs" / f"disk_{number}.txt", environment)
    status = process.end()
    wrong = runs.complaints(process, status, (0, 1, 2))
    what = f"{errno.errorcode[which]} at writing {at}, at step {runs.tail(run)}"
    return {"what": what, "wrong": wrong + _finished(folder, run, status)}


def damage(folder, number, random):
    """The newest checkpoint of a finished run is damaged."""
    how, run = ("flipped", "cut", "empty", "zeros", "another")[number % 5], folder / "damaged"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / "reference", run)
    older, newest = sorted((run / "checkpoints").glob("step_*.npz"))[-2:]
    data = bytearray(newest.read_bytes())
    at = random.randrange(len(data))
    if how == "flipped":
        data[at] ^= 1 << random.randrange(8)
    elif how == "zeros":
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
    newest.write_bytes({"cut": data[:at], "empty": b"", "another": older.read_bytes()}.get(how, data))
    process = runs.Process(runs.training(run), folder / "logs" / f"damage_{number}.txt")
    status = process.end()
    wrong = runs.complaints(process, status, (0,)) + runs.differences(run, folder / "reference")
    told = "takes its place" in process.text()
    return {"what": f"{how} at byte {at}, {'told' if told else 'not told: of no effect'}", "wrong": wrong}


def config(folder, number, random):
    """A setting with a value that it can't have, a setting that there is not, or a run whose files are damaged."""
    run, command = folder / "malformed", runs.training(folder / "malformed")
    shutil.rmtree(run, ignore_errors=True)
    kind = number % 4
    if kind < 2:
        key = random.choice([*runs.SETTINGS])
        value = random.choice(["nonsense", "[", "-1", "None", "{'a':", "1e999", "(", "", "nan", "'" * 3, "..", "\\x00"])
        what = f"{key}={value!r}"
        command.append(f"--config.{key}={value}")
    elif kind == 2:
        what = "".join(random.choice(["train", "model", ".", "steps", "é", "__class__", "0"]) for _ in range(4))
        command.append(f"--config.{what}=1")
    else:
        run.mkdir()
        for name in ("config.json", "manifest.json"):
            shutil.copy(folder / "reference" / name, run)
        name = random.choice(["config.json", "manifest.json"])
        data = (run / name).read_bytes()
        cut = random.randrange(len(data) - 2)
        (run / name).write_bytes(random.choice([data[:cut], b"[]", b"3", data[:cut] + b"\xff" + data[cut:]]))
        what = f"{name} is damaged"
    process = runs.Process([*command, "--config.train.steps=-1"] if kind < 2 else command, _log(folder, number))
    return {"what": what, "wrong": runs.complaints(process, process.end(), (2,))}


def _log(folder, number):
    return folder / "logs" / f"config_{number}.txt"


def _current(folder, name):
    """The run that the faults of a kind are done to: the first that is not finished."""
    finished = len([*folder.glob(f"{name}_*.finished")])
    return folder / f"{name}_{finished}"


def _finished(folder, run, status):
    """What is wrong with a run that has ended; the next case has another then."""
    if status != 0:
        return []
    if runs.tail(run) < STEPS:
        return [f"steps lost: status 0 at step {runs.tail(run)}, see {run}"]
    Path(f"{run}.finished").touch()
    return runs.differences(run, folder / "reference")


def finish(folder):
    """What is wrong with the runs that no case has ended, once they are."""
    wrong = []
    for name in ("killed", "failed"):
        run = _current(folder, name)
        if run.exists():
            process = runs.Process(runs.training(run), folder / "logs" / f"{run.name}_last.txt")
            status = process.end()
            wrong += runs.complaints(process, status, (0,)) + _finished(folder, run, status)
    return wrong


KINDS = {"kills": (kill, 60), "disk": (disk, 30), "damaged": (damage, 20), "configs": (config, 40)}
"""{kind: (what does a case of it, how many there are)}."""
