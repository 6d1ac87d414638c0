"""The networks of the compared methods: their published sizes, and the idea of each at work."""

import importlib
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.fft import dctn
from support.small_networks import assert_all_learn, images, parameters

from gradprom.models.enhancers import apdnet, divanet, dncnn, nafnet, nrsf, rlfn, sadnet, winnet

NETWORKS = {
    "rlfn": lambda c, s: rlfn.build(rlfn.Options(channels=8, blocks=2, attention=4), c, s),
    "nafnet": lambda c, s: nafnet.build(nafnet.Options(channels=8, blocks=2), c, s),
    "divanet": lambda c, s: divanet.build(divanet.Options(channels=8, expansion=2), c, s),
    "dncnn": lambda c, s: dncnn.build(dncnn.Options(channels=8, layers=4), c, s),
    "sadnet": lambda c, s: sadnet.build(sadnet.Options(channels=8, offsets=4), c, s),
    "apdnet": lambda c, s: apdnet.build(apdnet.Options(channels=32, size=64), c, s),
    "nrsf": lambda c, s: nrsf.build(nrsf.Options(width=8, pretrained=False), c, s),
    "winnet": lambda c, s: winnet.build(winnet.Options(steps=1, blocks=1, code=16), c, s),
}


@pytest.mark.parametrize(
    "network, counts",
    [
        # channels, scale: the published number of parameters
        (rlfn, {(3, 1): 522_635, (3, 2): 526_856, (3, 4): 543_740}),
        (nafnet, {(3, 1): 286_035, (3, 2): 289_932, (3, 4): 305_520, (1, 1): 284_305}),
        # the published numbers have 24 more, of two fixed shifts by the mean colour
        (divanet, {(3, 1): 865_012 - 24, (3, 2): 902_388 - 24, (3, 4): 939_764 - 24}),
        (dncnn, {(3, 1): 669_312, (1, 1): 667_008}),
        (sadnet, {(3, 1): 4_234_723, (1, 1): 4_234_081}),
        (winnet, {(1, 1): 173_440, (3, 1): 173_440}),
    ],
)
def test_published_numbers_of_parameters(network, counts):
    built = {key: parameters(network.build(network.Options(), *key)) for key in counts}
    assert built == counts


def test_apdnet_has_about_the_published_number_of_parameters():
    """Published is 1.55 million for the width of the command."""
    assert parameters(apdnet.build(apdnet.Options(), 3)) == pytest.approx(1.55e6, rel=0.005)


def test_nrsf_has_the_published_number_of_parameters():
    """Published are 53.70 million."""
    network = nrsf.build(nrsf.Options(pretrained=False), 3)
    assert round(parameters(network) / 1e6, 1) == 53.7


@pytest.mark.parametrize("channels, blocks, count", [(64, 32, 988_611), (96, 64, 4_336_803)])
def test_nafssr_s_and_b_have_the_published_number_of_parameters(channels, blocks, count):
    options = nafnet.Options(channels=channels, blocks=blocks, drop_path=0.1)
    assert parameters(nafnet.build(options, 3)) == count


