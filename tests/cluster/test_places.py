"""Where the workers are, from what TF_CONFIG, SLURM and Kubernetes say."""

import json

import pytest

from did_tf.cluster import places
from did_tf.cluster.places import PORT, Place
from did_tf.common.errors import ConfigError


def config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, config({"worker": ["a:1"]})])
def test_one_process_is_alone(environment):
    assert places.of_tensorflow(environment) is None


@pytest.mark.parametrize(
    "environment, addresses, index",
    [
        (config({"worker": ["a:1", "b:2"]}, index=1), ("a:1", "b:2"), 1),
        (config({"worker": ["b:2", "c:3"], "chief": ["a:1"]}, "worker", 1), ("a:1", "b:2", "c:3"), 2),
        (config({"worker": ["b:2"], "chief": ["a:1"]}, "chief"), ("a:1", "b:2"), 0),
        (config({"worker": ["a:1", "b:2"]}, index="1"), ("a:1", "b:2"), 1),
    ],
)
def test_the_chief_is_the_first_of_all(environment, addresses, index):
    assert places.of_tensorflow(environment) == Place(addresses, index)


@pytest.mark.parametrize(
    "environment, told",
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG={: "),
        ({"TF_CONFIG": "[1]"}, r"TF_CONFIG=\[1\]"),
        (config({"worker": ["a:1", "b:2"]}, index=2), "no worker 2 among its addresses a:1, b:2"),
        (config({"worker": ["a:1", "b:2"]}, index=-1), "no worker -1"),
        (config({"worker": ["a:1"], "chief": ["b:2", "c:3"]}), "no worker 0"),
        (config({"worker": ["a:1", "b:2"], "ps": ["c:3"]}), "a task 'ps'"),
        (config({"worker": ["a:1", "b:2"]}, "evaluator"), "a task 'evaluator'"),
        (config({"worker": ["a:1", "b:2"]}, ["worker"]), "a task .*'worker'"),
        (config({"worker": ["a:1", "b:2"]}, index=1.7), "1.7"),
        (config({"worker": ["a:1", "b:2"]}, index=float("inf")), "inf"),
        (config({"worker": "ab"}), "the address 'a': each must be HOST:PORT"),
        (config({"worker": ["a:1", None]}), "the address None"),
        (config({"worker": ["a:1", ["b:2"]]}), "the address"),
        (config({"worker": ["a:1", "a:1"]}), "the address a:1 twice"),
        ({"TF_CONFIG": "[" * 100_000}, "TF_CONFIG=.*recursion"),
    ],
)
def test_what_can_not_be_is_refused(environment, told):
    with pytest.raises(ConfigError, match=told):
        places.of_tensorflow(environment)


def test_what_is_written_is_what_is_read():
    written = [place.text() for place in places.on_this_host([7, 8, 9])]
    read = [places.of_tensorflow({"TF_CONFIG": text}) for text in written]
    assert read == [Place(("localhost:7", "localhost:8", "localhost:9"), index) for index in range(3)]


SLURM = {
    "SLURM_STEP_NODELIST": "n[9-10],gpu3",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_PROCID": "3",
    "SLURM_JOB_ID": "20007",
}
"""Of the second task on the second of three nodes."""


def test_tasks_of_slurm_are_counted_node_by_node():
    """In the order of the nodes, which is not that of the alphabet: n9 comes before n10."""
    first, second = PORT + 7, PORT + 8
    addresses = (f"n9:{first}", f"n9:{second}", f"n10:{first}", f"n10:{second}", f"gpu3:{first}")
    assert places.of("slurm", SLURM) == Place(addresses, 3)


def pod(**changes):
    return {
        "JOB_COMPLETION_INDEX": "1",
        "HOSTNAME": "did-1",
        "DID_TF_WORKERS": "2",
        "DID_TF_SERVICE": "did",
    } | changes


def test_pods_are_found_by_their_service():
    assert places.of("kubernetes", pod()) == Place((f"did-0.did:{PORT}", f"did-1.did:{PORT}"), 1)


@pytest.mark.parametrize(
    "system, environment, told",
    [
        ("slurm", {}, "SLURM_STEP_NODELIST is not set: --workers=slurm is for what srun starts"),
        ("slurm", {**SLURM, "SLURM_STEP_NODELIST": "n[9-"}, "Invalid hostlist"),
        ("slurm", {**SLURM, "SLURM_PROCID": "5"}, "no worker 5"),
        ("kubernetes", pod(DID_TF_WORKERS=""), "DID_TF_WORKERS is not set"),
        ("kubernetes", pod(DID_TF_WORKERS="two"), "must be numbers"),
        ("kubernetes", pod(DID_TF_WORKERS="²"), "must be numbers"),
        ("kubernetes", pod(JOB_COMPLETION_INDEX="2"), "no worker 2"),
        ("mpi", {}, "--workers must be a number of 1 or more, or one of slurm, kubernetes, got 'mpi'"),
    ],
)
def test_what_is_missing_is_named(system, environment, told):
    with pytest.raises(ConfigError, match=told):
        places.of(system, environment)
