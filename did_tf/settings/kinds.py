"""What every setting of experiments/base.py may be, one by one: its kind and range."""

from __future__ import annotations

from did_tf import models
from did_tf.common.kinds import (
    ANY_MAP,
    EMPTY,
    FLAG,
    TEXT,
    Kind,
    by_class,
    choice,
    either,
    mapping,
    number,
    pair,
    pattern,
    sequence,
    whole,
)
from did_tf.inference.predictor import AVERAGES
from did_tf.inference.tiles import BLENDS
from did_tf.training import distribution, losses, optimizers, schedules, supervision

PROTOCOLS = ("whole", "scales", "tiles", "tiles_once")
"""How an image goes through the network in testing, see `wiring.make_predictor`."""
FREQUENCIES = ("all", "segnet")
"""What the frequency of a class is its pixels over: those of all images, or those of the images that have the class."""
FREEZES = ("", "statistics", "all")
"""What of batch norm is fixed in training."""
_WEIGHT = number("[0, inf)")
_WIDTH = number("[1, 200]")  # pixels: the CRF's lattice counts in 16 bits; and wider ones make its tiles larger
_SHARE, _RANGE = number("[0, 1)"), pair(number("(0, inf)"), "(low, high)")

KINDS: dict[str, Kind] = {
    "seed": whole("[0, 2147483645]"),  # the augmentation's is the next one
    "dataset.name": pattern("the name of a data set", ".+"),
    "dataset.folder": TEXT,
    "dataset.prepared": TEXT,
    "dataset.options": ANY_MAP,
    "dataset.train_split": pattern("the name of a split, or several joined by +", r"[^+]+(\+[^+]+)*"),
    "dataset.val_split": pattern("the name of one split, or empty for no validation", "[^+]*"),
    "model.name": pattern("the name of a model", ".+"),
    "data.crop": pair(whole("[1, 32768]"), "(height, width)"),
    "data.scale": pair(number("[0.01, 100]"), "(low, high)"),
    "data.aspect": _SHARE,
    "data.flip_horizontal": FLAG,
    "data.flip_vertical": FLAG,
    "data.rotation": number("[0, 180]"),
    "data.elastic": number("[0, 1000]"),
    "data.elastic_nodes": whole("[2, 64]"),
    "data.balance": number("[0, 1]"),
    "data.brightness": _SHARE,
    "data.contrast": _SHARE,
    "data.light_bands": sequence(TEXT, distinct=True),
    "data.saturation": number("[0, 1]"),
    "data.hue": number("[0, 0.5]"),
    "data.colour_noise": number("[0, 10]"),
    "data.noise": number("[0, 10]"),
    "data.blur": number("[0, 100]"),
    "data.erase": number("[0, 1]"),
    "data.erase_area": pair(number("(0, 1]"), "(low, high)"),
    "data.cutmix": number("[0, 1]"),
    "data.classmix": number("[0, 1]"),
    "data.paste": number("[0, 1]"),
    "data.paste_classes": sequence(TEXT, distinct=True),
    "data.mixup": number("[0, 1]"),
    "data.mixup_alpha": number("[0.1, 10]"),
    "data.area": either(EMPTY, pair(number("(0, 1]"), "(low, high)")),
    "data.ratio": pair(number("[0.01, 100]"), "(low, high)"),
    "data.cache": FLAG,
    "loss.terms": mapping(_WEIGHT, losses.TERMS),
    "loss.label_smoothing": _SHARE,
    "loss.focal_gamma": number("[0, 10]"),
    "loss.tversky_alpha": number("[0, 10]"),
    "loss.tversky_beta": number("[0.01, 10]"),  # at 0 a class that is missed altogether would have no overlap to divide
    "loss.ohem_threshold": _SHARE,  # at 1 it would keep everything
    "loss.ohem_keep": whole("[0, inf)"),
    "loss.ohem_scope": choice(losses.SCOPES),
    "loss.class_balance": number("[0, 2]"),
    "loss.class_frequency": choice(FREQUENCIES),
    "loss.class_weights": either(sequence(_WEIGHT), by_class(_WEIGHT)),
    "loss.output_weights": mapping(number("[0, inf)")),
    "loss.resolution": choice(supervision.RESOLUTIONS),
    "optimizer.name": pattern(f"one of {', '.join(optimizers.NAMES)}, tfa.CLASS", ".+"),
    "optimizer.options": ANY_MAP,
    "optimizer.weight_decay": number("[0, 10]"),
    "optimizer.decay": choice(optimizers.DECAYS),
    "optimizer.undecayed": sequence(choice(models.PARTS), distinct=True),
    "optimizer.multipliers": mapping(number("[0, 1000]"), models.PARTS),
    "optimizer.clip_norm": number("[0, inf)"),
    "schedule.name": choice(schedules.NAMES),
    "schedule.learning_rate": number("(0, inf)"),
    "schedule.warmup": whole("[0, inf)"),
    "schedule.boundaries": sequence(number("(0, 1)"), least=1, distinct=True),
    "schedule.divisor": number("[1, inf)"),
    "schedule.power": number("(0, inf)"),
    "schedule.final": number("(0, 1]"),
    "train.steps": whole("[1, inf)"),
    "train.extend": whole("[0, inf)"),
    "train.hours": number("[0, inf)"),
    "train.patience": whole("[0, inf)"),
    "train.batch_size": either(whole("[1, inf)"), choice(("auto",))),
    "train.accumulate": whole("[1, inf)"),
    "train.parts": whole("[1, 1024]"),
    "train.recompute": FLAG,
    "train.jit_compile": FLAG,
    "train.precision": choice(("auto", *distribution.PRECISIONS)),
    "train.devices": pattern("auto, cpu, gpu, gpu:N or cpu*N", r"auto|cpu(\*[1-9]\d*)?|gpu(:\d+)?"),
    "train.deterministic": FLAG,
    "train.sync_batch_norm": FLAG,
    "train.ema": _SHARE,
    "train.freeze_batch_norm": choice(FREEZES),
    "train.freeze_batch_norm_from": whole("[0, inf)"),
    "train.shifted_passes": FLAG,
    "train.init": TEXT,
    "train.init_options": sequence(TEXT, distinct=True),
    "train.encoder": TEXT,
    "train.log_every": whole("[1, inf)"),
    "train.checkpoint_every": whole("[1, inf)"),
    "train.validate_every": whole("[1, inf)"),
    "train.validation": choice(PROTOCOLS),
    "train.keep_checkpoints": whole("[1, inf)"),
    "train.panels": whole("[0, inf)"),
    "train.progress": FLAG,
    "evaluate.protocols": sequence(choice(PROTOCOLS), least=1, distinct=True),
    "evaluate.scales": sequence(number("[0.01, 100]"), least=1, distinct=True),
    "evaluate.overlap": _SHARE,
    "evaluate.flip": FLAG,
    "evaluate.turns": FLAG,
    "evaluate.blend": choice(BLENDS),
    "evaluate.average": choice(AVERAGES),
    "evaluate.options": ANY_MAP,
    "crf.iterations": whole("[1, 1000]"),
    "crf.appearance_weight": _WEIGHT,
    "crf.appearance_xy": _WIDTH,
    "crf.appearance_colour": number("[1, 255]"),
    "crf.smoothness_weight": _WEIGHT,
    "crf.smoothness_xy": _WIDTH,
    "paper": ANY_MAP,
}
"""The kind of every setting but the options of the model, whose kinds the model says (`models.check_options`)."""

OPEN = (
    "dataset.options",
    "loss.terms",
    "loss.output_weights",
    "optimizer.options",
    "optimizer.multipliers",
    "evaluate.options",
)
"""Settings that take any key: what they are passed to knows which there are."""
