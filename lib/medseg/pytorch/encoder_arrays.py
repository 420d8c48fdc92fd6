"""Write torchvision's ImageNet weights of a backbone as arrays that programs without PyTorch read; prints their label.

``python -m medseg.pytorch.encoder_arrays BACKBONE FILE.npz``. What cannot be had ends it with one line of error.
"""

import sys
from pathlib import Path

import numpy as np

from medseg.errors import MedsegError
from medseg.pytorch import weights


def write(backbone: str, file: Path) -> str:
    """Every tensor of the state dict in its order, by its name, in ``file``; a label that says what they are.

    Raises MedsegError: they are neither in the folder ``MEDSEG_WEIGHTS``, nor in a package, nor to be downloaded.
    """
    at_hand = weights.at_hand(backbone)
    found = at_hand[0] if at_hand else weights.from_torchvision(backbone)
    arrays = {name: tensor.numpy() for name, tensor in found.state_dict.items()}
    np.savez(file, allow_pickle=False, **arrays)
    return found.label


if __name__ == "__main__":
    try:
        print(write(sys.argv[1], Path(sys.argv[2])))
    except MedsegError as error:
        sys.exit(" ".join(str(error).split()))