def without_gradient(network):
    """Parameters whose gradient may be 0 in a network that learns.

    A PReLU has none where all its inputs are positive; a bias in front of batch normalisation never
    has, but for rounding.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.PReLU):
            yield module.weight
        if isinstance(module, torch.nn.Sequential):
            for layer, after in pairwise(module):
                if isinstance(after, torch.nn.BatchNorm2d) and layer.bias is not None:
                    yield layer.bias


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scale", [1, 4])
def test_after_one_step_everything_learns(name, scale):
    """The first step may find layers behind one that starts at zero."""
    torch.manual_seed(0)
    network, x = NETWORKS[name](3, scale).train(), images(2, 3, 16, 20)
    target = images(2, 3, 16 * scale, 20 * scale, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(network(x), target).backward()
        optimizer.step()
    optimizer.zero_grad()
    for parameter in without_gradient(network):
        parameter.requires_grad_(False)
        parameter.grad = torch.ones_like(parameter)
    assert_all_learn(network, F.mse_loss(network(x), target))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "key",
    ["channels", "layers", "blocks", "offsets", "groups", "expansion", "size", "width", "features"],
)
def test_options_out_of_range_are_refused(name, key):
    module = globals()[name]
    if key not in module.Options.__dataclass_fields__:
        pytest.skip("no such option")
    with pytest.raises(ValueError, match=f"{key}=0: allowed"):
        module.Options(**{key: 0})


# NAFNet


def test_a_block_is_nafnets():
    """Against the implementation of spandrel, with its weights and open residuals."""
    module = importlib.import_module("spandrel.architectures.NAFNet.__arch.NAFNet_arch")
    oracle, ours = module.NAFBlock(8), nafnet.Block(8)
    torch.manual_seed(0)
    for parameter in oracle.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    state = oracle.state_dict()
    names = {
        **{f"norm{n}.{p}": f"norm{n}.{p}" for n in (1, 2) for p in ("weight", "bias")},
        **_renamed("expand.0", "conv1"),
        **_renamed("expand.1", "conv2"),
        **_renamed("attention", "sca.1"),
        **_renamed("join1", "conv3"),
        **_renamed("expand2", "conv4"),
        **_renamed("join2", "conv5"),
        **{"beta": "beta", "gamma": "gamma"},
    }
    ours.load_state_dict({own: state.pop(theirs) for own, theirs in names.items()})
    assert not state
    x = images(2, 8, 9, 7)
    torch.testing.assert_close(ours(x), oracle(x))


def _renamed(own, theirs):
    return {f"{own}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def test_nafnet_starts_near_the_enlarged_input():
    network = nafnet.build(nafnet.Options(channels=8, blocks=2), 3, 4)
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    x = images(2, 3, 7, 9)
    torch.testing.assert_close(network(x), F.interpolate(x, scale_factor=4, mode="bilinear"))


def test_dropped_paths_keep_the_mean():
    torch.manual_seed(0)
    network = nafnet.build(nafnet.Options(channels=8, blocks=1, drop_path=0.25), 1)
    before, after = torch.zeros(20_000, 1, 1, 1), torch.ones(20_000, 1, 1, 1)
    dropped = network.train()._dropped(before, after)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(network.eval()._dropped(before, after), after)


# DnCNN


def test_dncnn_subtracts_the_noise_it_predicts():
    """Against spandrel's DnCNN with the same weights and no biases."""
    module = importlib.import_module("spandrel.architectures.DnCNN.__arch.network_dncnn")
    oracle = module.DnCNN(in_nc=1, out_nc=1, nc=8, nb=5, act_mode="BR").eval()
    ours = dncnn.build(dncnn.Options(channels=8, layers=5), 1).eval()
    for key, value in oracle.state_dict().items():
        if key.endswith("bias"):
            value.zero_()
    theirs = [m for m in oracle.modules() if isinstance(m, torch.nn.Conv2d)]
    own = [m for m in ours.modules() if isinstance(m, torch.nn.Conv2d)]
    for convolution, other in zip(own, theirs, strict=True):
        convolution.load_state_dict({"weight": other.weight})
    x = images(2, 1, 11, 9)
    torch.testing.assert_close(ours(x), oracle(x))


# SADNet


def test_an_adaptive_block_begins_as_a_plain_one_of_half_the_strength():
    torch.manual_seed(0)
    block, x = sadnet.AdaptiveBlock(16, 4), images(2, 16, 9, 7)
    sampled = 0.5 * F.conv2d(x, block.first.weight, padding=1)
    sampled = sampled + block.first.bias.view(-1, 1, 1)
    expected = x + block.second(F.leaky_relu(sampled, 0.2))
    torch.testing.assert_close(block(x, images(2, 4, 9, 7)), expected)


