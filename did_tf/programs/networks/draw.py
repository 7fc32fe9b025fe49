"""Pictures of a network: `did_tf draw --experiment=sunet64_camvid [--run=dir] [--image=file] [--source=layer]`.

RUN/architecture.png: its blocks, by resolution, with what each takes. RUN/fields.png and .csv: how much of the
image each layer sees (sunet.md Figure 1). RUN/activations.png: what each block makes of an image, the mean of all
channels and the strongest one (sunet.md Figure 5), with the run's weights where it has any.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import csv
import io
import itertools
import math
from pathlib import Path

import numpy as np
from absl import flags
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from tensorflow import keras

from did_tf import models, wiring
from did_tf.analysis import blocks, cost, fields
from did_tf.common import visualize
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_file
from did_tf.common.readout import ZERO, readout_of
from did_tf.inference import inputs
from did_tf.inference.memory import FIXED, check_free, spare
from did_tf.programs.networks import shared

flags.DEFINE_string(
    "image", None, "Image of the activation maps. Default: the first of the validation split, or of train, or noise."
)
flags.DEFINE_string("source", None, "Layer in whose features fields of view are counted. Default: in image pixels.")
FLAGS = flags.FLAGS

WIDTH, HEIGHT, GAP, ROW = 1.2, 0.5, 0.32, 0.85  # of a box, between columns, and from row to row; inches
BOW = 0.1  # of arrows above others
COLOURS = {"encoder": "#cfe2f3", "decoder": "#d9ead3", "head": "#fff2cc"}
LINES = {"encoder": "tab:blue", "decoder": "tab:green", "head": "tab:orange"}
PANEL = 2.6  # inches, the width of a map


def main() -> None:
    """Draws the pictures. Raises `ConfigError`, `DataError`, and OSError where one can't be written."""
    config, run = cli.chosen(training=False)
    model, spec, weights = shared.network(config, run)
    image = _image(config, spec, run.folder)
    _check_memory(model, image)
    found = blocks.blocks(model)
    seen = [field for field in fields.fields(model, FLAGS.source) if _acts(model.get_layer(field.layer))]
    shared.save_picture(
        run.folder / "architecture.png", architecture(found, f"{run.experiment}: {config['model']['name']}")
    )
    shared.save_picture(run.folder / "fields.png", _curve(seen, run.experiment))
    _write_fields(run.folder / "fields.csv", seen)
    shared.save_picture(
        run.folder / "activations.png", _maps(model, found, image, spec, f"{run.experiment}, {weights}")
    )


def architecture(found: list[blocks.Block], title: str) -> Figure:
    """A network's blocks as boxes, from the image to its outputs to the right, coarser ones below."""
    columns, strides = blocks.columns(found), sorted({block.stride for block in found})
    places = [(column * (WIDTH + GAP), -ROW * strides.index(b.stride)) for column, b in zip(columns, found)]
    arrows = [(places[taken], places[number]) for number, block in enumerate(found) for taken in block.takes]
    # A bow is half as high as its middle is drawn aside.
    top = max([0.0, *(y0 + (x1 - x0) * BOW / 2 for (x0, y0), (x1, y1) in arrows if y0 == y1)]) + HEIGHT
    width, bottom = (max(columns) + 1) * (WIDTH + GAP), -ROW * (len(strides) - 1) - HEIGHT
    figure = Figure(figsize=(width + 0.6, top - bottom + 0.4), layout="constrained")
    axes = figure.add_subplot(title=title, xlim=(-0.6, width), ylim=(bottom, top))
    axes.axis("off")
    for row, stride in enumerate(strides):
        axes.axhline(-ROW * row, color="0.9", zorder=0)
        axes.text(-0.55, -ROW * row, f"1/{stride}", color="0.4", va="center")
    for start, end in arrows:
        _arrow(axes, start, end)
    for place, block in zip(places, found):
        _box(axes, place, block)
    return figure


def _box(axes, place, block):
    x, y = place
    corner = (x, y - HEIGHT / 2)
    box = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.06", fc=COLOURS[block.part], ec="0.3")
    axes.add_patch(box)
    box.set_zorder(2)
    size = "" if block.ends == block.stride else f" at 1/{block.ends}"
    made = f"{block.convolutions} conv, {block.parameters / 1e6:.2f}M" if block.convolutions else ""
    lines = [block.name, f"{block.channels} channels{size}", *filter(None, [made])]
    axes.text(x + WIDTH / 2, y, "\n".join(lines), ha="center", va="center", fontsize=6.5, zorder=3)


def _arrow(axes, start, end):
    """From the right of one box to the left of the next; in a bow above those between, at one resolution."""
    (x0, y0), (x1, y1) = start, end
    far = x1 - x0 > WIDTH + GAP + 0.01
    begin, stop, bow = (x0 + WIDTH, y0), (x1, y1), 0.0
    if far and y0 == y1:
        begin, stop, bow = (x0 + WIDTH / 2, y0 + HEIGHT / 2), (x1 + WIDTH / 2, y1 + HEIGHT / 2), -BOW
    style = {"arrowstyle": "-|>", "color": "0.35", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 1}
    axes.annotate("", stop, begin, arrowprops={**style, "connectionstyle": f"arc3,rad={bow}"}, zorder=1)


