"""How long a checkpoint holds up a training, and how long it takes: `python -m benchmarks.saving [EXPERIMENT]`.

Of a network with Adam's two moments, in a folder of the working directory. Prints seconds, the median of ten.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_of
from did_tf import wiring
from did_tf.programs import cli
from did_tf.runs import checkpoints
from did_tf.runs.keeping import Keeper
from did_tf.runs.run_folder import RunFolder

TURNS = 10


def main():
    parser = parser_of(__name__)
    parser.add_argument("experiment", nargs="?", default="did_camvid", help="whose network (default: did_camvid)")
    experiment = parser.parse_args().experiment
    config = cli.resolve(experiment, RunFolder("nowhere"), [])
    model = wiring.make_model(config, wiring.make_spec(config))
    state = checkpoints.model_state(model)
    moments = {f"optimizer/{n}/{name}": v.numpy() + 1e-3 for n in range(2) for name, v in state.items()}
    manifest = {"network": config["model"], "data": {}, "precision": "float32", "seed": 1}
    held, written = [], []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        keeper = Keeper(RunFolder(folder), manifest, keep=2)
        for step in range(1, TURNS + 1):
            began = time.perf_counter()
            keeper.save(step, {**state, **moments})
            held.append(time.perf_counter() - began)
            keeper.wait()
            written.append(time.perf_counter() - began)
        size = max(file.stat().st_size for file in Path(folder).rglob("*.npz"))
    values = sum(int(np.prod(v.shape)) for v in state.values())
    whole = statistics.median(written)
    print(f"{experiment}: {values:,} values of the network, a checkpoint of {size / 1e6:.0f} MB")
    print(f"held up {statistics.median(held):.3f} s; written, read again and on the disk after {whole:.3f} s")


if __name__ == "__main__":
    main()
