"""A prepared dataset of three noise pictures of different sizes, one a split, each with a square polyp."""

import numpy as np

from medseg.datasets import index
from medseg.datasets.images import encode_png


def make_dataset(folder):
    rng = np.random.default_rng(0)
    with index.writing(folder, study="polyp", name="toy", classes=["polyp"], protocol="toy") as draft:
        for number, (split, size) in enumerate({"train": (40, 50), "validation": (90, 70), "test": (600, 500)}.items()):
            mask = np.zeros(size, np.uint8)
            mask[10:25, 12:30] = 255
            draft.write_file(f"i{number}.png", encode_png(rng.integers(0, 255, (*size, 3), np.uint8)))
            draft.write_file(f"m{number}.png", encode_png(mask))
            files = {"case_id": f"A/{number}", "image": f"i{number}.png", "label": f"m{number}.png"}
            group = {"group": str(number), "split": split, "fold": -1, "test_set": "A" if split == "test" else ""}
            draft.rows.append({**files, **group, "polyp_fraction": 0.01 * (number + 1)})
    return index.load(folder)
