"""Batches of overlapping classes: bits up to the device, facts beside them."""

import numpy as np
import pandas as pd
import pytest
import torch

from medseg.datasets import polygons
from medseg.datasets.augmentation.warp import fit_matrix
from medseg.datasets.frames import read_polygons
from medseg.errors import MedsegError
from medseg.pytorch.data import OverlappingItems, batches, facts_of, unpack

WANTED = {"resolution": 64, "augmentation": "crop_rotate", "seed": 1}


def test_bits_are_unpacked_class_by_class():
    masks = np.random.default_rng(0).integers(0, 2, (2, 29, 7, 5), np.uint8)
    bits = sum(masks[:, number].astype(np.int32) << number for number in range(29))
    unpacked = unpack(torch.from_numpy(bits), 29)
    assert unpacked.dtype == torch.uint8
    assert torch.equal(unpacked, torch.from_numpy(masks))


def test_facts_are_0_and_1_and_minus_1_where_they_are_not_known():
    rows = pd.DataFrame({"sex": ["F", "M", "", "x"], "side": ["R", "L", "R", ""]})
    assert facts_of(rows, ["side", "sex"]).tolist() == [[1, 0], [0, 1], [1, -1], [-1, -1]]
    assert facts_of(rows.drop(columns="sex"), ["sex"]).tolist() == [[-1]] * 4
    assert facts_of(rows, []).shape == (4, 0)


def test_batches_repeat_by_seed_and_epoch_whoever_loads_them(bones):
    def drawn(epoch, batch_size=6, workers=0, **changes):
        items = OverlappingItems(bones, "train", auxiliary=["sex"], **{**WANTED, **changes})
        loader = batches(items, batch_size, workers=workers, seed=changes.get("seed", 1))
        loader.batch_sampler.sampler.set_epoch(epoch)
        return list(loader)

    first = drawn(0)
    pictures, bits, facts = first[0]
    assert (pictures.dtype, bits.dtype, facts.dtype) == (torch.uint8, torch.int32, torch.int64)
    assert (pictures.shape, bits.shape, facts.shape) == ((6, 1, 64, 64), (6, 64, 64), (6, 1))
    for again in (drawn(0), drawn(0, workers=1)):
        assert all(
            torch.equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True)
        )
    assert not torch.equal(pictures, drawn(1)[0][0])
    assert not torch.equal(pictures, drawn(0, seed=2)[0][0])
    assert [len(b[0]) for b in first] == [6, 6, 6, 2]
    assert [len(b[0]) for b in drawn(0, batch_size=19)] == [19], "a last batch of one is left out"


def test_validation_is_untouched_and_in_order(bones):
    [(pictures, bits, facts)] = batches(
        OverlappingItems(bones, "validation", resolution=48, auxiliary=["side", "sex"]), 8
    )
    rows = bones.split("validation")
    assert facts[:, 0].tolist() == [0, 1] * 3
    assert facts[:, 1].tolist() == [0, 1, 1, -1, 0, 1]
    for number, row in rows.iterrows():
        _, true = read_polygons(bones, row)
        drawn = polygons.rasterise_bits(true.transformed(fit_matrix(true.size, 48), (48, 48)))
        assert np.array_equal(bits[number].numpy(), drawn)
    assert (pictures[:, :, 36:] == 0).all(), "what is no picture is black"
    assert (bits[:, 36:] == 0).all()


def test_mirroring_is_refused_where_the_side_is_told(bones):
    wanted = {**WANTED, "augmentation": "HorizontalFlip(p=0.5)"}
    OverlappingItems(bones, "train", auxiliary=["sex"], **wanted)
    with pytest.raises(MedsegError, match="HorizontalFlip would turn left hands into right ones"):
        OverlappingItems(bones, "train", auxiliary=["side"], **wanted)
