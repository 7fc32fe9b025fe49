"""What an output sees: `did_tf receptive-field --experiment=duc_camvid [--run=dir] [--data=dir]`.

Prints the theoretical receptive field of the output's centre, how much of it is reached, and how large a part the
gradient says is used, with the run's weights where it has any; for dilated stages, the gridding check of duc_hdc.md
(equation 2). Draws them in RUN/receptive_field.png. `--rates=1,2,5,9` checks a list of dilations without an experiment.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import math
import sys
from pathlib import Path

import numpy as np
from absl import flags
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from data_pipelines import DataError
from did_tf import wiring
from did_tf.analysis import gridding, measures
from did_tf.common.errors import ConfigError
from did_tf.programs.networks import shared

flags.DEFINE_list("rates", [], "Dilations of convolutions in a row, such as 1,2,5,9; no experiment is needed.")
flags.DEFINE_integer("kernel", 3, "Kernel of the convolutions of --rates.", lower_bound=1)
flags.DEFINE_string("head", "main", "Output of the network.")
flags.DEFINE_integer("images", 4, "How many images the gradient is measured on.", lower_bound=1)
flags.DEFINE_integer("side", None, "Their height and width. Default: the training crop.", lower_bound=1)
FLAGS = flags.FLAGS

LARGEST = 5121  # side of the largest map that is drawn


def main() -> None:
    """Prints the figures and draws the picture, of an experiment's network or of --rates.

    Raises:
      ConfigError, DataError: a flag or setting is no good, or the data of --data can't be read.
      OSError: the picture can't be written.
    """
    if FLAGS.rates:
        _show_rates(_whole_numbers(FLAGS.rates), FLAGS.kernel, Path(FLAGS.run or "runs"))
    else:
        _show_network(*cli.chosen(training=False))


def _show_rates(rates, kernel, folder):
    print(_checked(rates, kernel))
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    _draw_rates(figure.add_subplot(), rates, kernel, f"dilation {_listed(rates)}")
    shared.save_picture(folder / f"coverage_{'_'.join(map(str, rates))}.png", figure)


def _show_network(config, run):
    model, spec, weights = shared.network(config, run)
    if FLAGS.head not in model.output:
        raise ConfigError(f"no output {FLAGS.head!r}; known: {', '.join(model.output)}")
    field = measures.receptive_field(model, FLAGS.head)
    # Large enough for the whole field, with some room and the centre on the grid.
    side = int(min(512 * math.ceil(max(field) / 512) + 513, LARGEST)) if math.isfinite(max(field)) else LARGEST
    reached = measures.reach(model, side, side, FLAGS.head)
    images, source = _images(config, spec)
    measured = measures.footprint(model, images, FLAGS.head, sys.stderr.isatty())
    stages = measures.dilations(model)

    theory = f"{_size(field)}, {100 * measures.coverage(reached):.1f} % of it reached"
    if measures.extent(np.any(reached, axis=1)) < field[0] or measures.extent(np.any(reached, axis=0)) < field[1]:
        theory += f" (of its middle {side}x{side})"
    size = "x".join(map(str, measured.shape))
    used = f"{measures.effective_size(measured)} pixels hold {100 * measures.SHARE:.0f} % of the gradient"
    print(f"{run.experiment}, centre of output {FLAGS.head!r}\ntheoretical receptive field: {theory}")
    print(f"measured, {weights}, {source} of {size}: {used}")
    for stage, rates in stages.items():
        print(f"{stage}: {_checked(rates)}")
    shared.save_picture(
        run.folder / "receptive_field.png", _picture(run, reached, theory, measured, f"{weights}: {used}", stages)
    )


def _images(config, spec):
    """([N, H, W, bands] float32, what they are): the middle of validation images, or noise where there are no data."""
    size = (FLAGS.side, FLAGS.side) if FLAGS.side else tuple(config["data"]["crop"])
    random, split = np.random.default_rng(config["seed"]), config["dataset"]["val_split"] or "val"
    try:
        dataset = wiring.make_dataset(config)
        samples = dataset.samples(split)
    except DataError:
        if FLAGS.data:
            raise
        noise = random.normal(spec.mean, spec.std, (FLAGS.images, *size, spec.bands))
        return noise.astype(np.float32), f"{FLAGS.images} images of noise (no data found)"
    chosen = random.permutation(len(samples))[: FLAGS.images]
    images = np.stack([_middle(dataset.read(samples[i])[0], size) for i in chosen])
    return images.astype(np.float32), f"{len(images)} images of {spec.name} {split}"


def _middle(image, size):
    """The middle [*size, bands] of an image; mirrored at the edges where the image is smaller."""
    for axis, wanted in enumerate(size):
        missing = max(wanted - image.shape[axis], 0)
        around = [(missing // 2, missing - missing // 2) if i == axis else (0, 0) for i in range(3)]
        image = np.pad(image, around, "symmetric")
        first = (image.shape[axis] - wanted) // 2
        image = image.take(range(first, first + wanted), axis)
    return image


def _picture(run, reached, theory, measured, used, stages):
    panels = 2 + len(stages)
    figure = Figure(figsize=(5 * panels, 5.6), layout="constrained")
    figure.suptitle(f"{run.experiment}: what the centre of output {FLAGS.head!r} sees")
    axes = figure.subplots(1, panels)
    _draw_map(axes[0], reached, f"pixels with a path to it\n{theory}", cmap="Blues", vmin=0, vmax=1.5)
    _draw_box(axes[0], measured.shape, "tab:red", f"the images on the right, {'x'.join(map(str, measured.shape))}")
    top = measured.max()
    _draw_map(
        axes[1], np.maximum(measured, top / 1e4), f"mean gradient\n{used}", cmap="magma", norm=LogNorm(top / 1e4, top)
    )
    inner = (measures.effective_size(measured),) * 2
    _draw_box(axes[1], inner, "tab:cyan", f"{100 * measures.SHARE:.0f} % of it")
    for panel, (stage, rates) in zip(axes[2:], stages.items()):
        _draw_rates(panel, rates, 3, f"{stage} by itself, dilation {_listed(rates)}")
    return figure


def _draw_rates(axes, rates, kernel, title):
    covered = gridding.coverage(rates, kernel)
    title = f"{title}\n{100 * covered.mean():.1f} % of {_size(covered.shape)} features"
    _draw_map(axes, covered, title, cmap="Blues", vmin=0, vmax=1.5)
    _draw_box(axes, (1, 1), "tab:red", "the centre")


def _draw_map(axes, values, title, **colours):
    """A map [H, W], its coordinates counted from the centre."""
    height, width = values.shape
    left, upper = -(width // 2) - 0.5, -(height // 2) - 0.5
    axes.imshow(values, extent=(left, left + width, upper + height, upper), interpolation="antialiased", **colours)
    axes.set_title(title, fontsize=10)


def _draw_box(axes, size, colour, label):
    height, width = size
    corner = (-(width // 2) - 0.5, -(height // 2) - 0.5)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, label=label))
    axes.legend(loc="lower right", fontsize=8)


def _checked(rates, kernel=3):
    """The gridding check of a list of dilations as text."""
    report = gridding.check(rates, kernel)
    group = " of a group" if len(gridding.groups(rates)[0]) < len(rates) else ""
    text = (
        f"dilation {_listed(rates)}: M2{group} = {report.max_distance} {'<=' if report.passes else '>'} kernel {kernel}"
    )
    text += f", common factor {report.common_factor}" if report.common_factor > 1 else ""
    return f"{text}; field + {report.increase}, {100 * report.covered:.1f} % of it reached by these alone"


def _listed(rates):
    """ "1,2,5,1,2,5,1" -> "(1,2,5)x2,1"."""
    found = gridding.groups(rates)
    group, *rest = (",".join(map(str, part)) for part in found)
    times = len(rates) // len(found[0])
    return ",".join([f"({group})x{times}" if times > 1 else group, *rest])


def _size(size):
    return "x".join("all" if math.isinf(side) else f"{side:.0f}" for side in size)


def _whole_numbers(texts):
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise ConfigError(f"--rates takes whole numbers such as 1,2,5, got {','.join(texts)!r}") from None


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
