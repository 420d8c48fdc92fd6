"""A network of PyTorch alone, for :mod:`medseg.evaluation.cost`."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from medseg.evaluation.cost import BareNetwork
from medseg.pytorch.device import Device

#: Attention on Apple's GPUs, whose plain form is one operation that PyTorch does not count.
_FURTHER = {
    torch.ops.aten._scaled_dot_product_attention_math_for_mps: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
}


def bare_network(
    network: nn.Module, logits: Callable[[np.ndarray], torch.Tensor], shape: tuple[int, ...], device: Device
) -> BareNetwork:
    """``logits`` are those of uint8 pictures (B, ``*shape``) by ``network``, which is there for its parameters."""

    @torch.inference_mode()
    def through(pictures: np.ndarray) -> None:
        logits(pictures)
        if device.kind == "cuda":
            torch.cuda.synchronize()
        elif device.kind == "mps":
            torch.mps.synchronize()

    def count() -> int:
        return macs(lambda: logits(np.zeros((1, *shape), np.uint8)))

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return BareNetwork(through, shape, max(shape), parameters, count, device, torch.get_num_threads())


@torch.inference_mode()
def macs(call: Callable[[], object]) -> int:
    """Multiply-accumulates of the convolutions, dense layers and matrix products of a call."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused kernels, and those of attention, count as nothing
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=_FURTHER) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2
