"""Losses against plain loops in float64, and what must hold of every kind."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtlbench.tasks import VOID, Task
from mtlbench.tasks.kinds.base import CrossEntropy, log_shares
from mtlbench.tasks.kinds.normals import COSINE_EPS, unit
from mtlbench.tasks.losses import elementwise, labelled, task_loss, to_label

SEGMENTATION = Task("s", "segmentation", 5)
NORMALS = Task("n", "normals", 3)
DEPTH = Task("d", "depth", 1)
EDGES = Task("e", "edges", 1)
CLASSES = Task("c", "classification", 7)
NUMBERS = Task("r", "regression", 2)
ABSOLUTE = Task("a", "regression-l1", 1)
LABELS = Task("m", "multi-label", 4)
LEVELS = Task("o", "ordinal", 4)
SINGLE = (CLASSES, NUMBERS, ABSOLUTE, LABELS, LEVELS)  # one label an input
ALL = (SEGMENTATION, NORMALS, DEPTH, EDGES, *SINGLE)


def example(task, batch=3, size=(6, 8), seed=0):
    """A prediction, and a target with some labels missing (float64)."""
    random = torch.Generator().manual_seed(seed)
    if not task.dense:
        prediction = torch.randn(batch, task.channels, generator=random, dtype=torch.float64)
        if task.meaning.integers:
            target = torch.randint(0, task.channels + (task is LEVELS), (batch,), generator=random)
            target[0] = VOID
        else:
            target = torch.randn(batch, task.channels, generator=random, dtype=torch.float64)
            target = (target > 0).double() if task is LABELS else target
            target[0] = math.nan
        return prediction, target
    prediction = torch.randn(batch, task.channels, *size, generator=random, dtype=torch.float64)
    hidden = torch.rand(batch, *size, generator=random) < 0.3
    if task.kind == "segmentation":
        return prediction, torch.randint(0, task.channels, (batch, *size), generator=random).masked_fill(hidden, VOID)
    target = torch.randn(batch, task.channels, *size, generator=random, dtype=torch.float64)
    if task.kind == "normals":
        target = F.normalize(target, dim=1)
    return prediction, target.masked_fill(hidden.unsqueeze(1), math.nan)


def binary(logit, yes):
    """Cross-entropy of one yes or no."""
    return math.log1p(math.exp(-float(logit))) if yes else math.log1p(math.exp(float(logit)))


def of_one(task, guess, truth):
    """The losses of one input's label, which is not missing."""
    if task is LABELS:
        return [binary(g, t == 1) for g, t in zip(guess, truth, strict=True)]
    if task is LEVELS:
        return [sum(binary(g, int(truth) > level) for level, g in enumerate(guess))]
    errors = [abs(float(g - t)) for g, t in zip(guess, truth, strict=True)]
    return [sum(e**2 if task is NUMBERS else e for e in errors) / len(errors)]


