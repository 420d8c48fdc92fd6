"""Random changes to a picture and its class map, within TensorFlow's graph; a function of the seed alone."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from medseg.datasets.augmentation.warp import plain_resize
from medseg.errors import MedsegError
from medseg.names import did_you_mean

#: The terms; all of them are the published ones, but for the division by 255, which is done to every picture.
AUGMENTATIONS = ("flip_left_right", "flip_up_down", "crop", "brightness", "rotate", "noise")
PRESETS = {"published": AUGMENTATIONS, "none": ()}
LEAST_CROP = 0.8  # side of the smallest crop, as a fraction of the picture's
BRIGHTNESS = 0.2  # greatest amount added or taken away; black is 0, white 1
NOISE = 0.05  # standard deviation, on the same scale


def parse(augmentation: str) -> tuple[str, ...]:
    """The terms that ``augmentation`` asks for: a preset (``published``, ``none``), or terms joined by ``+``.

    A :class:`MedsegError` where there is no such name; it says the nearest, and those that there are.
    """
    if augmentation in PRESETS:
        return PRESETS[augmentation]
    terms = tuple(term.strip() for term in augmentation.split("+"))
    for term in terms:
        if term not in AUGMENTATIONS:
            raise MedsegError(
                f"There is no augmentation {term!r}.{did_you_mean(term, (*AUGMENTATIONS, *PRESETS))} Give "
                f"{' or '.join(PRESETS)}, or some of these joined by ' + ': {', '.join(AUGMENTATIONS)}."
            )
    return terms


def loaded_side(resolution: int, augmentation: Sequence[str]) -> int:
    """Side, in pixels, of the square that :func:`augment` takes: room enough that no crop has to be enlarged."""
    return round(resolution / LEAST_CROP) if "crop" in augmentation else resolution


def item_seed(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The seed of one item in one epoch, independent of batches, of threads and of the order of loading."""
    key = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_fold_in(key, tf.cast(index, tf.int64))


def augment(
    picture: tf.Tensor, label: tf.Tensor, seed: tf.Tensor, resolution: int, augmentation: Sequence[str]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Change one item: ``picture`` uint8 (S, S, 3) with S of :func:`loaded_side`, ``label`` uint8 (S, S).

    It becomes float32 (R, R, 3) in [0, 1] and uint8 (R, R), whose values all come from ``label``; R is ``resolution``.

    ``crop`` cuts out a square of 80 % to 100 % of the picture's side, anywhere within, and brings it to the resolution:
    bilinear for the picture, the nearest pixel for the label. The flips have the probability 1/2 each, ``rotate`` turns
    by 0, 90, 180 or 270 degrees, all the same for both. ``brightness`` adds an amount of up to 0.2 to either side and
    ``noise`` Gaussian noise of standard deviation 0.05, each channel its own, to the picture alone. What is drawn for
    one does not depend on which of the others are asked for, nor on their order.
    """
    seeds = tf.random.experimental.stateless_split(seed, 2)
    draws = dict(zip(_DRAWN, tf.unstack(tf.random.stateless_uniform([len(_DRAWN)], seeds[0])), strict=True))
    picture = tf.cast(picture, tf.float32) / 255
    if "crop" in augmentation:
        picture, label = _cropped(picture, label, draws, resolution)
    if "flip_left_right" in augmentation:
        picture, label = (tf.where(draws["flip_left_right"] < 0.5, x[:, ::-1], x) for x in (picture, label))
    if "flip_up_down" in augmentation:
        picture, label = (tf.where(draws["flip_up_down"] < 0.5, x[::-1], x) for x in (picture, label))
    if "rotate" in augmentation:
        turns = tf.cast(4 * draws["rotate"], tf.int32)
        picture, label = tf.image.rot90(picture, turns), tf.image.rot90(label[..., None], turns)[..., 0]
    if "brightness" in augmentation:
        picture += BRIGHTNESS * (2 * draws["brightness"] - 1)
    if "noise" in augmentation:
        picture += tf.random.stateless_normal(tf.shape(picture), seeds[1], stddev=NOISE)
    picture = tf.ensure_shape(tf.clip_by_value(picture, 0, 1), (resolution, resolution, 3))
    return picture, tf.ensure_shape(label, (resolution, resolution))


_DRAWN = ("crop_side", "crop_left", "crop_top", "flip_left_right", "flip_up_down", "rotate", "brightness")


def _cropped(
    picture: tf.Tensor, label: tf.Tensor, draws: dict[str, tf.Tensor], resolution: int
) -> tuple[tf.Tensor, tf.Tensor]:
    whole = tf.cast(tf.shape(label)[0], tf.float32)
    # A crop is not smaller than what comes out of it, so that no pixel outside of the picture is asked for.
    least = tf.maximum(LEAST_CROP * whole, tf.cast(resolution, tf.float32))
    side = least + (whole - least) * draws["crop_side"]
    left, top = (whole - side) * draws["crop_left"], (whole - side) * draws["crop_top"]
    # TensorFlow's boxes go from the first sample to the last; here they are the centres of the outermost pixels.
    half = side / resolution / 2 - 0.5
    box = tf.stack([top + half, left + half, top + side - 1 - half, left + side - 1 - half]) / (whole - 1)
    size = (resolution, resolution)
    cropped = tf.image.crop_and_resize(picture[None], box[None], [0], size)[0]
    numbers = tf.cast(label, tf.float32)[None, ..., None]
    nearest = tf.image.crop_and_resize(numbers, box[None], [0], size, method="nearest")[0, ..., 0]
    return cropped, tf.cast(nearest, tf.uint8)


def preview(
    picture: np.ndarray, label: np.ndarray, resolution: int, augmentation: str, *, seed: int, epoch: int, index: int
) -> tuple[np.ndarray, np.ndarray]:
    """What training gets of an item in an epoch (from 0), to look at: picture (R, R, 3) and label (R, R), both uint8.

    ``picture`` is (H, W, 3) and ``label`` (H, W), both uint8; ``index`` is the item's number among those trained on.
    """
    terms = parse(augmentation)
    resized = plain_resize(picture, label, loaded_side(resolution, terms))
    key = item_seed(seed, tf.constant(epoch, tf.int64), tf.constant(index, tf.int64))
    changed, classes = augment(tf.constant(resized[0]), tf.constant(resized[1]), key, resolution, terms)
    return np.round(np.clip(changed.numpy(), 0, 1) * 255).astype(np.uint8), classes.numpy()