@pytest.mark.parametrize("size", [(7, 5), (1, 4), (12, 12)])
def test_the_sampled_convolution_is_torchvisions(size):
    """Its values and all its gradients, in double precision; offsets lead far outside, too."""
    torch.manual_seed(0)
    shapes = [(2, 6, *size), (2, 2 * 3 * 9, *size), (2, 3 * 9, *size), (4, 6, 3, 3), (4,)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    inputs[1].data *= 3
    outcomes = []
    for convolved in (sadnet.sampled_convolution, sadnet._torchvisions):
        y = convolved(*inputs)
        outcomes.append([y, *torch.autograd.grad(y.square().sum(), inputs)])
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_offsets_move_where_an_adaptive_block_samples():
    """All offsets one pixel down and to the right, all weights 1: a plain one of the shifted."""
    torch.manual_seed(0)
    block, x = sadnet.AdaptiveBlock(16, 4), images(1, 16, 12, 12)
    with torch.no_grad():
        block.places.bias[: 2 * 8 * 9] = 1
        block.places.bias[2 * 8 * 9 :] = 40
    shifted = F.conv2d(x.roll((-1, -1), (2, 3)), block.first.weight, block.first.bias, padding=1)
    expected = x + block.second(F.leaky_relu(shifted, 0.2))
    actual = block(x, images(1, 4, 12, 12))
    torch.testing.assert_close(actual[..., 3:-4, 3:-4], expected[..., 3:-4, 3:-4])


def test_sadnet_starts_from_its_input_where_told():
    x = images(2, 3, 12, 9)
    torch.testing.assert_close(sadnet.build(sadnet.Options(channels=8, start=0), 3)(x), x)
    torch.manual_seed(0)
    usual = sadnet.build(sadnet.Options(channels=8), 3)
    torch.manual_seed(0)
    half = sadnet.build(sadnet.Options(channels=8, start=0.5), 3)
    torch.testing.assert_close(half(x) - x, (usual(x) - x) / 2)


@pytest.mark.parametrize("start", [-0.1, math.inf, math.nan])
def test_a_start_out_of_range_is_refused(start):
    with pytest.raises(ValueError, match="allowed are finite numbers >= 0"):
        sadnet.Options(start=start)


# DVANet


def test_attention_weighs_rows_and_columns_by_their_variance():
    attention, x = divanet.Attention(8), images(2, 8, 5, 7)
    columns, rows = (torch.from_numpy(x.numpy().var(side, keepdims=True)) for side in (2, 3))
    columns = F.conv2d(columns, attention.columns.weight, attention.columns.bias)
    rows = F.conv2d(rows, attention.rows.weight, attention.rows.bias)
    expected = x * columns.sigmoid() * rows.sigmoid()
    torch.testing.assert_close(attention(x), expected)


def test_divanet_is_bicubic_interpolation_and_a_correction():
    network, x = NETWORKS["divanet"](3, 2), images(1, 3, 9, 11)
    torch.nn.init.zeros_(network.tail.parametrizations.weight.original0)
    torch.nn.init.zeros_(network.tail.bias)
    torch.testing.assert_close(network(x), F.interpolate(x, scale_factor=2, mode="bicubic"))


# APD-Net


def test_the_random_prior_is_random_in_training_alone():
    torch.manual_seed(0)
    network, x = NETWORKS["apdnet"](1, 1), images(2, 1, 64, 64)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_the_random_prior_draws_one_number_an_image():
    prior, x = apdnet.RandomPrior(4, 8).train(), torch.zeros(3, 4, 8, 8)
    torch.manual_seed(0)
    change = prior(x)
    pattern = prior.widen(prior.map)
    numbers = change / pattern
    assert numbers.std(dim=(1, 2, 3)).max() < 1e-4
    assert numbers[:, 0, 0, 0].unique().numel() == 3
    torch.nn.init.constant_(prior.mu, 2.0)
    torch.testing.assert_close(prior.eval()(x), (2 * pattern).expand_as(x))


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
def test_the_strongest_of_a_window_is_left_by_pooling_and_unpooling(size):
    x = (images(2, 3, *size) * 4).round()  # with equal values
    pooled, places = torch.nn.MaxPool2d(2, return_indices=True)(x)
    expected = torch.nn.MaxUnpool2d(2)(pooled, places, output_size=x.shape)
    assert torch.equal(apdnet.strongest(x), expected)


def test_maps_are_interpolated_for_other_sizes():
    network = NETWORKS["apdnet"](1, 1).eval()
    assert network.down[0].prior.map.shape == (1, 1, 32, 32)
    assert network(images(1, 1, 80, 96)).shape == (1, 1, 80, 96)


# WINNet


@pytest.mark.parametrize("channels", [1, 3])
def test_lifting_is_inverted_but_for_two_pixels_at_the_border(channels):
    torch.manual_seed(0)
    network = winnet.build(winnet.Options(steps=3, blocks=1), channels).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    image = images(2 * channels, 1, 20, 24).double()
    coarse, details = network.lifted(image)
    change = (network.lowered(coarse, details) - image).abs()
    assert change[..., 2:-2, 2:-2].max() < 1e-6  # the filters are float32
    assert change.max() > 1e-3
    untouched = winnet.build(winnet.Options(), 1).double()
    assert not torch.allclose(coarse, untouched.lifted(image)[0])


def test_the_filters_are_scipys_dct():
    impulses = torch.eye(16, dtype=torch.float64).view(16, 4, 4).numpy()
    expected = torch.stack([torch.from_numpy(dctn(p, norm="ortho")).flatten() for p in impulses])
    filters = winnet.build(winnet.Options(), 1).filters.double()
    torch.testing.assert_close(filters.view(16, 16).T, expected, atol=1e-6, rtol=0)


def test_thresholds_are_proportional_to_the_noise():
    threshold = winnet.SoftThreshold(2, sigma=50 / 255)
    torch.nn.init.constant_(threshold.theta, 0.3)
    size = math.log1p(math.exp(20 * 0.3)) / 20
    x = torch.tensor([-1.0, -0.2, 0.0, 0.4, 2.0]).view(1, 1, 1, 5).expand(1, 2, 1, 5)
    expected = torch.tensor([-1 + size, 0, 0, 0.4 - size, 2 - size]).view(1, 1, 1, 5)
    torch.testing.assert_close(threshold(x), expected.expand(1, 2, 1, 5), atol=1e-6, rtol=0)
    quiet = winnet.SoftThreshold(2, sigma=0.0)
    assert torch.equal(quiet(x), x)


def test_the_penalty_is_zero_for_a_code_that_inverts_itself():
    """Analysis and synthesis as identities; what is left is the spectral norms of the lifting."""
    network = winnet.build(winnet.Options(steps=1, blocks=1, code=winnet.DETAILS), 1)
    for convolution in (network.code.analysis, network.code.synthesis):
        torch.nn.init.dirac_(convolution.weight)
    assert network.code.penalty() == 0
    expected = 0.0
    for layer in [*network.predict[0].modules(), *network.update[0].modules()]:
        if isinstance(layer, torch.nn.Conv2d):
            weight = layer.weight.detach().flatten(1).double().numpy()
            expected += max(_singular_values(weight)) / 2
    weighted = 0.01 * expected / 800
    assert network.penalty().item() == pytest.approx(weighted, rel=1e-4)


def _singular_values(weight):
    return np.linalg.svd(weight, compute_uv=False).tolist()


def _winnet(channels, **options):
    torch.manual_seed(0)
    return winnet.build(winnet.Options(steps=1, blocks=1, **options), channels)


def test_opponent_colours_are_denoised_one_by_one_and_turned_back():
    root = math.sqrt
    matrix = torch.tensor(
        [
            [1 / root(3), 1 / root(3), 1 / root(3)],
            [1 / root(2), 0, -1 / root(2)],
            [1 / root(6), -2 / root(6), 1 / root(6)],
        ]
    )
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3))  # so that noise stays white
    x = images(2, 3, 9, 11)
    opponent = (x.movedim(1, 3) @ matrix.T).movedim(3, 1)
    denoised = _winnet(3)(opponent)
    expected = (denoised.movedim(1, 3) @ matrix).movedim(3, 1)
    torch.testing.assert_close(_winnet(3, opponent=True)(x), expected)
    assert not torch.allclose(_winnet(3)(x), expected, atol=1e-3)


