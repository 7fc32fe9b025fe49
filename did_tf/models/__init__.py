"""Registry of the architectures: `build(name, num_classes, input_shape, **options)`."""

import inspect

from did_tf.errors import nearest
from did_tf.models.did import did

_BUILDERS = {"did": did}


def names():
    """Names that `build` takes."""
    return sorted(_BUILDERS)


def options(name):
    """Options of architecture `name` with their defaults. Raises ValueError for an unknown name."""
    if name not in _BUILDERS:
        raise ValueError(f"unknown model {name!r}{nearest(name, names())}; known: {', '.join(names())}")
    parameters = inspect.signature(_BUILDERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "name"}


def build(name, num_classes, input_shape=(None, None, 3), **chosen):
    """Keras model of architecture `name`: [N, H, W, C] raw pixel values -> dict of float32 logits at full size.

    Args:
      name: one of `names()`.
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None; C is the number of bands.
      **chosen: options of the architecture, see `options(name)`.

    Raises:
      ValueError: unknown name or option (the message lists the known ones), a bad value, or a size not taken.
    """
    known = options(name)
    for key in chosen:
        if key not in known:
            raise ValueError(f"model {name!r} has no option {key!r}{nearest(key, known)}; known: {', '.join(known)}")
    return _BUILDERS[name](num_classes, tuple(input_shape), **chosen)
