"""The gradients of an update: forward and backward, over micro-batches, parts and shifted passes of a replica."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.models.layers import FusedBatchNormalization, only_looking, random_seed
from did_tf.recompute.network import Recomputed, stored
from did_tf.training.losses import Chosen, PixelCrossEntropy
from did_tf.training.supervision import Supervision
from did_tf.training.update.compiling import compiled
from did_tf.training.update.passes import Pass, Shares, shares, side_by_side, split

Found: TypeAlias = "tuple[list[tf.Tensor], list[tf.Tensor], Chosen]"


class Gradients:
    """(gradients, loss of each output, the first output's `Chosen`) of a replica's share of an update.

    Args:
      strategy: whose replicas share the update.
      model: whose trainable variables the gradients are of, in their order.
      pixel_loss: a `PixelCrossEntropy`.
      supervision: the `Supervision` of the model.
      train: the section `train` of the settings.
      seed: of dropout, int32.
      scale: factor of the loss, a variable.

    Raises:
      ConfigError: replicas are to share the statistics of batch norm, and what they compute is to be compiled.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: Any,
        pixel_loss: PixelCrossEntropy,
        supervision: Supervision,
        train: Mapping[str, Any],
        seed: int,
        scale: tf.Variable,
    ) -> None:
        self.model, self.pixel_loss, self.supervision = model, pixel_loss, supervision
        self.seed, self.scale, self.parts = seed, scale, train["parts"]
        self.micro_batches = train["accumulate"] * self.parts
        # Replicas can't wait for each other within a loop, as those that share the statistics of batch norm do.
        waits = train["sync_batch_norm"] and strategy.num_replicas_in_sync > 1 and _has_batch_norm(model)
        self._turns = 1 if waits else train["accumulate"]
        self._compiles, self._alone = train["jit_compile"], strategy.num_replicas_in_sync == 1
        if waits and self._compiles:
            raise ConfigError(
                "train.jit_compile=True: devices that share batch statistics wait for each other within what would be "
                "compiled: set train.sync_batch_norm=False, or one device"
            )
        self._forward = Recomputed(supervision.network) if train["recompute"] else stored(supervision.network)

    def __call__(self, images: tf.Tensor, labels: Sequence[tf.Tensor], step: tf.Tensor) -> Found:
        """Those of images [N, H, W, C] and `labels` as of `passes.split`, from within a replica.

        A pass is a part of a micro-batch, and with shifted passes one of the four over it. Micro-batches take turns in
        a loop, so that they have one graph, and the memory of one.
        """
        first = self._first(tf.distribute.get_replica_context(), step)

        def passes_of(turn):
            pixels, *classes = (_share(x, self._turns, turn) for x in (images, *labels))
            count, before = self.micro_batches // self._turns, turn * self._per_step // self._turns
            return split(self.supervision, pixels, classes, count, self.seed, first + before)

        known = self._known_shares(passes_of)
        if self._turns == 1:
            return self._of_turn(passes_of(0), known)
        assert known  # there are several passes
        return self._looped(passes_of, known)

    @property
    def _per_step(self):
        """How many passes a replica takes in a step."""
        return self.micro_batches * len(self.supervision.passes)

    def _first(self, context, step):
        """The number of the first pass of a replica in a step: every number is given once, to seed dropout."""
        return (step * context.num_replicas_in_sync + context.replica_id_in_sync_group) * self._per_step

    def _looped(self, passes_of, known):
        """As `_of_turn`, one turn after the other."""
        weights = _stacked(known.weights, self._turns)

        def take(turn, gradients, losses):
            mine = known._replace(weights=tf.nest.map_structure(lambda x: x[turn], weights))
            more, terms, _ = self._of_turn(passes_of(turn), mine)
            return turn + 1, _sums(gradients, more), _sums(losses, terms)

        nothing = [tf.zeros_like(v) for v in self._variables()], [tf.zeros([]) for _ in self.supervision.weights]
        _, gradients, losses = tf.while_loop(
            lambda turn, *_: turn < self._turns, take, (tf.constant(0), *nothing), parallel_iterations=1
        )
        return gradients, losses, known.chosen

    def _of_turn(self, passes: Sequence[Pass], known: Shares | None) -> Found:
        """Over passes whose shares are known; of a single one they may not be."""
        return self._maybe_compiled(lambda: self._added_up(passes, known))

    def _maybe_compiled(self, function):
        return compiled(function) if self._compiles else function()

    def _added_up(self, passes, known):
        gradients: list[tf.Tensor] = []
        losses: list[tf.Tensor] = []
        for start in range(0, len(passes), self.parts):
            # One after the other, or nothing is saved: these parts wait for the gradients of those before.
            with tf.control_dependencies(gradients or (known.divisors if known else [])), side_by_side():
                for number in range(start, start + self.parts):
                    more, terms, known = self._of_pass(passes[number], known, number)
                    gradients = _sums(gradients, more) if gradients else more
                    losses = _sums(losses, terms) if losses else terms
        assert known
        return gradients, losses, known.chosen

    def _known_shares(self, passes_of: Callable[[int | tf.Tensor], list[Pass]]) -> Shares | None:
        """`Shares` as far as they can be told before the gradients: from the labels, or after a look at the losses."""
        passes = [one for turn in range(self._turns) for one in passes_of(turn)]
        if not self.pixel_loss.mines:
            return self._shares(passes, [one.targets for one in passes])
        if len(passes) == 1 and (self._alone or not self._compiles):
            return None  # its own losses say it
        if self._turns == 1:
            return self._shares(passes, self._maybe_compiled(lambda: self._looked_at(passes)))
        each = [dict.fromkeys(self.supervision.weights, tf.float32) for _ in passes_of(0)]
        seen = tf.map_fn(
            lambda turn: self._maybe_compiled(lambda: self._looked_at(passes_of(turn))),
            tf.range(self._turns),
            fn_output_signature=each,
            parallel_iterations=1,
        )
        return self._shares(passes, _unstacked(seen, self._turns))

    def _shares(self, passes, losses):
        return shares(self.pixel_loss, passes, losses, self.micro_batches)

    def _looked_at(self, passes):
        """{output: [n, ...] float32} of each pass, one after the other."""
        found: list[dict[str, tf.Tensor]] = []
        for one in passes:
            with tf.control_dependencies([*found[-1].values()] if found else []), only_looking():
                with self._within(one):
                    outputs = self.supervision.network(tf.identity(one.image), training=True)
                found.append(self._of_outputs(self.pixel_loss.hardness, outputs, one))
        return found

    @contextlib.contextmanager
    def _within(self, one: Pass) -> Iterator[None]:
        """Context of a pass, forward and back."""
        with random_seed(one.seed), self.supervision.within(one.shift):
            yield

    def _of_outputs(self, function, outputs, one):
        return {name: function(one.facing(outputs[name]), one.targets[name]) for name in self.supervision.weights}

    def _hardness(self, losses, outputs, one):
        """What mining ranks by: the losses themselves where they are nothing else."""
        return losses if self.pixel_loss.plain else self._of_outputs(self.pixel_loss.hardness, outputs, one)

    def _terms(self, losses, outputs, one, known, number):
        """What a pass adds to the loss of each output."""
        terms = [
            tf.math.divide_no_nan(tf.reduce_sum(losses[output] * weights), divisor)
            for (output, weights), divisor in zip(known.weights[number].items(), known.divisors)
        ]
        if not self.pixel_loss.has_regions:
            return terms
        regions = self._of_outputs(self.pixel_loss.of_regions, outputs, one)
        sums = [tf.reduce_sum(one.weighted(values)) for values in regions.values()]
        return _sums(terms, [tf.math.divide_no_nan(total, images) for total, images in zip(sums, known.images)])

    def _of_pass(self, one, known, number):
        with self._within(one):
            outputs, back = self._forward(tf.identity(one.image))
        outputs = {output: outputs[output] for output in self.supervision.weights}
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            losses = self._of_outputs(self.pixel_loss, outputs, one)
            known = known or self._shares([one], [self._hardness(losses, outputs, one)])
            terms = self._terms(losses, outputs, one, known, number)
            total = tf.add_n([weight * term for weight, term in zip(self.supervision.weights.values(), terms)])
            scaled = total * self.scale
        slopes = tape.gradient(scaled, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        with self._within(one):
            return back(slopes, self._variables()), terms, known

    def _variables(self):
        return [compat.tf_variable(v) for v in self.model.trainable_variables]


def _share(whole, shares, number):
    """[N, ...] -> [N / shares, ...], one of so many shares of it."""
    return whole if shares == 1 else tf.reshape(whole, [shares, -1, *whole.shape[1:]])[number]


def _sums(these, those):
    return [a + b for a, b in zip(these, those)]


def _stacked(of_passes, turns):
    """What each pass of all turns has -> what each pass of one has, [turns, ...]."""
    each = len(of_passes) // turns
    return [tf.nest.map_structure(lambda *x: tf.stack(x), *of_passes[number::each]) for number in range(each)]


def _unstacked(of_passes, turns):
    """The way back from `_stacked`."""
    return [tf.nest.map_structure(lambda x, turn=turn: x[turn], one) for turn in range(turns) for one in of_passes]


def _has_batch_norm(model):
    return any(isinstance(layer, FusedBatchNormalization) for layer in model.layers)
