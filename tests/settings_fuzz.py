"""Random settings for the smallest run: good values, values at the ends of ranges, and nonsense."""

import copy
import functools
import math

import tiny

from did_tf import models

NONSENSE = (
    None, True, False, -1, 0, 1, 2, 3, 7, 1.0, 2.0, 0.5, -0.5, 1.5, 1e-50, 1e-30, 1e30, 1e39, 10**12, math.nan,
    math.inf, -math.inf, "", "abc", "1", "auto", "image", "whole", (), (1,), (1, 2), (2, 1), (0, 0), (-1, -2),
    (0.5, 1.5), (1.5, 0.5), ("whole",), ("tiles", "tiles"), ("head",), "head", (True, True), (math.nan, math.nan),
    (math.inf, 1), ((1,), (2,)),
    (1, 1, 1, 1), (0, 1, 1, 1), {}, {"main": 1.0}, {"head": 0.0}, [], [1, 2], b"x", 1 + 2j,
)  # fmt: skip
GOOD = {
    "seed": (0, 1, 2**31 - 3),
    "dataset.name": ("synthetic", "camvid", "synthetik"),
    "dataset.folder": ("", "/nonexistent"),
    "dataset.prepared": ("", "/nonexistent"),
    "dataset.train_split": ("train", "train+test", "train+val", "train+train", "val", "test", "train+", "none"),
    "dataset.val_split": ("", "val", "train", "test", "train+val", "none"),
    "dataset.options.bands": (1, 2, 3, 5, 0, -1, "x"),
    "dataset.options.seed": (0, 3, -1, 1.5),
    "dataset.options.height": (48, 32, 20, 0),
    "dataset.options.sizes": ({"train": 6, "val": 2}, {"train": 0}, {"train": -1}, {"train": "x"}, {"train": 1.5}, 3),
    "data.crop": ((33, 33), (17, 49), (32, 40), (16, 33), (1, 1)),
    "data.scale": ((0.7, 1.5), (1, 1), (2, 1), (0.01, 100)),
    "data.aspect": (0.0, 0.15, 0.99),
    "data.flip_horizontal": (True, False),
    "data.flip_vertical": (True, False),
    "data.rotation": (0.0, 10.0, 180),
    "data.elastic": (0.0, 1.0, 5.0),
    "data.elastic_nodes": (2, 3, 64),
    "data.balance": (0.0, 0.5, 1),
    "data.brightness": (0.0, 0.2, 0.99),
    "data.contrast": (0.0, 0.2, 0.99),
    "data.light_bands": ((), ("red",), ("red", "blue"), ("none",)),
    "data.saturation": (0.0, 0.5, 1.0),
    "data.colour_noise": (0.0, 0.1),
    "data.hue": (0.0, 0.1, 0.5),
    "data.noise": (0.0, 0.1, 10),
    "data.blur": (0.0, 1.0, 100),
    "data.erase": (0.0, 0.5, 1),
    "data.erase_area": ((0.02, 0.4), (1, 1), (1e-30, 1)),
    "data.cutmix": (0.0, 0.5, 1),
    "data.classmix": (0.0, 0.5, 1),
    "data.paste": (0.0, 0.5, 1),
    "data.paste_classes": ((), ("car",), ("none",), ("car", "car")),
    "data.mixup": (0.0, 0.5, 1),
    "data.mixup_alpha": (0.1, 1, 10),
    "data.area": ((), (0.08, 1.0), (0.5, 0.5), (1e-30, 1)),
    "data.ratio": ((0.75, 1.33), (0.01, 100), (1, 1)),
    "data.cache": (True, False),
    "loss.terms": ({}, {"cross_entropy": 1, "dice": 0.5}, {"lovasz": 1.0}, {"dice": 0.0}, {"dize": 1}, {"focal": 1e30}),
    "loss.label_smoothing": (0.0, 0.1, 0.99),
    "loss.focal_gamma": (0.0, 0.5, 10),
    "loss.tversky_alpha": (0.0, 10),
    "loss.tversky_beta": (0.01, 10),
    "loss.ohem_threshold": (0.0, 0.3, 0.8, 0.99),
    "loss.ohem_keep": (0, 1, 16, 512, 33 * 33),
    "loss.ohem_scope": ("image", "batch"),
    "loss.class_balance": (0.0, 0.4, 1, 2),
    "loss.class_frequency": ("all", "segnet"),
    "loss.class_weights": ((), (1.0,) * 11, (0.0,) * 11, (1,) * 10, (0, *(1,) * 10), (-1, *(1,) * 10)),
    "loss.output_weights": ({}, {"main": 1}, {"main": 0.0}, {"main": 0.7, "block2": 0.3}, {"mian": 1}, {"main": -1}),
    "loss.resolution": ("full", "features"),
    "optimizer.name": ("adam", "adamw", "sgd", "rmsprop", "nadam", "muon", "tfa.AdamW", "lion9", "Adam"),
    "optimizer.options.momentum": (0.0, 0.9, 1.0),
    "optimizer.options.nesterov": (True, False),
    "optimizer.options.beta_1": (0.9, 0.0, 1.0),
    "optimizer.options.beta_2": (0.999, 0.5, 1),
    "optimizer.options.epsilon": (1e-7, 2.5e-4, 1, 0, -1e-3),
    "optimizer.options.rho": (0.9, 0, 1),
    "optimizer.options.centered": (True, False),
    "optimizer.options.amsgrad": (True, False),
    "optimizer.options.learning_rate": (1e-3,),
    "optimizer.options.use_ema": (True,),
    "optimizer.options.loss_scale_factor": (0.5,),
    "optimizer.weight_decay": (0.0, 1e-4, 10),
    "optimizer.decay": ("l2", "decoupled"),
    "optimizer.undecayed": ((), ("encoder",), ("head", "decoder")),
    "optimizer.multipliers": ({}, {"encoder": 0.2}, {"encoder": 0}, {"encoder": 0, "decoder": 0, "head": 0}, {"x": 1}),
    "optimizer.clip_norm": (0.0, 1.0, 1e30),
    "schedule.name": ("step", "poly", "cosine", "exponential", "constant"),
    "schedule.learning_rate": (1e-3, 1e-5, 0.1),
    "schedule.warmup": (0, 1, 5, 19, 20),
    "schedule.boundaries": ((2 / 3,), (0.3, 0.6), (0.6, 0.3), (0.05,), ()),
    "schedule.divisor": (10.0, 1, 2),
    "schedule.power": (0.9, 2, 1e-3),
    "schedule.final": (0.01, 1, 1e-30),
    "train.steps": (1, 2, 20, 1000),
    "train.extend": (0, 1, 1000),
    "train.hours": (0.0, 0.5, 1000),
    "train.patience": (0, 1, 1000),
    "train.batch_size": (1, 2, 3, 4, "auto"),
    "train.accumulate": (1, 2, 3),
    "train.parts": (1, 2),
    "train.recompute": (True, False),
    "train.jit_compile": (True, False),
    "train.precision": ("float32", "bfloat16", "float16", "auto"),
    "train.devices": ("auto", "cpu", "gpu", "gpu:7", "cpu*0", "tpu"),
    "train.deterministic": (True, False),
    "train.sync_batch_norm": (True, False),
    "train.ema": (0.0, 0.9, 0.9999),
    "train.freeze_batch_norm": ("", "statistics", "all"),
    "train.freeze_batch_norm_from": (0, 1),
    "train.shifted_passes": (True, False),
    "train.init": ("", "/nonexistent"),
    "train.init_options": ((), ("growth",), ("grow",), ("growth", "growth")),
    "train.encoder": ("", "/nonexistent"),
    "train.log_every": (1, 1000),
    "train.checkpoint_every": (1, 1000),
    "train.validate_every": (1, 1000),
    "train.validation": ("whole", "scales", "tiles", "tiles_once"),
    "train.keep_checkpoints": (1, 1000),
    "train.panels": (0, 1, 1000),
    "train.progress": (False,),
    "evaluate.protocols": (("whole",), ("tiles",), ("whole", "tiles")),
    "evaluate.scales": ((1.0,), (0.5, 1, 2)),
    "evaluate.overlap": (0.0, 0.5, 0.99),
    "evaluate.flip": (True, False),
    "evaluate.turns": (True, False),
    "evaluate.blend": ("uniform", "gaussian"),
    "evaluate.average": ("probabilities", "logits"),
    "evaluate.options": ({}, {"smoothing": 3}, {"growth": "x"}, {"none": 1}),
    "crf.iterations": (1, 10, 1000),
    "crf.appearance_weight": (0.0, 3.0),
    "crf.appearance_xy": (1, 15.0, 200),
    "crf.appearance_colour": (1, 3.0, 255),
    "crf.smoothness_weight": (0.0, 3.0),
    "crf.smoothness_xy": (1, 3.0, 200),
}
"""Values of the settings that can be trained with, and some near them that can't."""
NETWORKS = {
    "did": {"growth": 4, "units": (1, 1, 1, 1)},
    "ladder": {"growth": 4, "units": (2, 2, 2, 2), "width": 8},
    "duc": {"depth": 14, "width": 4, "aspp": 1},
    "fcrn": {"depth": 14, "width": 4},
    "sunet": {"filters": 4, "depth": 1, "widths": (8, 8, 8, 8)},
    "fc_densenet": {"growth": 4, "units": (1, 1), "bottleneck": 1, "stem": 4},
}
"""The smallest of each."""
OPTIONS = {
    bool: (True, False),
    int: (0, 1, 2, 3, 4, 5, 8, 12, 14, 16, 26, 32, -1),
    float: (0.0, 0.5, 0.9, 0.999, 1e-5, 1e-12, 1.0, 2.0, -0.1),
    str: (
        "3x3",
        "7x7",
        "plain",
        "spp",
        "block",
        "did",
        "ladder",
        "none",
        "rf",
        "bilinear",
        "deconv8",
        "deconv2x4",
        "x",
    ),
    tuple: ((1, 1, 1, 1), (1, 2, 1, 2), (0, 0, 0.3, 0.5), (0, 1, 1, 1), (4,), (3, 4), (), (5,), (1, 1), (8, 4, 8, 4)),
    type(None): (None, (1, 1, 1, 1), (1, 1), (2, 2, 2, 2)),
}
"""Values of the models' options, by the type of their default."""


@functools.cache
def _tiny():
    return tiny.config(dataset__options__sizes={"train": 4, "val": 2})


def draw(rng, changes=3, nonsense=0.2):
    """({key: value} of what is changed, the resolved settings) of a tiny run with up to so many changes."""
    config = copy.deepcopy(_tiny())
    name = rng.choice(sorted(NETWORKS)) if rng.random() < 0.5 else "did"
    options = {key: value for key, value in models.options(name).items() if key not in ("mean", "std")}
    config["model"] = {"name": name, **options, **NETWORKS[name]}
    keys = [*GOOD, *(f"model.{option}" for option in options)]
    changed = {}
    for key in rng.sample(keys, rng.randint(1, changes)):
        good = GOOD[key] if key in GOOD else OPTIONS[type(options[key[len("model.") :]])]
        changed[key] = rng.choice(NONSENSE if rng.random() < nonsense else good)
    for key, value in changed.items():
        *groups, last = key.split(".")
        node = config
        for group in groups:
            node = node[group]
        if isinstance(node, dict):  # an earlier change may have made something else of it
            node[last] = value
    return changed, config
