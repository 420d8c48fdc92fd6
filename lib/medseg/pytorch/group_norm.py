"""Group normalisation in place of batch normalisation, for batches too small to measure a variance in."""

from torch import nn

from medseg.errors import MedsegError

NORMS = ("batch", "group")
GROUPS = 32
#: Parts that keep their own normalisation: pretrained statistics mean nothing to another one.
ENCODERS = ("encoder", "contracting")


def use_group_norm(network: nn.Module, name: str) -> None:
    """Replace every ``BatchNorm2d`` of the decoder and the head by ``GroupNorm`` (Wu and He, arXiv 1803.08494).

    Never inside an encoder, pretrained or not. There are 32 groups, or the largest number below that divides the
    channels.

    Args:
        network: whose encoder, if it has one, is called by a name of ``ENCODERS``; changed in place.
        name: of the network, for the message.

    Raises:
        MedsegError: there is no batch normalisation outside the encoder, so that nothing would change.
    """
    replaced = sum(_replace(child) for part, child in network.named_children() if part not in ENCODERS)
    if not replaced:
        raise MedsegError(
            f"'{name}' has no batch normalisation outside its encoder, so norm='group' would change nothing. Set norm "
            "to 'batch', which leaves it as it is."
        )


def groups_of(channels: int) -> int:
    """The greatest number up to 32 that divides ``channels``."""
    return max(groups for groups in range(1, GROUPS + 1) if channels % groups == 0)


def _replace(module: nn.Module) -> int:
    replaced = 0
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(groups_of(child.num_features), child.num_features, eps=child.eps))
            replaced += 1
        else:
            replaced += _replace(child)
    return replaced
