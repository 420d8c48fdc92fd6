"""Each part of the own U-Net changes the graph as its paper says."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medseg.pytorch.blocks import ASPP, CBAM, AttentionGate, DoubleConv
from medseg.pytorch.unet import UNet

PARTS = ("residual", "cbam", "aspp", "attention")
NARROW = (8, 16, 16, 24, 24)
NONE = dict.fromkeys(PARTS, False)

# (channels in, channels out) of every double convolution at the published widths.
DOUBLE_CONVS = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512)]
DOUBLE_CONVS += [(512 + 512, 256), (256 + 256, 128), (128 + 128, 64), (64 + 64, 64)]


def count(**parts: bool) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in UNet(**{**NONE, **parts}).parameters())


def test_plain_unet_has_the_parameters_of_its_layers():
    convolutions = sum(9 * i * o + 2 * o + 9 * o * o + 2 * o for i, o in DOUBLE_CONVS)
    assert count() == convolutions + 64 + 1


EXTRA = {
    # A 1x1 convolution and its normalisation wherever the number of channels changes (He 2016, equation 2).
    "residual": sum(i * o + 2 * o for i, o in DOUBLE_CONVS if i != o),
    # Two layers of the shared perceptron with reduction 16, and a 7x7 convolution from 2 maps to 1 (Woo 2018).
    "cbam": sum(2 * c * (c // 16) + 2 * 7 * 7 for c in (64, 128, 256, 512)),
    # Four normalised 3x3 convolutions from 512 to 128.
    "aspp": 4 * (9 * 512 * 128 + 2 * 128),
    # W_x (2x2), W_g, b_g, psi, b_psi, where skip and gating signal have x channels each (Oktay 2018).
    "attention": sum(4 * x * (x // 2) + x * (x // 2) + x // 2 + x // 2 + 1 for x in (64, 128, 256, 512)),
}


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=4)))
def test_every_combination_adds_the_parameters_of_its_parts(chosen):
    parts = dict(zip(PARTS, chosen, strict=True))
    assert count(**parts) == count() + sum(EXTRA[part] for part in PARTS if parts[part])


@pytest.mark.parametrize("parts", [NONE, dict.fromkeys(PARTS, True)], ids=["plain", "all"])
@pytest.mark.parametrize("size", [(16, 16), (64, 48), (33, 47), (100, 101)])
def test_logits_have_the_size_of_the_image(parts, size):
    network = UNet(num_classes=29, widths=NARROW, **parts).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 29, *size)


def test_levels_have_the_published_widths_and_halve_the_size():
    torch.manual_seed(0)
    network, seen = UNet().eval(), []
    for level in [*network.contracting, network.bottom]:
        level.register_forward_hook(lambda _m, _i, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 32, 32))
    assert seen == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]
    assert network.stride == 16
    assert logits.min() < 0, "logits, not probabilities"


@pytest.mark.parametrize("on", [(), *((part,) for part in PARTS), PARTS], ids="+".join)
def test_gradients_reach_every_parameter(on):
    torch.manual_seed(0)
    network = UNet(widths=NARROW, **{part: part in on for part in PARTS})
    F.binary_cross_entropy_with_logits(network(torch.randn(2, 3, 64, 64)), torch.rand(2, 1, 64, 64)).backward()
    unreached = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []


def test_batch_normalisation_is_left_at_its_defaults():
    norms = [module for module in UNet(widths=NARROW).modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.1)}


# --- residual ---------------------------------------------------------------------------------------------------


def test_residual_block_adds_its_shortcut_before_the_last_relu():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 5)
    for out in (8, 12):
        block = DoubleConv(8, out, residual=True).eval()
        shortcut = block.shortcut(x)
        torch.testing.assert_close(block(x), F.relu(block.convolutions(x) + shortcut))
        assert (shortcut is x) == (out == 8), "an identity where the channels allow it"
        nn.init.zeros_(block.convolutions[-1][1].weight)
        torch.testing.assert_close(block(x), F.relu(shortcut))


# --- CBAM -------------------------------------------------------------------------------------------------------


def test_cbam_scales_by_channel_and_then_by_place():
    torch.manual_seed(1)
    cbam, x, seen = CBAM(64), torch.randn(2, 64, 9, 7), {}
    for name in ("channel_attention", "spatial_attention"):
        getattr(cbam, name).register_forward_hook(lambda _m, i, o, name=name: seen.update({name: (i[0], o)}))
    with torch.no_grad():
        y = cbam(x)
        (_, channel), (spatial_input, spatial) = seen["channel_attention"], seen["spatial_attention"]
        w0, w1 = (cbam.channel_attention.mlp[i].weight.flatten(1) for i in (0, 2))
        pooled = [x.flatten(2).mean(2), x.flatten(2).max(2).values]
        expected_channel = torch.sigmoid(sum(F.relu(p @ w0.T) @ w1.T for p in pooled))
        maps = torch.stack([spatial_input.mean(1), spatial_input.max(1).values], 1)
        expected_spatial = torch.sigmoid(F.conv2d(maps, cbam.spatial_attention.convolution.weight, padding=3))
        assert all(F.relu(p @ w0.T).any() for p in pooled), "both pooled vectors count"
    assert w0.shape == (4, 64)
    torch.testing.assert_close(channel[:, :, 0, 0], expected_channel)
    torch.testing.assert_close(spatial, expected_spatial)
    torch.testing.assert_close(spatial_input, channel * x)
    torch.testing.assert_close(y, x * channel * spatial)
    for attention, shape in ((channel, (2, 64, 1, 1)), (spatial, (2, 1, 9, 7))):
        assert attention.shape == shape
        assert 0 < attention.min() < attention.max() < 1


def test_cbam_stands_on_every_contracting_level_and_nowhere_else():
    names = [name for name, module in UNet(widths=NARROW).named_modules() if isinstance(module, CBAM)]
    assert names == [f"contracting.{level}.1" for level in range(4)]


# --- ASPP -------------------------------------------------------------------------------------------------------


def test_aspp_has_dilations_1_to_4_at_the_bottom():
    network, seen = UNet(widths=NARROW).eval(), []
    network.aspp.register_forward_hook(lambda _m, i, o: seen.extend([tuple(i[0].shape), tuple(o.shape)]))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    convolutions = [module for module in network.aspp.modules() if isinstance(module, nn.Conv2d)]
    assert [c.dilation for c in convolutions] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [c.out_channels for c in convolutions] == [6, 6, 6, 6]
    assert seen == [(1, 24, 4, 4)] * 2
    assert not any(module.dilation != (1, 1) for module in network.bottom.modules() if isinstance(module, nn.Conv2d))


def test_aspp_branches_reach_as_far_as_their_rate():
    aspp = ASPP(8).eval()
    for module in aspp.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    impulse = torch.zeros(1, 8, 11, 11)
    impulse[:, :, 5, 5] = 1
    with torch.no_grad():
        answer = aspp(impulse)[0]
    for branch, rate in enumerate((1, 2, 3, 4)):
        rows, columns = torch.nonzero(answer[2 * branch], as_tuple=True)
        assert set(rows.tolist()) == set(columns.tolist()) == {5 - rate, 5, 5 + rate}
        assert len(rows) == 9


def test_aspp_refuses_channels_that_it_cannot_share_out():
    with pytest.raises(ValueError, match="4 branches: 10"):
        ASPP(10)


# --- attention gates --------------------------------------------------------------------------------------------


def test_attention_gate_follows_the_equations():
    torch.manual_seed(0)
    gate, x, g, seen = AttentionGate(6, 10), torch.randn(2, 6, 9, 12), torch.randn(2, 10, 4, 6), []
    gate.coefficients.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        gated = gate(x, g)
        theta = F.conv2d(x, gate.skip_projection.weight, stride=2)
        phi = torch.einsum("ic,bchw->bihw", gate.gating_projection.weight[:, :, 0, 0], g)
        phi = phi + gate.gating_projection.bias[:, None, None]
        psi = gate.coefficients[1]
        q = torch.einsum("i,bihw->bhw", psi.weight[0, :, 0, 0], F.relu(theta + phi)) + psi.bias
        alpha = torch.sigmoid(q)[:, None]
    torch.testing.assert_close(seen[0], alpha)
    torch.testing.assert_close(gated, x * F.interpolate(alpha, size=(9, 12), mode="bilinear"))


def test_attention_coefficients_lie_between_0_and_1_on_every_skip():
    torch.manual_seed(0)
    network, seen = UNet(widths=NARROW), []
    for level in network.expanding:
        level.gate.coefficients.register_forward_hook(lambda _m, _i, output: seen.append(output))
    network(torch.randn(2, 3, 64, 32))
    assert [tuple(alpha.shape) for alpha in seen] == [(2, 1, 4, 2), (2, 1, 8, 4), (2, 1, 16, 8), (2, 1, 32, 16)]
    for alpha in seen:
        assert 0 < alpha.min() < alpha.max() < 1


def test_gradients_come_down_the_skips():
    torch.manual_seed(0)
    network = UNet(widths=NARROW, attention=False)
    network.bottom.register_forward_hook(lambda _m, _i, output: output.detach())
    network(torch.randn(2, 3, 32, 32)).mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.contracting.parameters())


def test_open_gates_change_nothing_and_closed_ones_cut_the_skip():
    torch.manual_seed(0)
    network = UNet(widths=NARROW).eval()
    ungated = UNet(widths=NARROW, attention=False).eval()
    ungated.load_state_dict(network.state_dict(), strict=False)
    images, skips = torch.randn(1, 3, 32, 32), []
    for level in network.expanding:
        level.convolutions.register_forward_pre_hook(lambda _m, i: skips.append(i[0]))
    with torch.no_grad():
        assert not torch.allclose(network(images), ungated(images))
        for value in (100.0, -100.0):
            skips.clear()
            for level in network.expanding:
                nn.init.zeros_(level.gate.coefficients[1].weight)
                nn.init.constant_(level.gate.coefficients[1].bias, value)
            logits = network(images)
            if value > 0:
                torch.testing.assert_close(logits, ungated(images))
    for joined, width in zip(skips, reversed(NARROW[:4]), strict=True):
        assert not joined[:, :width].abs().max() > 1e-20
        assert joined[:, width:].any()
