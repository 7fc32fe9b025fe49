"""From the data, the machine and the time to settings, each with its reason."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from did_tf.analysis.room import MARGIN
from did_tf.common.errors import ConfigError
from did_tf.planning.content import Content
from did_tf.planning.machine import GIB, Machine

REFERENCE = 257
"""Side of the crops that `Width.crops` counts."""
LEAST_STEPS = 100
"""Updates below which nothing is learnt that is worth the name."""
FORWARD = 3
"""A training step is about so many forward passes."""
VALIDATING = 0.1
"""Share of the time that validations may take, and likewise that for evaluation in tiles."""
VALIDATIONS = 8
MOST_VALIDATING = 0.5
"""Share of the time that the validation of a large split may take, of which there is then one alone, at the end."""
OFTEN = 50
"""How often each pixel may be seen until statistics of few crops cost more than their many updates bring.

Measured on two cores: an hour of CamVid, 28 times, is best in batches of 4 in two parts; ten minutes of 15 slices of
membranes, 100 times, in batches of 8 in one.
"""
RECOMPUTING = 1.2
"""By how much `train.recompute` makes a step longer (docs/how-to/memory.md)."""
ALIKE, MAYBE_ALIKE = 0.05, 0.2
"""`Content.uneven` below which images may be turned upside down; and if it is no more than by chance."""
MOST_OF_MEMORY = 0.8
"""Share of what is free that a plan takes."""
HELD = 0.2
"""Share that decoded images may take of the memory that a network on the CPU needs too."""


class Width(NamedTuple):
    """A network of the table.

    Attributes:
      growth: DID's.
      crops: of 257x257 that the time must be good for; with fewer a narrower network sees so much more that it wins.
    """

    growth: int
    crops: int


WIDTHS = (Width(48, 60_000), Width(32, 4_000), Width(24, 1_500), Width(16, 0))
SIDES = (513, 385, 321, 257, 193, 129, 65)
WAYS: tuple[Mapping[str, Any], ...] = (
    {"recompute": False, "accumulate": 1},
    {"recompute": True, "accumulate": 1},
    {"recompute": True, "accumulate": 2},
    {"recompute": True, "accumulate": 4},
)
"""How a batch is trained, in the order of their speed, and of the memory that they take."""


class Choice(NamedTuple):
    """A setting, its value, and why it has that."""

    key: str
    value: Any
    why: str


class Pace(NamedTuple):
    """How fast a training is.

    Attributes:
      rate: multiply-adds of a forward pass a second.
      parts: of each batch, side by side (`train.parts`), with which it is so.
      measured: how, in words; empty where it is assumed.
    """

    rate: float
    parts: int
    measured: str


class Batch(NamedTuple):
    """Crops of a batch on a CPU, and of a part of it (`train.parts`), by whose statistics it is normalised, at least.

    Small ones are as fast as large ones there, and make more updates.
    """

    size: int
    of_part: int

    def allows(self, parts: int) -> bool:
        """Whether each of so many parts has as many crops as it needs."""
        return self.size % (self.of_part * parts) == 0


SELDOM_SEEN, OFTEN_SEEN = (Batch(4, 2),), (Batch(8, 8), Batch(4, 4))
"""Where each pixel is seen `OFTEN` at most, and where more often; the best first, the others for little memory.

