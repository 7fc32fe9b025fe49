"""`train --experiment=auto`: the plan of a run, made before its training where it is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from data_pipelines.remote import is_remote
from did_tf import wiring
from did_tf.cluster import local
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder


def ensure_plan(experiment: str, run: RunFolder, data: str | None, hours: float | None) -> None:
    """Sees to it that a run has its plan: makes it within the hours, or keeps what is there.

    It is made by a process of its own, which leaves neither memory nor threads behind, and ends with this one.

    Args:
      experiment: its name, auto or auto:DATASET.
      run: the run folder.
      data: folder of the data set; None for data/DATASET.
      hours: that the user has; None where the plan is there already.

    Raises:
      ConfigError: there is no plan and no `hours`, or the command line has a setting that there isn't or that can't
        have its value; the plan that is there is for other hours, or for other data, and nothing was trained by it; or
        the run was trained without one, or is at a remote place.
      SystemExit: planning failed, with its status; it has said why.
    """
    if run.plan.is_file():
        _check_hours(run, hours)
        if not run.config.is_file():  # else the content of the data is compared
            _check_data(run, data)
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.plan.stat().st_mtime))
            print(f"by the plan of {made}, {run.plan}: delete it to plan anew")
        return
    if hours is None:
        raise ConfigError(f"how long do you have? --hours=2 (make: HOURS=2) plans {run.name} before it is trained")
    if run.config.is_file() or run.mirror:
        where = "is at a remote place" if run.mirror else "was trained without a plan"
        raise ConfigError(f"{run.name} {where}: give another --run=dir, or plan apart, did_tf plan --output=plan.py")
    cli.check_given("did")  # before minutes of planning
    command = [sys.executable, "-m", "did_tf", "plan", f"--experiment={experiment}", f"--hours={hours}"]
    command += [f"--output={run.plan}", "--planning_counts", *([f"--data={data}"] if data else [])]
    if status := subprocess.run(command, env=local.environment_of_child()).returncode:
        raise SystemExit(status if status > 0 else 128 - status)


def _check_hours(run, hours):
    planned = getattr(cli.import_experiment(str(run.plan)), "HOURS", None)
    if hours is not None and hours != planned:
        raise ConfigError(
            f"{run.plan} is a plan for {planned} hours, not {hours:g}: leave --hours out to go on with it, or give "
            "another --run=dir"
        )


def _check_data(run, data):
    if not data or is_remote(data):  # records, which know what they were made from
        return
    planned = wiring.folder_of(cli.load_experiment(str(run.plan)).to_dict())
    if os.path.realpath(data) != os.path.realpath(planned):
        raise ConfigError(
            f"{run.plan} is a plan for {planned}, not {data}, and nothing was trained by it: delete it to plan anew, "
            "or give another --run=dir"
        )
