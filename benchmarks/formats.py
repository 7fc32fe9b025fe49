"""Whether the papers' networks, whole, are the same in every format: `python -m benchmarks.formats [EXPERIMENT ...]`.

Each is written in float32, and goes through the gate of `did_tf export`: on drawn street scenes whole, cropped to even
and odd sizes, magnified and tiny, in batches of one to three, run by the format's own runtime in a process of its own.
Weights are new, batch norm has the statistics of scenes, and logits a deviation of 1, so that probabilities are neither
0 nor 1 and a difference shows. Formats whose packages are missing are left out. The last lines are a table as Markdown:
size of the file, the largest difference of a probability, and the share of pixels of another class.
"""

import tempfile
from pathlib import Path

from benchmarks.arguments import parser_of

NETWORKS = (
    *("did_camvid", "ladder121_camvid", "ladder169_voc", "duc_camvid", "fcrn101_voc", "sunet_voc:7-128"),
    "fcdensenet103_camvid",
)
SIZES = ((193, 257), (132, 198))
"""Of the scenes: the gate crops the first to 96x128 and 97x129, the second to 44x66 and 45x67."""
CLASSES = 11


def main():
    """Prints a line for each network and format, and the table."""
    parser = parser_of(__name__)
    parser.add_argument("experiments", nargs="*", default=NETWORKS, help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--seed", type=int, default=0, help="of weights (default: 0)")
    given = parser.parse_args()
    from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

    forms, rows, refusals = _installed(), [], []
    for experiment in given.experiments:
        gate = gate_of(network_of(experiment, given.seed))
        found = [(form, _tried(form, gate, experiment)) for form in forms]
        millions = f"{gate.network.model.count_params() / 1e6:.2f}"
        rows.append([experiment, millions, *(_cell(result) for _, result in found)])
        refusals += [f"{experiment}, {form.name}: {why}" for form, why in found if isinstance(why, str)]
    heads = ["network", "parameters, M", *(form.name for form in forms)]
    print("", *(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)), *refusals, sep="\n")


def _installed():
    from did_tf.common.errors import ConfigError
    from did_tf.inference import formats

    found = []
    for form in formats.choose([formats.ALL], ["float32"]):
        try:
            form.check_packages()
            found.append(form)
        except ConfigError as error:
            print(f"left out: {error}")
    return found


def network_of(experiment, seed):
    """`Network` of an experiment's options and new weights, for the classes of the scenes."""
    import numpy as np
    from tensorflow import keras

    from did_tf import models
    from did_tf.inference.contract import Network
    from did_tf.programs import cli
    from did_tf.runs.run_folder import RunFolder

    keras.utils.set_random_seed(seed)
    options = {**cli.resolve(experiment, RunFolder("/nonexistent"), [])["model"]}
    dataset = _scenes(SIZES[0])
    model = models.build(options.pop("name"), CLASSES, mean=dataset.spec.mean, std=dataset.spec.std, **options)
    images = np.stack([dataset.read_image(sample) for sample in dataset.samples("val")[2:4]]).astype(np.float32)
    learn_statistics(model, images)
    spread = np.std(model(images, training=False)["main"])
    for layer in model.layers:
        if layer.name.startswith("head.main") and isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([weight / spread for weight in layer.get_weights()])
    return Network(model, dataset.spec)


def learn_statistics(model, images):
    """Gives batch norm the statistics of images [N, H, W, C]: those that it begins with let features grow wildly."""
    from did_tf.models.layers.normalization import statistics_to

    def take(layer, mean, variance):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)

    with statistics_to(take):
        model(images, training=True)


def _scenes(size):
    import data_pipelines

    return data_pipelines.load("synthetic", None, height=size[0], width=size[1])


def gate_of(network):
    """The `Gate` of a network, on a scene of each of `SIZES`."""
    from did_tf.inference.gate import Gate

    scenes = [_scenes(size) for size in SIZES]
    return Gate(network, [scene.read_image(scene.samples("val")[number]) for number, scene in enumerate(scenes)])


def _tried(form, gate, experiment):
    """`Export`, or why it was refused."""
    from did_tf.inference import export

    with tempfile.TemporaryDirectory() as folder:
        try:
            result = export.write(form, gate, Path(folder) / form.folder)
        except export.ExportFailed as error:
            result = str(error)
    print(f"{experiment}, {form.name}: {result if isinstance(result, str) else _cell(result)}", flush=True)
    return result


def _cell(result):
    if isinstance(result, str):
        return "refused"
    return f"{result.bytes / 1e6:.1f} MB, {result.difference:.0e}, {100 * result.labels:.3f} %"


if __name__ == "__main__":
    main()
