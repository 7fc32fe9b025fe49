"""A server under load: `python -m benchmarks.serving [--seconds=20] [--requests=10000]` (or `make bench ARGS=serve`).

`did_tf serve` with the paper's DID on frames of 360x480, at 1, 4 and 16 clients that ask again as soon as they are
answered: images per second, and the median and the 95th percentile of a request's seconds; with each `--batch` in
turns. Then memory, open files and threads over many requests to the smallest network, from 4 clients that connect anew
each time. Exit status 1 where one of these grows. Weights are new, which costs the same. Clients are threads on this
machine, over 127.0.0.1.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import contextlib
import http.client
import itertools
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.arguments import parser_of
from benchmarks.long_run import EVERY, HELD, MIB, growing, slopes
from benchmarks.turns import spread
from did_tf import wiring
from did_tf.common.files import write_json
from did_tf.programs import cli
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder

CLIENTS, BATCHES, ROUNDS = (1, 4, 16), (1, 4), 3
FRAME, SMALL = (360, 480), (48, 64)
SECONDS, REQUESTS = 20.0, 10_000
TINY = ["--config.model.growth=4", "--config.model.units=(1,1,1,1)"]


def main(argv=None):
    """Returns the exit status."""
    parser = parser_of(__name__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load in a round (default: 20)")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="for memory (default: 10000)")
    given = parser.parse_args(argv)
    return serving(given.seconds, given.requests)


def serving(seconds=SECONDS, requests=REQUESTS):
    """Prints everything. Returns 1 where something grows, else 0."""
    with tempfile.TemporaryDirectory() as folder:
        loads(_write_run(Path(folder, "did"), "did_camvid", []), seconds)
        return memory(_write_run(Path(folder, "tiny"), "did_synthetic", TINY), requests)


def loads(run, seconds):
    """Prints a line for each number of clients and each `--batch`."""
    with contextlib.ExitStack() as stack:
        ports = {batch: stack.enter_context(_server(run, batch))[1] for batch in BATCHES}
        cases, found = [*itertools.product(CLIENTS, BATCHES)], {}
        for _ in range(ROUNDS):
            for clients, batch in cases:
                found.setdefault((clients, batch), []).append(_load(ports[batch], clients, seconds))
    print("\nDID, 360x480, float32: clients, --batch, images per second, seconds of a request (median, 95 %)")
    for (clients, batch), rounds in found.items():
        rates, times = [rate for rate, _ in rounds], np.concatenate([times for _, times in rounds])
        rate, (median, late) = np.median(rates), np.percentile(times, (50, 95))
        print(f"  {clients:3} {batch:3}  {rate:6.2f} +- {spread(rates):.2f}  {median:6.2f} {late:6.2f}")


def memory(run, requests):
    """Prints what the server held over so many requests. Returns 1 where something grows, else 0."""
    with _server(run, 1) as (process, port):
        done, looks = [], []
        with ThreadPoolExecutor(4) as threads:
            clients = [threads.submit(_ask_often, port, done, requests // 4) for _ in range(4)]
            while not all(client.done() for client in clients):
                time.sleep(EVERY)
                looks.append((len(done), process.memory_info().rss / MIB, process.num_fds(), process.num_threads()))
        for client in clients:
            client.result()  # raises where one was refused
    looks = np.array(looks, float)
    print(f"\n{requests} requests of {SMALL[0]}x{SMALL[1]}\n{'request':>8}{'MiB':>10}{'files':>8}{'threads':>9}")
    for place in np.linspace(0, len(looks) - 1, 12).astype(int):
        print("{:8.0f}{:10.1f}{:8.0f}{:9.0f}".format(*looks[place]))
    found = slopes(looks)
    for name in HELD:
        print("{}: {:+.3f} +- {:.3f} in 1,000 requests, {:+.1f} in the second half".format(name, *found[name]))
    grows = growing(found, looks[-1, 1])
    print("flat" if not grows else f"GROWING: {', '.join(grows)}")
    return 1 if grows else 0


def _load(port, clients, seconds):
    """(images per second, seconds of each request) of so many clients."""
    times, end = [], time.perf_counter() + seconds
    body = _frame(FRAME)

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            _ask(connection, body)
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        for done in [threads.submit(client) for _ in range(clients)]:
            done.result()  # raises where a client was refused: the others alone are less load
    return len(times) / (time.perf_counter() - began), times


def _ask_often(port, done, requests):
    body = _frame(SMALL)
    for _ in range(requests):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            _ask(connection, body)
        done.append(1)


def _ask(connection, body):
    connection.request("POST", "/predict", body)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(response.read().decode())
    response.read()


def _frame(size):
    """A PNG of a smooth picture, which is as large as a photograph's."""
    noise = np.random.default_rng(0).integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
    return cv2.imencode(".png", cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC))[1].tobytes()


@contextlib.contextmanager
def _server(run, batch):
    """(`psutil.Process`, port) of a server that is ready."""
    command = [sys.executable, "-m", "did_tf", "serve", str(run), "--port=0", f"--batch={batch}", "--queue=64"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = next(line for line in process.stdout if line.startswith("serving at"))
        port = int(address.rpartition(":")[2])
        while not _is_ready(port):
            time.sleep(0.2)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait()


def _is_ready(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200


def _write_run(folder, experiment, changes):
    """Path of a run with new weights."""
    run = RunFolder(folder)
    config = cli.resolve(experiment, run, changes)
    model = wiring.make_model(config, wiring.make_spec(config))
    checkpoints.write(run.best / "weights.npz", checkpoints.model_state(model))
    write_json(run.config, config)
    return folder


if __name__ == "__main__":
    sys.exit(main())
