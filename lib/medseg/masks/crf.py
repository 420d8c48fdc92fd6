"""Fully connected conditional random field that moves a probability to the edges of the picture.

Krähenbühl and Koltun 2011 (NIPS 24:109; arXiv 1210.5644): each pixel is joined with every other by a smoothness kernel
(near pixels) and an appearance kernel (near pixels of similar grey), and mean-field inference finds the probability.
The optional package ``pydensecrf2`` does the work.
"""

from typing import Any

import cv2
import numpy as np

from medseg.errors import MedsegError
from medseg.masks.box import bounding_box

FAINT = 0.01
"""Probability below which a pixel does not count as a part of the structure when the box to work on is chosen."""

ITERATIONS = 5  # of mean-field inference
SMOOTHNESS = 3.0, 3.0  # weight w2 and standard deviation theta-gamma, pixels, of the smoothness kernel (eq. 3)
APPEARANCE = 10.0, 80.0, 13.0  # w1, theta-alpha, pixels, and theta-beta, grey levels, of the appearance kernel (eq. 3)
MARGIN = 100  # pixels round what is likely that are worked on
_CERTAIN = 1e-5  # the energy -log p of a probability of 0 would be infinite


def refine(picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Refine the probability of one class against the background: a new one of the same dtype, in [0, 1].

    Only the box around the pixels above :data:`FAINT`, widened by :data:`MARGIN`, is worked on, to save time and
    memory; the rest stays as it is. This is an approximation: the kernels reach a little beyond the margin.

    The picture is (H, W) or (H, W, 3), uint8, the probability (H, W), floating, in [0, 1]; ValueError where they are
    not. Raises MedsegError: ``pydensecrf2`` is not installed.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
        raise ValueError(f"expected a picture (H, W) or (H, W, 3) of uint8, got {picture.shape} of {picture.dtype}")
    if probability.shape != picture.shape[:2] or not np.issubdtype(probability.dtype, np.floating):
        raise ValueError(
            f"expected a floating probability {picture.shape[:2]}, got {probability.shape} of {probability.dtype}"
        )
    densecrf = require()
    likely = bounding_box(probability > FAINT)
    if likely is None:
        return probability.copy()
    box = tuple(slice(max(side.start - MARGIN, 0), side.stop + MARGIN) for side in likely)
    inside = np.clip(probability[box].astype(np.float32), _CERTAIN, 1 - _CERTAIN)
    colours = (
        picture[box] if picture.ndim == 3 else cv2.cvtColor(np.ascontiguousarray(picture[box]), cv2.COLOR_GRAY2RGB)
    )
    height, width = inside.shape
    field = densecrf.DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.stack([1 - inside, inside])).reshape(2, -1)))
    field.addPairwiseGaussian(sxy=SMOOTHNESS[1], compat=SMOOTHNESS[0])
    weight, near, similar = APPEARANCE
    field.addPairwiseBilateral(sxy=near, srgb=similar, rgbim=np.ascontiguousarray(colours), compat=weight)
    refined = np.asarray(field.inference(ITERATIONS), np.float32).reshape(2, height, width)
    result = probability.copy()
    result[box] = np.clip(refined[1], 0, 1)
    return result


def require() -> Any:
    """The module that the optional extra brings. Raises MedsegError: it is not installed."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise MedsegError(
            "The dense CRF needs the optional package pydensecrf2, which is not installed here. Install it with "
            "'uv pip install \"medseg[crf]\"' (it is compiled, so that a C++ compiler has to be there), or switch the "
            "CRF off."
        ) from error
    return densecrf
