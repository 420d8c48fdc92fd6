"""A toy dataset for tests of runs."""

import pytest

from medseg.datasets import index


@pytest.fixture
def dataset(tmp_path):
    with index.writing(tmp_path / "data", study="polyp", name="toy", classes=["polyp"], protocol="toy") as draft:
        for number, split in enumerate(("train", "validation", "test")):
            for kind in ("images", "labels"):
                draft.write_file(f"{kind}/{number}.png", bytes([number]))
            files = {"image": f"images/{number}.png", "label": f"labels/{number}.png"}
            names = {"case_id": f"a/{number}", "group": f"g{number}", "split": split, "fold": -1}
            draft.rows.append({**names, **files, "test_set": "A" if split == "test" else ""})
    return index.load(tmp_path / "data")