Measured where it is seen 100 times: statistics of 8 crops 77.1 % mIoU, of 4 in batches of 4 75.9, of 2 in such 74.5.
"""


class Costs(Protocol):
    """What a network costs in training."""

    def multiply_adds(self, growth: int, side: int) -> int:
        """Of the forward pass of one crop."""

    def memory(self, growth: int, side: int, **train: Any) -> float:
        """Bytes of the process, or of one GPU, with settings of `train`: batch_size, recompute, accumulate, parts."""


class Network(NamedTuple):
    """What is trained, and how much of it in the time.

    Attributes:
      growth, side, batch_size, recompute, accumulate, parts: settings.
      batch: of which kind its batches are.
      takes: bytes.
      crops: a second.
      steps: that the time is good for.
    """

    growth: int
    side: int
    batch_size: int
    recompute: bool
    accumulate: int
    parts: int
    batch: Batch
    takes: float
    crops: float
    steps: int


def network(
    content: Content, machine: Machine, hours: float, costs: Costs, pace: Pace, widest: float = math.inf
) -> Network:
    """The widest network that has enough time to learn and fits into memory, of growth `widest` at most.

    Raises:
      ConfigError: none fits.
    """
    sides = [side for side in SIDES if side <= _most_of_side(content, machine)]
    known = [width for width in WIDTHS if width.growth <= widest]
    crops = {width: _crops(width.growth, sides[0], hours, costs, pace) for width in known}
    seen = {width: crops[width] * REFERENCE**2 / content.pixels for width in known if crops[width] >= width.crops}
    room, takes = MOST_OF_MEMORY * machine.memory, 0.0
    for width, side, batch, train in _ways(seen, sides, machine, pace):
        takes = costs.memory(width.growth, side, **train)
        if (1 + MARGIN) * takes <= room:
            a_second, steps = _speed_of(width.growth, side, train, hours, costs, pace, content)
            return Network(width.growth, side, **train, batch=batch, takes=takes, crops=a_second, steps=steps)
    raise ConfigError(
        f"nothing fits into the memory of this machine: even crops of {sides[-1]}x{sides[-1]} of DID with growth "
        f"{[*seen][-1].growth}, recomputed, take about {takes / GIB:.1f} GiB, and a plan takes {MOST_OF_MEMORY:.0%} of "
        f"the {machine.memory / GIB:.1f} GiB that are free"
    )


def check_time(content: Content, found: Network, given: float, left: float) -> None:
    """Raises `ConfigError` where the hours that planning has left of those given are good for hardly a step.

    Or where one validation takes most of them.
    """
    planning = f", of which planning has left {left:.2g}," if left < given else ""
    told, each = f"--hours={given:g}{planning}", evaluation_seconds(content, found)
    updating = LEAST_STEPS * found.batch_size / found.crops
    least = max(updating / (1 - VALIDATING / 2), updating + each, each / MOST_VALIDATING)
    enough = math.ceil(100 * (given - left + least / 3600)) / 100
    if each > MOST_VALIDATING * 3600 * left:
        raise ConfigError(
            f"{told} is too little: one validation, of {content.val_images:,} images, takes about {duration(each)}; "
            f"give {enough:g} or more, or fewer images to the split val"
        )
    if found.steps < LEAST_STEPS:
        raise ConfigError(
            f"{told} is good for about {found.steps} steps of {found.batch_size} crops on this machine, and in less "
            f"than {LEAST_STEPS} nothing is learnt: give {enough:g} or more"
        )


def choose(content: Content, machine: Machine, hours: float, found: Network, pace: Pace) -> list[Choice]:
    """All settings that a plan states, in the order of experiments/base.py."""
    return [
        *_of_model(content, found),
        *_of_data(content, machine, found),
        *_of_loss(content),
        *_of_schedule(found),
        *_of_training(content, machine, hours, found, pace),
        *_of_evaluation(content, machine, hours, found),
    ]


def evaluation_seconds(content: Content, found: Network, scales: float = 1.0) -> float:
    """How long the network takes for the images to validate on, each looked at so many times, as it is trained."""
    return scales * _validation(content, found.side, found.crops)


def duration(seconds: float) -> str:
    """In words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def speed(crops: float) -> str:
    """So many a second, in words."""
    return f"{crops:,.0f} crops a second" if crops >= 100 else f"{crops:.3g} crops a second"


def _most_of_side(content, machine):
    """Of a crop in pixels: what hardware of the kind does well, and no more than the images have."""
    hardware = (513 if machine.memory >= 16 * GIB else 321) if machine.gpus else REFERENCE
    whole = 16 * math.ceil((min(content.height, content.width) - 1) / 16) + 1
    return max(SIDES[-1], min(hardware, whole))


def _ways(seen, sides, machine, pace):
    """(width, side, `Batch`, settings of `train`), the best first, of {width: how often it sees each pixel}."""
    for side, width in itertools.product(sides, seen):
        ways = itertools.product(_batches(seen[width], machine, pace), WAYS)
        trained = [(batch, {**way, "batch_size": batch.size, "parts": parts}) for (batch, parts), way in ways]
        # Micro-batches have statistics of as few crops as smaller batches, which make more updates.
        for batch, train in sorted(trained, key=_has_few):
            if batch.size % (machine.devices * train["parts"] * train["accumulate"]) == 0:
                yield width, side, batch, train


def _has_few(trained):
    """Whether statistics are of fewer crops than a batch needs."""
    batch, train = trained
    return not batch.allows(train["parts"] * train["accumulate"])


def _batches(passes, machine, pace):
    """(`Batch`, parts), the best first."""
    if machine.gpus:
        return [(Batch(crops * machine.gpus, 1), pace.parts) for crops in (8, 4, 2)]
    batches = OFTEN_SEEN if passes > OFTEN else SELDOM_SEEN
    return [(batch, pace.parts if batch.allows(pace.parts) else 1) for batch in batches]