def test_images_without_colours_have_no_opponent_ones():
    x = images(2, 1, 9, 11)
    assert torch.equal(_winnet(1, opponent=True)(x), _winnet(1)(x))


# NRSF


def test_calibration_convolves_each_image_by_a_kernel_of_its_own():
    torch.manual_seed(0)
    calibration = nrsf.Calibration(4)
    torch.nn.init.normal_(calibration.kernel)
    neighbour, centre = images(3, 4, 9, 11), images(3, 4, 9, 11, seed=1)
    calibrated = calibration(neighbour, centre)
    for one, other, actual in zip(neighbour, centre, calibrated, strict=True):
        query = nrsf._pooled(calibration.query(other[None]))[0]
        key = nrsf._pooled(calibration.key(one[None]))[0]
        kernel = (torch.sigmoid(query @ key.T) @ calibration.kernel).view(4, 4, 3, 3)
        torch.testing.assert_close(actual, F.conv2d(one[None], kernel, padding=1)[0])


@pytest.mark.parametrize("size", [(3, 3), (4, 9), (15, 7)])
def test_coarse_grids_are_those_of_adaptive_pooling(size):
    x = images(2, 3, *size)
    grids = [F.adaptive_max_pool2d(x, side).flatten(2) for side in (1, 3, 5, 7)]
    assert torch.equal(nrsf._pooled(x), F.normalize(torch.cat(grids, dim=2), dim=2))


