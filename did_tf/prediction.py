"""From a trained network and images to pictures of what it sees."""

import os
from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines import DataError
from data_pipelines.images import read_image
from did_tf import checkpoints, visualize, wiring
from did_tf.errors import ConfigError
from did_tf.evaluation import MAIN, PANEL

EXTENSIONS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def load_network(config, weights):
    """A trained network, in float32 and with the options of `evaluate.options`.

    The files of its data set need not be there.

    Args:
      config: resolved settings, a plain dict.
      weights: run folder or weights file, see `checkpoints.load_weights`.

    Returns:
      (keras.Model, `DatasetSpec`, path of the weights file).

    Raises:
      ConfigError: there are no such weights, or they don't fit.
      DataError: unknown data set or option.
    """
    spec = wiring.make_spec(config)
    model = wiring.make_model(config, spec, changes=config["evaluate"]["options"])
    file = checkpoints.load_weights(model, weights)
    print(f"weights from {file}")
    return model, spec, file


def find_images(source, output):
    """Image files of `source`: [(name, function that reads it)], names sorted and unique.

    Args:
      source: an image, or a folder that is searched with its subfolders. Names are paths relative to it, without the
        extension where they are unique without it. Hidden files are left out.
      output: where results go; what already lies there is no input.

    Raises:
      DataError: no such path, or no image in the folder.
      ConfigError: `output` is the folder `source` itself.
    """
    source, output = Path(source), Path(output)
    if source.is_file():
        return [(source.stem, partial(read_image, source))]
    if not source.is_dir():
        raise DataError(f"no image or folder {source}: pass INPUT=file or INPUT=dir")
    if source.resolve() == output.resolve():
        raise ConfigError(f"results would mix with the images in {source}: pass another OUTPUT=dir")
    paths = [path for path in sorted(source.rglob("*")) if _is_input(path, source, output)]
    if not paths:
        raise DataError(f"no images in {source} or its subfolders: looked for {' '.join(sorted(EXTENSIONS))}")
    names = [str(path.relative_to(source).with_suffix("")) for path in paths]
    repeated = {name for name in names if names.count(name) > 1}
    names = [str(path.relative_to(source)) if name in repeated else name for path, name in zip(paths, names)]
    return [(name, partial(read_image, path)) for name, path in zip(names, paths)]


def split_images(config, split, count):
    """The first `count` images of a split of the data set: [(name, function that reads it)]. Raises `DataError`."""
    dataset = wiring.make_dataset(config)
    samples = dataset.samples(split)[:count]
    return [(sample.name, lambda sample=sample: dataset.read(sample)[0]) for sample in samples]


def check_output(folder):
    """Creates `folder`. Raises `ConfigError` where that fails or it can't be written to."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "permission denied"
    except OSError as error:
        reason = error.strerror
    if reason:
        raise ConfigError(f"cannot write to output folder {folder}: {reason}; pass another OUTPUT=dir")


def write_pictures(folder, name, image, probabilities, palette):
    """Writes what the network sees in one image, as PNG.

    NAME_label.png: class ids, one band of 8 bits. NAME_color.png: in the colours of `palette`. NAME_overlay.png: these
    over the image. NAME_outputs.png: image and outputs from coarse to fine, as Fig. 3 of the DID paper, thinned out to
    `PANEL` pixels a side.

    Args:
      name: may contain folders, which are created.
      image: [H, W, bands] uint8.
      probabilities: output name -> [H, W, num_classes], as of a `Predictor`.
      palette: one (R, G, B) in 0..255 per class.

    Raises:
      OSError: a file can't be written.
    """
    classes = {output: values.argmax(axis=-1).astype(np.uint8) for output, values in probabilities.items()}
    pictures = {
        "label": classes[MAIN],
        "color": visualize.colorize(classes[MAIN], palette),
        "overlay": visualize.overlay(image, classes[MAIN], palette),
        "outputs": _outputs(image, classes, palette),
    }
    for kind, picture in pictures.items():
        visualize.save_png(Path(folder) / f"{name}_{kind}.png", picture)


def _is_input(path, source, output):
    hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
    is_image = path.suffix.lower() in EXTENSIONS and path.is_file()
    return is_image and not hidden and output.resolve() not in path.resolve().parents


def _outputs(image, classes, palette):
    """Image, side outputs and "main" in a row. Side outputs are named by block, the coarsest the highest."""
    step = -(-max(image.shape[:2]) // PANEL)
    order = [*sorted({*classes} - {MAIN}, reverse=True), MAIN]
    titles = ["block1" if output == MAIN and "block2" in classes else output for output in order]
    panels = [visualize.colorize(classes[output][::step, ::step], palette) for output in order]
    return visualize.side_by_side([visualize.to_rgb(image[::step, ::step]), *panels], ["image", *titles])