def _crops(growth, side, hours, costs, pace):
    """That the time is good for, as crops of `REFERENCE`."""
    a_second = pace.rate / costs.multiply_adds(growth, side) * (side / REFERENCE) ** 2
    return 3600 * hours * a_second


def _speed_of(growth, side, train, hours, costs, pace, content):
    """(crops a second, steps that the time is good for)."""
    a_second = pace.rate / costs.multiply_adds(growth, side) / (RECOMPUTING if train["recompute"] else 1)
    validating = max(3600 * hours * VALIDATING / 2, _validation(content, side, a_second))
    return a_second, max(0, int((3600 * hours - validating) * a_second / train["batch_size"]))


def _validation(content, side, crops):
    """Seconds that one validation takes with so many crops a second in training."""
    return content.val_pixels / side**2 / (FORWARD * crops)


def _passes(content, found):
    """How often each pixel is seen."""
    return found.steps * found.batch_size * found.side**2 / content.pixels


def _of_model(content: Content, found: Network) -> Iterator[Choice]:
    crops, passes = found.steps * found.batch_size, _passes(content, found)
    yield Choice(
        "model.growth",
        found.growth,
        f"DID of this width sees about {crops:,} crops of {found.side}x{found.side} in the time, each pixel about "
        f"{passes:,.0f} times; a wider one would see too few, or not fit",
    )
    if passes > 100:
        yield Choice("model.dropout", 0.2, "as the paper has it: pixels seen so often would be known by heart")
    else:
        yield Choice("model.dropout", 0.0, "so short a run does not overfit, and dropout slows it down")
    yield Choice(
        "model.placement", "exact", "scores stand where features do, in images of any size, not of 16n + 1 alone"
    )
    yield Choice("model.use_bias", False, "normalisation takes them away")
    memory = 0.99 if found.steps >= 1000 else 0.95
    yield Choice("model.bn_momentum", memory, f"of about {1 / (1 - memory):.0f} steps, a small part of the run")


def _of_data(content: Content, machine: Machine, found: Network) -> Iterator[Choice]:
    size = f"images are {content.height}x{content.width} (median)"
    yield Choice("data.crop", (found.side, found.side), f"{size}; 16n + 1, of a size that {_kind(machine)} does well")
    yield Choice("data.scale", (0.6, 1.6), "of height and width: objects come in all sizes" + _objects(content, found))
    lying = f"classes lie in upper halves of images as in lower ones, but for {content.uneven:.0%} of the pixels"
    if content.uneven < ALIKE:
        yield Choice("data.flip_vertical", True, f"{lying}: up and down are alike")
    elif content.uneven < min(MAYBE_ALIKE, content.by_chance):
        yield Choice("data.flip_vertical", True, f"{lying}, which may be by chance: up and down are alike")
    else:
        yield Choice("data.flip_vertical", False, f"{lying}: up is not down")
    if content.spec.rgb and content.spec.dtype == "uint8":
        yield Choice("data.brightness", 0.27, "photos differ in light; in standard deviations of each band")
    else:
        yield Choice("data.brightness", 0.1, "a little: what the bands measure is not known")
    held = content.pixels * (content.spec.bands * _bytes(content.spec.dtype) + 1)
    if held > (MOST_OF_MEMORY * machine.host if machine.gpus else HELD * machine.memory):
        yield Choice("data.cache", False, f"decoded, the images take {held / GIB:.1f} GiB: read again in every pass")


def _kind(machine):
    return "a GPU" if machine.gpus else "a CPU"


def _objects(content, found):
    """The smallest and the largest, in words, and whether a crop shows them."""
    if not content.objects:
        return ""
    small, large = (most(content.objects.items(), key=lambda pair: pair[1]) for most in (min, max))
    told = f"; pieces of {small[0]} are about {small[1]:.0f} pixels wide, of {large[0]} {large[1]:.0f}"
    if small[1] > found.side:
        told += ": more than a crop shows, so that smaller images, --config.data.scale=(0.2,0.5), may do better"
    return told


def _bytes(dtype):
    return {"uint8": 1, "uint16": 2}.get(dtype, 4)


def _of_loss(content: Content) -> Iterator[Choice]:
    name, share = content.rarest
    absent = [one for one, part in content.shares.items() if not part]
    told = f"{name}, the rarest, has {share:.2%} of the pixels"
    if absent:
        told += f"; none of those that were looked at shows {', '.join(absent)}"
    if share < 0.1:
        yield Choice("loss.class_balance", 0.4, f"{told}: without weights rare classes are hardly ever predicted")
    else:
        yield Choice("loss.class_balance", 0.0, f"{told}: no need for weights")


