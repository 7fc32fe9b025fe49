"""What one update must be, written once more in NumPy and float64 for small linear networks.

Nothing of did_tf is used, and nothing is split: devices, micro-batches and passes are ways to compute what stands here.
A network is a convolution "stem" of the image and for each output a convolution of the stem's features, seen through
views: pairs of slices of the image's rows and columns. Several views of one output are its shifted passes.
"""

import dataclasses

import numpy as np

IGNORE = 255


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is minimised and how; the arguments of `PixelCrossEntropy` and of `TrainStep` by their names."""

    output_weights: dict
    threshold: float = 0.0
    keep: int = 0
    scope: str = "image"
    class_weights: tuple | None = None
    terms: dict = dataclasses.field(default_factory=lambda: {"cross_entropy": 1.0})  # and "dice"
    clip_norm: float = 0.0
    weight_decay: float = 0.0
    undecayed: tuple = ()
    multipliers: dict = dataclasses.field(default_factory=dict)
    ema: float = 0.0


def convolved(x, kernel, bias):
    """[N, H, W, D], of x [N, H, W, C] that is padded with zeros."""
    return bias + sum(window @ kernel[at] for at, window in _windows(_padded(x, kernel), kernel))


def convolved_back(x, kernel, change):
    """Gradients with respect to x, kernel and bias, of the one with respect to the result."""
    padded, kernel_change = _padded(x, kernel), np.zeros_like(kernel)
    image_change = np.zeros_like(padded)
    for (at, window), (_, slot) in zip(_windows(padded, kernel), _windows(image_change, kernel)):
        kernel_change[at] = np.einsum("nhwc,nhwd->cd", window, change)
        slot += change @ kernel[at].T
    border = kernel.shape[0] // 2
    inner = image_change[:, border : border + x.shape[1], border : border + x.shape[2]]
    return inner, kernel_change, change.sum(axis=(0, 1, 2))


def cross_entropy(logits, labels):
    """(losses, gradient with respect to the logits) of each pixel [..., C] and [...]; ignored ones count as class 0."""
    ids = np.where(labels == IGNORE, 0, labels).astype(int)
    distance = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(distance).sum(axis=-1)
    truth = np.eye(logits.shape[-1])[ids]
    losses = np.log(total) - np.take_along_axis(distance, ids[..., None], -1)[..., 0]
    return losses, np.exp(distance) / total[..., None] - truth


def chosen_pixels(losses, valid, rule):
    """bool [N, P] of losses and valid [N, P]: the pixels that count. A loss that is not finite is the hardest.

    Raises ValueError where float32 could choose others: a test with such data would be at the mercy of rounding.
    """
    if not rule.threshold and not rule.keep:
        return valid
    chosen = valid & ~np.isfinite(losses)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    if rule.threshold == 1:
        return valid
    if rule.threshold:
        _check_apart(np.abs(losses[valid] + np.log(rule.threshold)))
        chosen |= valid & (losses >= -np.log(rule.threshold))
    shape = (1, -1) if rule.scope == "batch" else losses.shape
    groups = zip(losses.reshape(shape), valid.reshape(shape), chosen.reshape(shape))
    for group_losses, group_valid, group_chosen in groups:
        group_chosen[_hardest(group_losses, group_valid, rule.keep)] = True
    return chosen


def loss_and_gradients(weights, images, labels, views, rule):
    """({name: number} of the metrics of the loss, {name: array} of the gradients of the total).

    Args:
      weights: {"stem/kernel": [k, k, 3, D], "stem/bias": [D], "OUTPUT/kernel": ..., "OUTPUT/bias": ...}.
      images: [N, H, W, 3].
      labels: [N, H, W], uint8.
      views: {output: [(rows, columns), ...]}, slices.
    """
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    images = np.asarray(images, np.float64)
    features = convolved(images, weights["stem/kernel"], weights["stem/bias"])
    feature_change, gradients, metrics, total = np.zeros_like(features), {}, {}, 0.0
    for output, output_weight in rule.output_weights.items():
        kernel, bias = weights[f"{output}/kernel"], weights[f"{output}/bias"]
        seen = [features[:, rows, columns] for rows, columns in views[output]]
        targets = [labels[:, rows, columns] for rows, columns in views[output]]
        loss, kept, changes = _output_loss([convolved(x, kernel, bias) for x in seen], targets, rule)
        metrics.setdefault("ohem/kept", kept)
        metrics[f"loss/{output}"], total = loss, total + output_weight * loss
        backs = [convolved_back(x, kernel, output_weight * change) for x, change in zip(seen, changes)]
        for (rows, columns), (change, _, _) in zip(views[output], backs):
            feature_change[:, rows, columns] += change
        gradients[f"{output}/kernel"] = sum(change for _, change, _ in backs)
        gradients[f"{output}/bias"] = sum(change for _, _, change in backs)
    _, *stem = convolved_back(images, weights["stem/kernel"], feature_change)
    gradients["stem/kernel"], gradients["stem/bias"] = stem
    return {"loss": total, **metrics}, gradients


def update(weights, averages, images, labels, views, rule, done):
    """(metrics, new weights, new averages) of an update by plain SGD at rate 1, `done` others having gone before."""
    metrics, gradients = loss_and_gradients(weights, images, labels, views, rule)
    for name in gradients:
        if name.endswith("kernel") and part(name) not in rule.undecayed:
            gradients[name] = gradients[name] + rule.weight_decay * weights[name]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    scale = min(1.0, rule.clip_norm / norm) if rule.clip_norm and norm > 0 else 1.0
    new = {n: w - rule.multipliers.get(part(n), 1) * scale * gradients[n] for n, w in weights.items()}
    decay = min(rule.ema, (2 + done) / (11 + done))
    averages = {name: decay * average + (1 - decay) * new[name] for name, average in averages.items()}
    return {**metrics, "gradient_norm": norm, "learning_rate": 1.0}, new, averages


def part(name):
    """The part of the network (`models.PARTS`) that a weight belongs to."""
    return "encoder" if name.startswith("stem") else "head"


def _output_loss(logits, labels, rule):
    """(loss, share of the valid pixels that count, gradients with respect to logits) of one output's views."""
    found = [cross_entropy(*pair) for pair in zip(logits, labels)]
    images = len(labels[0])
    losses, targets = (
        np.concatenate([x.reshape(images, -1) for x in xs], axis=1) for xs in ([loss for loss, _ in found], labels)
    )
    by_class = np.ones(IGNORE) if rule.class_weights is None else np.array(rule.class_weights)
    of_class = np.where(targets == IGNORE, 0.0, by_class[np.where(targets == IGNORE, 0, targets)])
    valid = of_class > 0
    chosen = chosen_pixels(losses, valid, rule)
    weight = np.where(chosen, of_class, 0.0)
    share = weight / weight.sum() if weight.sum() else weight
    loss = (share * np.where(chosen, losses, 0)).sum()
    apart = np.split(share, np.cumsum([x[0].size for x in labels])[:-1], axis=1)
    changes = [change * part.reshape(x.shape)[..., None] for (_, change), part, x in zip(found, apart, labels)]
    found = [_dice(*pair, by_class) for pair in zip(logits, labels)]
    images = max(sum(count for _, count, _ in found), 1)
    entropy, dice = rule.terms.get("cross_entropy", 0.0), rule.terms.get("dice", 0.0)
    loss = entropy * loss + dice * sum(value for value, _, _ in found) / images
    changes = [entropy * change + dice * more / images for change, (_, _, more) in zip(changes, found)]
    return loss, chosen.sum() / max(valid.sum(), 1), changes