def naive(task, prediction, target):
    """The batch's loss, pixel by pixel: the mean over labelled elements of the whole batch."""
    total, count = 0.0, 0
    if task in SINGLE[1:]:
        known = [
            (g, t) for g, t in zip(prediction, target, strict=True) if torch.isfinite(t).all() and (t != VOID).all()
        ]
        losses = [loss for g, t in known for loss in of_one(task, g, t)]
        return sum(losses) / len(losses)
    if task.kind == "classification":
        pixels = [(prediction[i], target[i]) for i in range(len(target))]
    else:
        b, _, h, w = prediction.shape
        places = [(i, y, x) for i in range(b) for y in range(h) for x in range(w)]
        channel = (lambda t, i, y, x: t[i, y, x]) if target.ndim == 3 else (lambda t, i, y, x: t[i, :, y, x])
        pixels = [(prediction[i, :, y, x], channel(target, i, y, x)) for i, y, x in places]
    for guess, truth in pixels:
        if task.kind in ("segmentation", "classification"):
            if int(truth) == VOID:
                continue
            total += float(torch.logsumexp(guess, 0) - guess[int(truth)])
        else:
            if not torch.isfinite(truth).all():
                continue
            if task.kind == "normals":
                total += 1 - float(guess @ truth) / max(float(guess.norm()), COSINE_EPS)
            else:
                total += float((guess - truth).abs().mean())
        count += 1
    return total / count


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_per_image_losses_sum_to_the_mean_over_labelled_pixels(task):
    prediction, target = example(task)
    losses = task_loss(task, prediction, target)
    assert losses.shape == (3,)
    assert losses.sum().item() == pytest.approx(naive(task, prediction, target), rel=1e-5)


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_an_image_without_labels_contributes_nothing_and_gets_no_gradient(task):
    prediction, target = example(task)
    missing = VOID if target.dtype == torch.long else math.nan
    target[1] = missing
    prediction.requires_grad_()
    losses = task_loss(task, prediction, target)
    losses.sum().backward()
    assert losses[1] == 0
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[1] == 0).all()
    assert (prediction.grad[2] != 0).any()


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_a_batch_without_any_label_has_loss_zero(task):
    prediction, target = example(task)
    target = torch.full_like(target, VOID if target.dtype == torch.long else math.nan)
    assert task_loss(task, prediction, target).tolist() == [0, 0, 0]
    assert not labelled(task, target).any()


def test_unit_is_torchs_normalize():
    vectors = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    vectors[0, :, 0, 0] = torch.tensor([1e-5, 0, 0])
    torch.testing.assert_close(unit(vectors), F.normalize(vectors, dim=1, eps=COSINE_EPS))
    assert torch.isfinite(torch.autograd.functional.jacobian(unit, torch.zeros(1, 3, 1, 1))).all()


def test_outputs_are_resized_bilinearly_and_normals_are_unit_after():
    prediction = torch.randn(2, 3, 3, 4)
    target = torch.full((2, 3, 9, 16), math.nan)
    plain = F.interpolate(prediction, size=(9, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_label(NORMALS, prediction, target).norm(dim=1), torch.ones(2, 9, 16))
    torch.testing.assert_close(to_label(NORMALS, prediction, target), F.normalize(plain, dim=1))
    torch.testing.assert_close(to_label(Task("k", "keypoints", 3), prediction, target), plain)


def test_elementwise_equals_torch_on_labelled_pixels():
    prediction, target = example(SEGMENTATION)
    loss, mask = elementwise(SEGMENTATION, prediction, target)
    torch.testing.assert_close(loss, F.cross_entropy(prediction, target, ignore_index=VOID, reduction="none"))
    assert (mask == (target != VOID)).all()


@pytest.mark.parametrize("classes", [7, 40])
def test_cross_entropy_equals_torchs_with_gradients(classes: int) -> None:
    """Values and slopes, unlabelled rows too, of one gradient and of several at once (as aggregators ask for)."""
    rows = torch.randn(50, classes, dtype=torch.float64, generator=torch.manual_seed(0), requires_grad=True)
    target = torch.randint(-1, classes, (50,))
    ours = CrossEntropy.apply(rows, target)
    theirs = F.cross_entropy(rows, target, ignore_index=VOID, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)
    gradients = torch.randn(3, 50, dtype=torch.float64)
    for some, several in ((gradients[0], False), (gradients, True)):
        found, wanted = (
            torch.autograd.grad(loss, rows, some, is_grads_batched=several, retain_graph=True)[0]
            for loss in (ours, theirs)
        )
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-15)
    assert torch.isfinite(CrossEntropy.apply(1e4 * rows, target)).all()


@pytest.mark.parametrize("classes", [1, 2, 12, 15, 16])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_shares_in_single_precision_are_as_near_as_torchs(classes: int, scale: float) -> None:
    rows = scale * torch.randn(2000, classes, generator=torch.manual_seed(0))
    exact = F.log_softmax(rows.double(), 1)
    ours, theirs = ((found - exact).abs().max() for found in (log_shares(rows), F.log_softmax(rows, 1)))
    assert ours <= 2 * theirs
