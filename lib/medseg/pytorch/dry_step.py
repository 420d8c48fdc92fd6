"""One training step without memory and without data, which finds what would fail, and tells what it would take."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from medseg.errors import MedsegError
from medseg.pytorch.models import BuiltModel

_WEIGHTS = 4  # copies of them while training: themselves, gradients, and two of an optimizer such as Adam
_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Needs:
    """Parameters, and bytes that a training step keeps: weights, gradients, optimizer and activations, in float32."""

    parameters: int
    memory: int

    def __str__(self) -> str:
        return f"{self.parameters / 1e6:.1f} M parameters, about {self.memory / 2**30:.1f} GB"


def try_step(model: BuiltModel, name: str, *, resolution: int, batch_size: int, classes: int) -> Needs:
    """A forward and a backward pass of a ``model`` on the meta device, at the size at which it would be trained.

    The memory is that of the tensors kept for the backward pass; mixed precision takes about half of these, and what
    the libraries themselves take is not in it. Raises MedsegError: the step fails; ``name`` is the network's.
    """
    network: nn.Module = model.network.to("meta").train()
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if (storage := tensor.untyped_storage())._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    pictures = torch.empty(batch_size, 3, resolution, resolution, device="meta")
    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            logits: Any = network(pictures)
            loss = functional.binary_cross_entropy_with_logits(logits, torch.empty_like(logits))
        loss.backward()
    except MedsegError:
        raise
    except Exception as error:  # smp, timm and torch fail with whatever exception comes to hand
        if "more than 1 value per channel" in str(error):
            raise MedsegError(
                f"{name} pools features to a single pixel, in which batch normalisation needs two pictures a batch at "
                "least. Take batch_size=2 or more, or norm='group'."
            ) from error
        raise MedsegError(
            f"{name} cannot be trained at resolution {resolution}: encoder and decoder do not fit one another there. "
            "Take another resolution, or another backbone; under smp-dpt one with patches of 16 pixels, such as "
            "tu-vit_small_patch16_dinov3."
        ) from error
    if tuple(logits.shape) != (batch_size, classes, resolution, resolution):
        raise MedsegError(f"{name} gives {tuple(logits.shape)} at resolution {resolution}. Take another backbone.")
    return Needs(model.parameters_total, _WEIGHTS * _FLOAT * model.parameters_total + sum(kept.values()))