def _dice(logits, labels, by_class):
    """(sum over images, how many count, gradient with respect to the logits) of V-Net's Dice of one view."""
    changes, total, images = np.zeros_like(logits), 0.0, 0
    for x, label, change in zip(logits, labels, changes):
        counts = (label != IGNORE) & (by_class[np.where(label == IGNORE, 0, label)] > 0)
        if not counts.any():
            continue
        powers = np.exp(x[counts] - x[counts].max(axis=-1, keepdims=True))
        p, g = powers / powers.sum(axis=-1, keepdims=True), np.eye(x.shape[-1])[label[counts]]
        share = by_class[: x.shape[-1]] * g.any(axis=0)
        share = share / share.sum()
        overlap, area = (p * g).sum(axis=0), np.where(share > 0, (p**2 + g).sum(axis=0), 1)
        total, images = total + (share * (1 - 2 * overlap / area)).sum(), images + 1
        slope = share * (4 * overlap * p / area**2 - 2 * g / area)
        change[counts] = p * (slope - (p * slope).sum(axis=-1, keepdims=True))
    return total, images, changes


def _hardest(losses, valid, keep):
    """Indices of the `keep` valid pixels with the largest losses; of equal ones the first."""
    order = np.argsort(np.where(valid, -losses, np.inf), kind="stable")[: valid.sum()]
    if 0 < keep < len(order):
        _check_apart(losses[order[keep - 1 : keep]] - losses[order[keep]])
    return order[:keep]


def _check_apart(differences):
    """Equal losses are equal in every precision; others must differ by more than float32's rounding."""
    if np.any((differences != 0) & (differences < 2e-5)):
        raise ValueError("pixels whose losses differ by rounding alone: choose other data")


def _padded(x, kernel):
    border = kernel.shape[0] // 2
    return np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])


def _windows(padded, kernel):
    """((i, j), view of the padded image that kernel[i, j] sees) for each place of the kernel."""
    height, width = (side - size + 1 for side, size in zip(padded.shape[1:3], kernel.shape))
    return [((i, j), padded[:, i : i + height, j : j + width]) for i, j in np.ndindex(*kernel.shape[:2])]
