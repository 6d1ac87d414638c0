"""Enhancers have their published sizes, take images of any size, and all of them learns."""

import math

import pytest
import torch
import torch.nn.functional as F
from support.small_networks import (
    ENHANCERS,
    assert_all_learn,
    images,
    open_residuals,
    parameters,
    resnet_enhancer,
    small_srresnet,
    small_unet,
)

from gradprom.models.enhancers import resnet_encoder, srresnet, unet
from gradprom.models.imagenet import pad

# SR-ResNet


@pytest.mark.parametrize(
    "channels, scale, count", [(3, 1, 1254036), (1, 1, 1233298), (3, 2, 1401749), (3, 4, 1549462)]
)
def test_srresnet_has_the_published_number_of_parameters(channels, scale, count):
    network = srresnet.build(srresnet.Options(), channels, scale)
    assert parameters(network) == count


@pytest.mark.parametrize("scale", [1, 2])
def test_a_global_skip_adds_the_enlarged_input_and_no_parameter(scale):
    options = srresnet.Options(channels=8, blocks=2, global_skip=True)
    network, x = srresnet.build(options, 3, scale), images(2, 3, 12, 20)
    size = (12 * scale, 20 * scale)
    enlarged = F.interpolate(x, size, mode="bicubic") if scale > 1 else x
    plain = srresnet.build(srresnet.Options(channels=8, blocks=2), 3, scale)
    plain.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(x) - plain(x), enlarged)
    # training starts near the input, with a gradient everywhere
    assert F.mse_loss(network(x), enlarged) < 0.01
    assert_all_learn(network, F.mse_loss(network(x), torch.zeros_like(enlarged)))


def test_srresnet_skips_are_where_ledig_puts_them():
    network = small_srresnet().eval()
    x = images(1, 1, 12, 12)
    features = network.head(x)
    for block in list(network.body)[:-2]:
        torch.nn.init.zeros_(block.layers[-1].weight)
    torch.testing.assert_close(network.body(features), network.body[-2:](features))
    torch.nn.init.zeros_(network.body[-1].weight)
    torch.testing.assert_close(network(x), network.tail(features))


@pytest.mark.parametrize("build", [small_srresnet, resnet_enhancer])
@pytest.mark.parametrize("scale", [0, -2])
def test_scales_that_pixel_shuffles_cannot_make_are_refused(build, scale):
    with pytest.raises(ValueError, match=f"scale={scale}.*whole numbers >= 1"):
        build(scale=scale)


@pytest.mark.parametrize(
    ("scale", "factors"),
    [(1, []), (2, [2]), (3, [3]), (8, [2, 2, 2]), (12, [2, 2, 3]), (25, [5, 5])],
)
def test_a_scale_is_made_by_one_pixel_shuffle_for_each_prime_factor(scale, factors):
    layers = srresnet.upsampling(4, scale)
    shuffles = [x.upscale_factor for x in layers if isinstance(x, torch.nn.PixelShuffle)]
    assert shuffles == factors
    assert layers(images(1, 4, 2, 3)).shape == (1, 4, 2 * scale, 3 * scale)


@pytest.mark.parametrize("values", [{"channels": 0}, {"blocks": 0}])
def test_srresnet_options_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=0.*>= 1"):
        srresnet.Options(**values)


def test_srresnet_without_normalisation_and_wide_ends_is_what_its_options_say():
    options = srresnet.Options(channels=8, blocks=2, ends=3, normalise=False)
    network = srresnet.build(options, 3)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    kernels = [m.kernel_size for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert set(kernels) == {(3, 3)} and len(kernels) == 7
    published = srresnet.Options(channels=8, blocks=2)
    assert (published.ends, published.normalise, published.start) == (9, True, None)


@pytest.mark.parametrize(
    ("skip", "start", "factor"), [(True, None, 0.1), (True, 0.0, 0), (False, 0.5, 0.5)]
)
def test_srresnet_starts_its_last_convolution_as_told(skip, start, factor):
    weights = []
    for options in (
        srresnet.Options(channels=4, blocks=1),
        srresnet.Options(channels=4, blocks=1, global_skip=skip, start=start),
    ):
        torch.manual_seed(0)
        weights.append(srresnet.build(options, 1).tail.weight)
    torch.testing.assert_close(weights[1], factor * weights[0])


@pytest.mark.parametrize("values", [{"ends": 4}, {"ends": 0}, {"start": -1}, {"start": math.nan}])
def test_srresnet_ends_and_starts_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))}=.*allowed"):
        srresnet.Options(**values)


