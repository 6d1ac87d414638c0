"""Guided gradients and class activation maps, against ones worked out by hand."""

from typing import Any

import pytest
import torch
from torch import nn

from gradprom.figures import guided_backprop
from gradprom.figures.class_activation import class_activation, evidence, share_inside
from gradprom.models.recognizers import build_recognizer

# guided backpropagation


class TwoLayers(nn.Module):
    """Two inputs, two rectified units, one output; weights to reckon with."""

    def __init__(self, rectifier: nn.Module):
        super().__init__()
        self.first, self.last = nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)
        self.rectifier = rectifier
        self.first.weight.data = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [2.0, -1.0]])
        self.last.weight.data = torch.tensor([[4.0, 5.0, -6.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.rectifier(self.first(x)))


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU()])
def test_a_guided_gradient_passes_where_input_and_gradient_are_positive(
    rectifier: nn.Module,
) -> None:
    # units see (3, -2, 1); the gradients that reach them are (4, 5, -6): the second has a
    # negative input, the third a negative gradient, so that 4 · (1, 2) is left
    found = guided_backprop.guided_gradient(
        TwoLayers(rectifier), torch.tensor([[1.0, 1.0]]), lambda output: output.sum()
    )
    assert found.tolist() == [[4.0, 8.0]]


def test_without_rectifiers_it_is_the_gradient_and_hooks_are_taken_off() -> None:
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    found = guided_backprop.guided_gradient(network, torch.ones(1, 3), guided_backprop.enhanced)
    assert torch.equal(found[0], network[0].weight.detach().sum(0))
    two = TwoLayers(nn.ReLU())
    guided_backprop.guided_gradient(two, torch.ones(1, 2), guided_backprop.enhanced)
    x = torch.ones(1, 2, requires_grad=True)
    two(x).sum().backward()
    # the plain gradient: 4 · (1, 2) - 6 · (2, -1), for the first and the third unit are positive
    assert x.grad is not None and x.grad.tolist() == [[-8.0, 14.0]]


def test_segmentation_is_explained_by_the_foreground_where_it_wins() -> None:
    # background, then foreground, of three pixels: the foreground wins in the first alone
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 1.0, -1.0]]).reshape(1, 2, 3, 1)
    assert guided_backprop.segmented(logits).item() == 3.0
    # where it wins nowhere, all of them count: 3 + 1 - 1
    background = torch.tensor([9.0, 0.0]).view(1, 2, 1, 1)
    assert guided_backprop.segmented(logits + background).item() == 3.0
    assert guided_backprop.predicted(torch.tensor([[1.0, 4.0], [0.5, 0.0]])).item() == 4.5


# class activation maps


@pytest.mark.parametrize("backbone", ["small", "resnet18", "resnet50"])
def test_a_maps_mean_is_the_logit_without_the_bias(backbone: str) -> None:
    torch.manual_seed(0)
    recognizer = build_recognizer("image", backbone, False, 3, 4).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits = recognizer(images)
    maps, told = class_activation(recognizer, images)
    head: Any = [m for m in recognizer.modules() if isinstance(m, nn.Linear)][-1]
    torch.testing.assert_close(maps.mean((2, 3)) + head.bias, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(told, logits, rtol=1e-4, atol=1e-5)
    assert maps.shape[:2] == (2, 4) and maps.shape[2] > 1


def test_a_unet_has_no_class_activation_map() -> None:
    with pytest.raises(TypeError, match="SmallUNet is not a classifier"):
        class_activation(build_recognizer("pixel", "small", False, 3, 2), torch.rand(1, 3, 32, 32))


def test_evidence_is_positive_and_its_share_inside_a_mask_is_counted() -> None:
    maps = torch.tensor([[[1.0, -5.0], [0.0, 3.0]]])
    same = evidence(maps, (2, 2))
    assert same.tolist() == [[[1.0, 0.0], [0.0, 3.0]]]
    assert share_inside(same[0], torch.tensor([[True, True], [False, False]])) == 0.25
