"""The pretended device: computes as the CPU does, and refuses what an accelerator refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtlbench.checks.devices import ELSEWHERE, Elsewhere, _Functions, _Operators, move
from tests.helpers.networks import images, tiny_method


@pytest.fixture(autouse=True)
def pretending():
    with torch.no_grad(), _Functions(), _Operators():
        yield


def far(values):
    return Elsewhere(torch.as_tensor(values, dtype=torch.float32))


def test_a_network_elsewhere_computes_what_it_computes_here():
    here = tiny_method("cross-stitch").eval()
    there = copy.deepcopy(here)
    move(there)
    x, names = images(2, dtype=torch.float32), [t.name for t in here.tasks]
    for mode in (False, True):  # and batch norms keep the same statistics
        expected = here.train(mode)(x, names)
        found = there.train(mode)(Elsewhere(x), names)
        for name in names:
            assert found[name].device == ELSEWHERE
            assert torch.equal(found[name].cpu(), expected[name])
    for name, value in there.state_dict().items():
        assert isinstance(value, Elsewhere)
        assert torch.equal(value.cpu(), here.state_dict()[name])


@pytest.mark.parametrize(
    "make",
    [
        lambda d: torch.tensor([1.0, 2.0], device=d),
        lambda d: torch.as_tensor([1.0, 2.0], device=d),
        lambda d: torch.tensor([1.0, 2.0]).to(d),
        lambda d: torch.arange(1.0, 3.0, device=d),
        lambda d: far([0.0, 0.0]).new_tensor([1.0, 2.0]),
        lambda d: far([2.0, 1.0])[torch.tensor([1, 0])],  # CPU indices are welcome there too
        lambda d: far([2.0, 1.0])[[1, 0]],
        lambda d: far([[2.0, 1.0]])[0, [1, 0]],
        lambda d: far([0.0, 1.0]).add_(1),
        lambda d: copy.deepcopy(far([1.0, 2.0])),
        lambda d: far([0.0, 1.0]) + torch.tensor(1.0),  # and a CPU scalar
        lambda d: torch.zeros_like(far([1.0, 2.0])).copy_(torch.tensor([1.0, 2.0])),
        lambda d: nn.Parameter(far([1.0, 2.0])).detach().clone(),
    ],
)
def test_tensors_made_there_lie_there_and_hold_what_they_should(make):
    made = make(ELSEWHERE)
    assert made.device == ELSEWHERE
    assert made.tolist() == [1.0, 2.0]
    assert made.cpu().device.type == "cpu"
    assert (made.sum().item(), bool((made > 1.5).any())) == (3.0, True)


def test_in_place_changes_reach_the_tensor_and_its_views():
    whole = far([1.0, 2.0, 3.0])
    whole[:2].mul_(10)
    whole += 1
    assert whole.tolist() == [11.0, 21.0, 4.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: far([1.0, 2.0]) + torch.ones(2),
        lambda: torch.cat([far([1.0]), torch.ones(1)]),
        lambda: F.linear(far([[1.0, 2.0]]), torch.ones(3, 2)),
        lambda: far([1.0, 2.0]).lerp(far([1.0, 2.0]), torch.ones(2)),
        lambda: torch.where(torch.tensor([True, False]), far([1.0, 2.0]), 0.0),
        lambda: torch.rand(2, generator=torch.Generator(), device=ELSEWHERE),
        lambda: far([1.0, 2.0]).normal_(generator=torch.Generator()),
        lambda: far([0.5, 0.5]).multinomial(1, generator=torch.Generator()),
    ],
)
def test_what_an_accelerator_refuses_is_refused(wrong):
    with pytest.raises(RuntimeError, match="CPU"):
        wrong()


def test_numpy_is_refused():
    with pytest.raises(TypeError, match="copy it to the CPU first"):
        far([1.0]).numpy()