def _of_schedule(found: Network) -> Iterator[Choice]:
    rate = min(4e-3, 2e-3 * math.sqrt(found.batch_size / 8))
    yield Choice("optimizer.name", "muon", "learns more from each update than Adam, and takes hardly longer for it")
    yield Choice("optimizer.options.epsilon", 1e-7, "Adam's own, for what is no kernel of a convolution")
    yield Choice("optimizer.weight_decay", 0.0, "a short run needs none; crops and flips do its work")
    yield Choice("optimizer.clip_norm", 5.0, "one odd batch can't spoil the run")
    yield Choice("schedule.name", "cosine", "down to 0 at the end, whenever that is")
    yield Choice("schedule.learning_rate", round(rate, 5), "2e-3 for 8 crops, as the root of their number")
    yield Choice("schedule.warmup", max(5, min(100, found.steps // 20)), "steps, a small part of the run")


def _of_training(content: Content, machine: Machine, hours: float, found: Network, pace: Pace) -> Iterator[Choice]:
    how = pace.measured or f"assumed of {machine.name}, not measured"
    kept = evaluation_seconds(content, found) if _validates_once(content, hours, found) else 0.0
    told = "the schedule ends with them, whatever the machine does meanwhile"
    told += "; the others are for the validation at the end" if kept else ""
    yield Choice("train.hours", round(hours - kept / 3600, 4), told)
    yield Choice(
        "train.steps",
        2 * found.steps,
        f"twice the {found.steps:,} that are expected, so that the time is what ends the run: "
        f"{speed(found.crops)} ({how})",
    )
    taken = f"takes about {found.takes / GIB:.1f} of {machine.memory / GIB:.1f} GiB"
    yield Choice("train.batch_size", found.batch_size, taken + _why_batch(content, machine, found))
    if found.recompute:
        yield Choice("train.recompute", True, "or it would not fit; a step takes a fifth longer")
    if found.accumulate > 1:
        yield Choice("train.accumulate", found.accumulate, "one micro-batch after the other, or it would not fit")
    if found.parts > 1:
        yield Choice("train.parts", found.parts, "as many as cores: faster here than one")
    yield Choice("train.precision", "auto", f"{machine.precision}: {machine.why}")
    yield Choice("train.log_every", _every(found, 15), "steps, about 15 seconds")
    yield Choice("train.checkpoint_every", _every(found, 180), "steps, about three minutes: what a crash costs")
    yield _of_validation(content, hours, found)


def _validates_once(content, hours, found):
    """Whether there is time for one validation alone, at the end, as there are so many images for it."""
    return evaluation_seconds(content, found) > 3600 * hours * VALIDATING / 2


def _of_validation(content: Content, hours: float, found: Network) -> Choice:
    if not content.val_images:
        return Choice("dataset.val_split", "", "there is none: nobody knows how good the run is; describe one")
    seconds = evaluation_seconds(content, found)
    if _validates_once(content, hours, found):
        told = f"all steps: one validation alone, at the end, of about {duration(seconds)}"
        return Choice("train.validate_every", 2 * found.steps, told)
    times = min(VALIDATIONS, int(3600 * hours * VALIDATING / max(seconds, 1e-9)))
    told = f"steps: {times} validations, each of about {duration(seconds)}"
    return Choice("train.validate_every", max(1, found.steps // times), told)


def _why_batch(content, machine, found):
    if machine.gpus:
        return ""
    if found.batch in SELDOM_SEEN:
        return "; a larger one would make fewer updates in the time"
    best, told = OFTEN_SEEN[0], f"each pixel is seen {_passes(content, found):,.0f} times"
    short = "" if found.batch == best else f"; batches of {best.size}, which have better ones, would not fit"
    return f"; {told}, where statistics of few crops cost more{short}"


def _every(found, seconds):
    """Steps that take about so many seconds."""
    return max(1, min(found.steps, round(seconds * found.crops / found.batch_size)))


def _of_evaluation(content: Content, machine: Machine, hours: float, found: Network) -> Iterator[Choice]:
    scales = 10.0 * machine.in_float32  # five scales of 0.5 to 1.5, whose tiles overlap by a third
    if content.largest > 3000:
        yield Choice(
            "evaluate.protocols", ("tiles_once",), f"an image of {content.largest} pixels is too large for one piece"
        )
    elif evaluation_seconds(content, found, scales) <= 3600 * hours * VALIDATING:
        yield Choice(
            "evaluate.protocols", ("whole", "tiles"), "tiles at five scales are better, and cost ten times as much"
        )
    else:
        yield Choice("evaluate.protocols", ("whole",), "tiles at five scales would take too much of the time")
