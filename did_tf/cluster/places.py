"""Where the processes are that train together: as TF_CONFIG says, or what stands for it with SLURM and Kubernetes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence

from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node

from did_tf.common.errors import ConfigError

VARIABLE = "TF_CONFIG"
"""That TensorFlow reads: JSON of all addresses, and which of them is one's own."""
COUNT, SERVICE = "DID_TF_WORKERS", "DID_TF_SERVICE"
"""How many pods there are, and the headless service by which they find each other."""
PORT, PORTS = 12_345, 20_000
"""The first port that is taken, and how many there are for SLURM's jobs, so that those that share a node differ."""
_JOBS = ("chief", "worker")  # in the order in which TensorFlow counts them
_ADDRESS = re.compile(r"\S+:\d{1,5}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Place:
    """One of several processes.

    Attributes:
      addresses: HOST:PORT of all, the chief's first.
      index: which is this one's.
    """

    addresses: tuple[str, ...]
    index: int

    def text(self) -> str:
        """As a value of `VARIABLE`."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": self.addresses}, "task": task})


def of_tensorflow(environment: Mapping[str, str]) -> Place | None:
    """What `VARIABLE` says, or None where there is no other process. Raises `ConfigError` for what can't be."""
    text = environment.get(VARIABLE, "")
    try:
        said = json.loads(text or "{}")
        cluster, task = said.get("cluster") or {}, said.get("task") or {}
        addresses = {job: [*cluster.get(job, [])] for job in _JOBS}
        kind, index = str(task.get("type")), int(str(task.get("index", 0)))
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ConfigError(f"{VARIABLE}={text:.100}: {error}") from None
    everyone = [address for job in _JOBS for address in addresses[job]]
    if len(everyone) < 2 and not {*cluster} - {*_JOBS}:
        return None
    if wrong := [address for address in everyone if not _ADDRESS.fullmatch(str(address))]:
        raise ConfigError(f"{VARIABLE} has the address {wrong[0]!r}: each must be HOST:PORT")
    if twice := [address for number, address in enumerate(everyone) if address in everyone[:number]]:
        raise ConfigError(f"{VARIABLE} has the address {twice[0]} twice: each worker has its own")
    if others := sorted({*cluster, kind} - {*_JOBS}):
        raise ConfigError(f"{VARIABLE} has a task {others[0]!r}: training takes workers, and at most one chief")
    before = len(addresses["chief"]) if kind == "worker" else 0
    if len(addresses["chief"]) > 1 or not 0 <= index < len(addresses[kind]):
        raise ConfigError(f"{VARIABLE} has no {kind} {index} among its addresses {', '.join(everyone)}")
    return Place(tuple(everyone), before + index)


def is_chief(environment: Mapping[str, str]) -> bool:
    """Whether this process writes the run: it is alone, or the first of several. Raises as `of_tensorflow`."""
    place = of_tensorflow(environment)
    return not place or place.index == 0


def of(system: str, environment: Mapping[str, str]) -> Place:
    """What "slurm" or "kubernetes" says. Raises `ConfigError`."""
    if system not in _SYSTEMS:
        raise ConfigError(f"--workers must be a number of 1 or more, or one of {', '.join(_SYSTEMS)}, got {system!r}")
    return _SYSTEMS[system](environment)


def of_slurm(environment: Mapping[str, str]) -> Place:
    """That of a task of `srun`. Raises `ConfigError` outside of one."""
    nodes, tasks, rank, job = _values(
        environment,
        ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_JOB_ID"),
        "--workers=slurm is for what srun starts",
    )
    try:
        hosts, counts = expand_hostlist(nodes), expand_tasks_per_node(tasks)
        first, index = PORT + int(job) % PORTS, int(rank)
    except ValueError as error:
        raise ConfigError(f"--workers=slurm: {error}") from None
    addresses = [f"{host}:{first + number}" for host, count in zip(hosts, counts) for number in range(count)]
    return _checked(addresses, index, "slurm")


def of_kubernetes(environment: Mapping[str, str]) -> Place:
    """That of a pod of an indexed job with a headless service. Raises `ConfigError` outside of one."""
    index, name, count, service = _values(
        environment,
        ("JOB_COMPLETION_INDEX", "HOSTNAME", COUNT, SERVICE),
        "--workers=kubernetes is for pods of an indexed job, see docs/how-to/several-hosts.md",
    )
    if not (index.isdecimal() and count.isdecimal()):
        raise ConfigError(f"--workers=kubernetes: JOB_COMPLETION_INDEX={index} and {COUNT}={count} must be numbers")
    job = name.removesuffix(f"-{index}")
    return _checked([f"{job}-{i}.{service}:{PORT}" for i in range(int(count))], int(index), "kubernetes")


def on_this_host(ports: Sequence[int]) -> list[Place]:
    """Those of as many processes as there are ports."""
    addresses = tuple(f"localhost:{port}" for port in ports)
    return [Place(addresses, index) for index in range(len(ports))]


def _values(environment, names, advice):
    if missing := [name for name in names if not environment.get(name)]:
        raise ConfigError(f"{missing[0]} is not set: {advice}")
    return [environment[name] for name in names]


def _checked(addresses, index, system):
    if not 0 <= index < len(addresses):
        raise ConfigError(f"--workers={system}: there is no worker {index} among {', '.join(addresses)}")
    return Place(tuple(addresses), index)


_SYSTEMS: Mapping[str, Callable[[Mapping[str, str]], Place]] = {"slurm": of_slurm, "kubernetes": of_kubernetes}