def test_calibration_starts_with_a_mean_of_the_neighbour():
    """All similarities are between σ(−1) and σ(1); features keep their size."""
    calibrated = nrsf.Calibration(4)(torch.ones(1, 4, 9, 9), images(1, 4, 9, 9))
    inside = calibrated[..., 1:-1, 1:-1]
    assert 0.26 < inside.min() <= inside.max() < 0.74


def test_the_encoders_blocks_are_timms():
    """With its weights, and a stem that leads to the same features."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    resnet = timm.create_model("resnet18", pretrained=False).eval()
    encoder = nrsf.Encoder(3, 64).eval()
    blocks = {k: v for k, v in resnet.state_dict().items() if k.startswith("layer")}
    assert not encoder.load_state_dict(blocks, strict=False).unexpected_keys
    stem = encoder.stem(images(1, 3, 48, 64))
    expected = resnet.layer4(resnet.layer3(resnet.layer2(resnet.layer1(stem))))
    torch.testing.assert_close(encoder(images(1, 3, 48, 64))[-1], expected)


def test_weights_of_another_width_are_refused():
    with pytest.raises(ValueError, match="width=8: ImageNet weights"):
        nrsf.Options(width=8)


# RLFN


def test_spatial_attention_weighs_by_a_coarse_view():
    """The published steps, written out."""
    torch.manual_seed(0)
    attention, x = rlfn.SpatialAttention(8, 4), images(1, 8, 25, 31)
    narrow = attention.narrow(x)
    coarse = F.max_pool2d(attention.shrink(narrow), 7, 3)
    coarse = F.interpolate(attention.coarse(coarse), (25, 31), mode="bilinear")
    expected = x * torch.sigmoid(attention.widen(coarse + attention.fine(narrow)))
    torch.testing.assert_close(attention(x), expected)