def _acts(layer):
    """Whether a layer is one with a window: a convolution or pooling."""
    return hasattr(layer, "kernel_size") or hasattr(layer, "pool_size")


def _curve(seen, experiment):
    """Fields of view over the layers, those of each block in the colour of its part."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    what = f"features of {FLAGS.source}" if FLAGS.source else "pixels"
    axes = figure.add_subplot(xlabel="convolution or pooling, in order", ylabel=f"field of view, {what}")
    axes.set_title(f"{experiment}: what the centre of each layer sees")
    for part, colour in LINES.items():
        own = [(i, max(field.size)) for i, field in enumerate(seen) if models.part(field.layer) == part]
        if finite := [(i, size) for i, size in own if math.isfinite(size)]:
            axes.plot(*zip(*finite), ".", color=colour, label=part, markersize=5)
        for i, _ in (place for place in own if math.isinf(place[1])):
            axes.axvline(i, color=colour, alpha=0.3, linestyle=":")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.grid(alpha=0.3)
    axes.legend(title="dotted: the whole image" if any(math.isinf(max(f.size)) for f in seen) else None)
    _name_blocks(axes, seen)
    return figure


def _name_blocks(axes, seen):
    """The first words of the names of layers, below where they begin; of short ones there is no room for all."""
    begin, names = 0, []
    for word, group in itertools.groupby(field.layer.split(".")[0] for field in seen):
        count = len(list(group))
        names += [(begin, word)] if count > 0.04 * len(seen) else []
        begin += count
    places, words = zip(*names) if names else ((), ())
    axes.set_xticks(places, words, fontsize=7)


def _write_fields(path, seen):
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(("layer", "stride_rows", "stride_columns", "rows", "columns"))
    for field in seen:
        writer.writerow((field.layer, *(f"{value:.6g}" for value in (*field.stride, *field.size))))
    write_file(path, lines.getvalue().encode())
    print(f"fields of view: {path}")


def _image(config, spec, folder):
    """[H, W, bands]: that of --image, else the first of the validation or training split, else noise."""
    if not FLAGS.image:
        return wiring.example_images(config, spec)[0]
    if not Path(FLAGS.image).is_file():
        what = "a folder" if Path(FLAGS.image).is_dir() else "not there"
        raise ConfigError(f"--image={FLAGS.image} is {what}: it must be an image")
    return inputs.find_images(FLAGS.image, folder, spec, wiring.make_parts(config))[0].read()[0]


def _check_memory(model, image):
    """Raises `ConfigError` where activation maps of the image would take more memory than is free."""
    height, width = image.shape[:2]
    needed = spare() * cost.activations(model, height, width).inference + FIXED
    check_free(needed, f"an image of {height}x{width}", "give a smaller one by --image")


def _maps(model, found, image, spec, title):
    """For each block below one another, the mean absolute activation and the strongest channel of its last layer."""
    shown = {block.name: features for block in found if (features := _features(model, block)) is not None}
    made = keras.Model(model.input, {"main": model.output["main"], **{f"of {k}": v for k, v in shown.items()}})
    values = {name: np.asarray(x)[0] for name, x in made(image[None].astype(np.float32), training=False).items()}
    panels: list[tuple[str, np.ndarray, str] | None] = [("image", visualize.to_rgb(image, spec.rgb), ""), None]
    for name in shown:
        features = values[f"of {name}"].astype(np.float32)
        size = f"{features.shape[0]}x{features.shape[1]}x{features.shape[2]}"
        panels += [(f"{name}, mean of {size}", np.abs(features).mean(axis=-1), "magma")]
        channel = strongest(features)
        panels += [(f"{name}, channel {channel}", features[..., channel], "viridis")]
    if values["main"].ndim == 3:
        classes = readout_of(spec).classes(values["main"], ZERO).astype(np.uint8)
        panels[1] = ("prediction", visualize.colorize(classes, spec.palette), "")
    return _sheet(panels, title)


def strongest(features: np.ndarray) -> int:
    """The channel of features [h, w, C] with the largest total magnitude, which sunet.md Figure 5 shows."""
    return int(np.abs(features).sum(axis=(0, 1)).argmax())


def _features(model, block):
    """What a block gives, before heads resize it; None of what is no map."""
    layers = [model.get_layer(name) for name in block.layers if not name.endswith(".up") or block.part != "head"]
    maps = [layer.output for layer in layers if len(getattr(layer.output, "shape", ())) == 4]
    return maps[-1] if maps and block.name != "image" else None


def _sheet(panels, title):
    columns = 6
    rows = math.ceil(len(panels) / columns)
    height, width = panels[0][1].shape[:2]
    ratio = height / width
    figure = Figure(figsize=(PANEL * columns, (PANEL * ratio + 0.35) * rows + 0.5), layout="constrained")
    figure.suptitle(f"{title}: activation maps")
    for axes, panel in itertools.zip_longest(figure.subplots(rows, columns, squeeze=False).flat, panels):
        axes.axis("off")
        if panel:
            name, values, colours = panel
            axes.imshow(values, cmap=colours or None, aspect=ratio * values.shape[1] / values.shape[0])
            axes.set_title(name, fontsize=8)
    return figure


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