# U-Net


def test_unet_starts_as_the_identity_or_bicubic_interpolation():
    x = images(2, 1, 37, 41)
    assert torch.equal(small_unet(trained=False)(x), x)
    larger = F.interpolate(x, scale_factor=2, mode="bicubic")
    assert torch.equal(small_unet(scale=2, trained=False)(x), larger)


def test_unet_doubles_its_channels_at_each_level():
    network = unet.build(unet.Options(channels=4, levels=2, blocks=3), 1)
    shrinking = [down.shrink for down in network.down]
    assert [(c.in_channels, c.out_channels) for c in shrinking] == [(4, 8), (8, 16)]
    assert [len(part.blocks) for part in (*network.down, *network.up)] == [3] * 4
    assert len(network.body) == 3


def test_unet_sees_the_same_at_every_size():
    """What is repeated at the border is cut away again, with nothing shifted."""
    network, x = small_unet().eval(), images(1, 1, 41, 43)
    padded = F.pad(x, (0, 1, 0, 3), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(padded)[..., :41, :43], network(x))


@pytest.mark.parametrize("key", ["channels", "levels", "blocks"])
def test_unet_options_out_of_range_are_refused(key):
    with pytest.raises(ValueError, match=f"{key}=0.*>= 1"):
        unet.Options(**{key: 0})


# every enhancer


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
@pytest.mark.parametrize(
    "channels, scale, size", [(1, 1, (37, 50)), (3, 2, (33, 9)), (1, 3, (9, 11)), (3, 4, (8, 8))]
)
def test_enhancer_takes_any_size_and_returns_it_scaled(build, channels, scale, size):
    network = build(channels, scale).eval()
    enhanced = network(images(2, channels, *size))
    assert enhanced.shape == (2, channels, scale * size[0], scale * size[1])
    assert enhanced.isfinite().all()


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_all_of_an_enhancer_learns(build):
    network = open_residuals(build())
    assert_all_learn(
        network, F.mse_loss(network(images(2, 1, 64, 64)), images(2, 1, 64, 64, seed=1))
    )


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_enhancer_is_not_clamped_in_training(build):
    """A clamp would stop the gradient of every pixel outside [0, 1]."""
    network = build()
    with torch.no_grad():
        network.tail.bias += 5
    assert network(images(2, 1, 64, 64)).max() > 1


@pytest.mark.parametrize("build", ENHANCERS.values(), ids=ENHANCERS)
def test_evaluation_of_an_enhancer_depends_on_the_image_alone(build):
    network = build().eval()
    x = images(3, 1, 40, 40)
    with torch.no_grad():
        together = network(x)
        assert torch.equal(network(x), together)
        torch.testing.assert_close(network(x[1:2]), together[1:2], rtol=1e-4, atol=1e-5)


# ResNet enhancer


def test_resnet_enhancer_starts_as_the_identity_or_bicubic_interpolation():
    x = images(2, 1, 37, 41)
    assert torch.equal(resnet_enhancer(trained=False)(x), x)
    larger = F.interpolate(x, scale_factor=2, mode="bicubic")
    assert torch.equal(resnet_enhancer(scale=2, trained=False)(x), larger)


def test_resnet_enhancer_sees_the_same_at_every_alignment_to_its_stride():
    """What is repeated at the border is cut away again, with nothing shifted."""
    network = resnet_enhancer().eval()
    x = images(1, 1, 70, 90)
    with torch.no_grad():
        difference = (network(pad(x))[..., :70, :90] - network(x)).abs()
    # the 9×9 convolutions pad with zeros where the padded image has its repeated border
    assert difference[..., :62, :82].max() < 1e-5


def test_resnet101_enhances():
    network = resnet_enhancer(3, encoder="resnet101").eval()
    # torchvision's ResNet-101 without its classifier
    assert parameters(network.encoder) == 44549160 - 1000 * 2049
    with torch.no_grad():
        assert network(images(1, 3, 64, 64)).shape == (1, 3, 64, 64)


def test_unknown_encoder_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match="encoder=vgg22.*resnet50, resnet101"):
        resnet_encoder.Options(encoder="vgg22")
