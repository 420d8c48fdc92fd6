"""The dilated ResNet U-Net: what the dilation does, and how the stages come together."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from medseg.pytorch.dilated_unet import BACKBONES, DilatedResNetUNet

STAGES = ("layer1", "layer2", "layer3", "layer4")


def run_encoder(encoder: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    outputs = {}
    for name, module in encoder.named_children():
        if name == "avgpool":
            break
        images = outputs[name] = module(images)
    return outputs


@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_the_last_stage_is_dilated(backbone):
    with torch.device("meta"):
        encoder = DilatedResNetUNet(backbone).encoder
    for stage in STAGES:
        dilations = [
            m.dilation for m in encoder.get_submodule(stage).modules() if getattr(m, "kernel_size", 0) == (3, 3)
        ]
        if stage != "layer4":
            assert set(dilations) == {(1, 1)}
        else:
            # The first convolution lost its stride; what follows sees a grid twice as fine.
            assert dilations[0] == (1, 1)
            assert set(dilations[1:]) == {(2, 2)}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_stages_have_output_strides_4_8_16_16(backbone):
    with torch.device("meta"):
        outputs = run_encoder(DilatedResNetUNet(backbone).encoder, torch.empty(2, 3, 128, 64))
    assert [tuple(outputs[stage].shape[2:]) for stage in STAGES] == [(32, 16), (16, 8), (8, 4), (8, 4)]


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_dilated_stage_agrees_with_the_strided_one_where_that_has_values(backbone):
    torch.manual_seed(0)
    plain = torchvision.models.get_model(backbone, weights=None).eval()
    encoder = DilatedResNetUNet(backbone).eval().encoder
    encoder.load_state_dict({k: v for k, v in plain.state_dict().items() if not k.startswith("fc.")})
    with torch.no_grad():
        images = torch.randn(1, 3, 96, 128)
        expected, dilated = run_encoder(plain, images), run_encoder(encoder, images)
    torch.testing.assert_close(dilated["layer3"], expected["layer3"])
    torch.testing.assert_close(dilated["layer4"][:, :, ::2, ::2], expected["layer4"], rtol=1e-4, atol=1e-4)


def test_bottlenecks_are_dilated_as_torchvision_does():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[False, False, True]).eval()
    ours = DilatedResNetUNet("resnet50").eval().encoder
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    with torch.no_grad():
        images = torch.randn(1, 3, 64, 64)
        torch.testing.assert_close(run_encoder(ours, images)["layer4"], run_encoder(theirs, images)["layer4"])


@pytest.mark.parametrize(("backbone", "deepest"), [*zip(BACKBONES, (512, 512, 2048, 2048), strict=True)])
def test_parameters_are_those_of_the_resnet_and_the_decoder(backbone, deepest):
    with torch.device("meta"):
        network = DilatedResNetUNet(backbone, num_classes=2)
        resnet = torchvision.models.get_model(backbone, weights=None)
    encoder = sum(p.numel() for name, p in resnet.named_parameters() if not name.startswith("fc."))
    squeeze = sum(deepest // 8 * 2**i * o + 2 * o for i, o in enumerate((32, 32, 32, 128)))
    head = 2 * (9 * 224 * 224 + 2 * 224) + 224 * 2 + 2
    assert sum(p.numel() for p in network.parameters()) == encoder + squeeze + head


def test_stages_are_squeezed_upsampled_and_joined_to_224_channels():
    torch.manual_seed(0)
    network, seen = DilatedResNetUNet("resnet18").eval(), []
    network.head.register_forward_pre_hook(lambda _m, i: seen.append(i[0]))
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        network(images)
        stages = run_encoder(network.encoder, images)
        # As the paper has it, upsampling first; the network squeezes first.
        expected = []
        for stage, squeeze, normalise in zip(STAGES, network.squeeze, network.normalise, strict=True):
            full = F.interpolate(stages[stage], size=(64, 48), mode="bilinear")
            expected.append(F.relu(normalise(squeeze(full))))
    assert [part.shape[1] for part in expected] == [32, 32, 32, 128]
    assert seen[0].shape == (1, 224, 64, 48)
    torch.testing.assert_close(seen[0], torch.cat(expected[::-1], 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (50, 96)])
def test_logits_have_the_size_of_the_image(size):
    network = DilatedResNetUNet("resnet18", num_classes=29, width=0.125).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 29, *size)


def test_width_scales_the_decoder():
    network = DilatedResNetUNet("resnet18", width=0.25)
    assert [squeeze.out_channels for squeeze in network.squeeze] == [8, 8, 8, 32]
    assert network.head[0][0].in_channels == 56


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_gradients_reach_every_parameter(backbone):
    torch.manual_seed(0)
    network = DilatedResNetUNet(backbone, width=0.125)
    F.binary_cross_entropy_with_logits(network(torch.randn(2, 3, 64, 64)), torch.rand(2, 1, 64, 64)).backward()
    unreached = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []
