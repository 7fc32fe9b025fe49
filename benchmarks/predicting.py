"""Memory of labelling one image, estimated and measured: `python -m benchmarks.predicting [SYSTEM SIDE PROTOCOL]`.

Each is a process of its own, for the peak is that of a process. The image is drawn, 11 classes, weights are new.
"""

import subprocess
import sys

from benchmarks.arguments import parser_of

CASES = [
    ("did", 1025, "whole"),
    ("did", 2049, "whole"),
    ("did", 4200, "tiles_once"),
    ("did", 2049, "tiles"),
    ("did", 1025, "scales"),
    ("ladder", 2049, "whole"),
    ("fcrn", 1025, "whole"),
    ("fc_densenet", 1025, "whole"),
    ("sunet", 1025, "whole"),
]
CLASSES, TILE, SCALES, GIGABYTE = 11, 321, (0.5, 1.0, 1.5), 1e9


def main():
    parser_of(__name__, usage="python -m benchmarks.predicting [SYSTEM SIDE PROTOCOL]").parse_args()
    predict()


def predict():
    """Prints a line for each of `CASES`."""
    print(f"\none image, {CLASSES} classes: gigabytes estimated, and measured beside what the process had before")
    for system, side, protocol in CASES:
        estimated, measured = measure(system, side, protocol)
        print(f"  {system:12} {side}x{side} {protocol:10}  {estimated:5.2f}  {measured:5.2f}", flush=True)


def measure(system, side, protocol):
    """(estimated, measured) gigabytes."""
    command = [sys.executable, "-m", "benchmarks.predicting", system, str(side), protocol]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    estimated, measured = map(float, done.stdout.split()[-2:])
    return estimated, measured


def _program(system, side, protocol):
    from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

    import tempfile

    import numpy as np
    import psutil

    from data_pipelines import DatasetSpec, memory
    from did_tf import models
    from did_tf.inference import outputs
    from did_tf.inference.memory import Need
    from did_tf.inference.predictor import Predictor

    tile, scales = {"tile": TILE}, {"scales": SCALES}
    options = {"scales": scales, "tiles": {**tile, **scales}, "tiles_once": tile}.get(protocol, {})
    names, palette = zip(*((f"class_{number}", (number,) * 3) for number in range(CLASSES)))
    spec = DatasetSpec("drawn", names, palette, {}, (128.0,) * 3, (60.0,) * 3)
    predictor = Predictor(models.build(system, CLASSES), **options)
    outputs.see(predictor, np.zeros((65, 65, 3), np.uint8), None)  # whatever is loaded once
    before, need = psutil.Process().memory_info().rss, Need(predictor, False)((side, side), 1)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        outputs.write_results(folder, "drawn", image, outputs.see(predictor, image, None), spec)
    print(need / GIGABYTE, (memory.peak() - before) / GIGABYTE)


if __name__ == "__main__":
    _program(sys.argv[1], int(sys.argv[2]), sys.argv[3]) if len(sys.argv) == 4 else main()
