"""What a method made elsewhere says about the cases of a dataset: maps or masks in files, found by their names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from medseg import project
from medseg.datasets import coco
from medseg.datasets.folders import BadFile, composed, plain_name
from medseg.datasets.polygons import PolygonSet, draw_class
from medseg.datasets.shapes import PixelMask
from medseg.errors import MedsegError
from medseg.evaluation import kinds
from medseg.masks import rle, submission
from medseg.names import listed

EXPECTED = (
    "a folder with a file for each test picture, called like it (PNG, JPEG, TIFF or BMP of 8 or 16 bits, npy, npz), in "
    "a folder for each class where classes overlap; or a CSV of run lengths (image_name,class,rle); or a COCO file"
)
SCALING = "masks of two values and maps of classes: nearest pixel; other maps: bilinear, pixel centres in their places"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy", ".npz")


class Answers(ABC):
    """Probability maps of cases.

    Attributes:
        scaled: how many maps were not of the size of their pictures.
    """

    def __init__(self, kind: kinds.Kind) -> None:
        self.kind = kind
        self.scaled = 0

    @abstractmethod
    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        """Case and class (empty: all) to which there is no answer; a MedsegError where a file could be of several."""

    @abstractmethod
    def probabilities(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        """Floating maps in [0, 1] as the predictors of this kind give them, at ``size`` (H, W); BadFile if damaged."""

    def _fitted(self, values: np.ndarray, size: tuple[int, int], exact: bool) -> np.ndarray:
        if values.shape == size:
            return values
        self.scaled += 1
        how = cv2.INTER_NEAREST_EXACT if exact else cv2.INTER_LINEAR
        return cv2.resize(values.astype(np.float32), size[::-1], interpolation=how)


class Files(Answers):
    """A folder of files. ``stretch`` brings every map of one class to 0..1, as PraNet's evaluation does."""

    def __init__(self, folder: Path, kind: kinds.Kind, stretch: bool = False) -> None:
        super().__init__(kind)
        self._folder, self._stretch = folder, stretch
        self._by_tail: dict[str, list[Path]] = {}
        self._file_of: dict[tuple[str, str], Path] = {}
        files = [path for path in sorted(folder.rglob("*")) if path.suffix.casefold() in _SUFFIXES]
        if not files:
            raise MedsegError(f"{project.display(folder)} holds no map and no mask. Expected {EXPECTED}.")
        for path in files:
            parts = path.relative_to(folder).with_suffix("").parts
            for first in range(len(parts)):
                self._by_tail.setdefault(_key(parts[first:]), []).append(path)

    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        lacking: list[tuple[str, str]] = []
        used: dict[Path, str] = {}
        for _, case in cases.iterrows():
            for class_name in self.kind.classes if self.kind.name == "overlapping" else ("",):
                file = self._find(case, class_name)
                if file is None:
                    lacking.append((case["case_id"], class_name))
                    continue
                if file in used:
                    raise MedsegError(
                        f"{project.display(file)} could be of {used[file]} and of {case['case_id']}. Put the files in "
                        "folders called like the test sets, or call them like the cases."
                    )
                used[file] = case["case_id"]
                self._file_of[case["case_id"], class_name] = file
        return lacking

    def probabilities(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        if self.kind.name == "overlapping":
            return np.stack([self._read(self._file_of[case["case_id"], name], size) for name in self.kind.classes])
        file = self._file_of[case["case_id"], ""]
        if self.kind.name == "binary":
            return self._read(file, size)
        classes = self._fitted(_values(file), size, exact=True).round().astype(int)
        if classes.max(initial=0) > len(self.kind.classes):
            raise BadFile(f"has the value {classes.max()}, expected 0 to {len(self.kind.classes)}, the classes", file)
        return np.eye(len(self.kind.classes) + 1, dtype=np.float32)[classes].transpose(2, 0, 1)

    def _read(self, file: Path, size: tuple[int, int]) -> np.ndarray:
        values = _values(file)
        if np.issubdtype(values.dtype, np.integer) or values.dtype == bool:
            # 0 and 1 are a mask as well as 0 and 255.
            top = 65535 if values.dtype == np.uint16 else 255
            values = values.astype(np.float32) / (1 if values.max(initial=0) <= 1 else top)
        if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=0) > 1:
            raise BadFile("has values that are no probabilities from 0 to 1", file)
        values = self._fitted(values.astype(np.float32), size, exact=_two(values))
        low, high = float(values.min()), float(values.max())
        return (values - low) / (high - low) if self._stretch and high > low else values

    def _find(self, case: pd.Series, class_name: str) -> Path | None:
        """The file of a case; a MedsegError where several could be it."""
        for name in _names(case):
            tails = [(class_name, name), (name, class_name)] if class_name else [(name,)]
            found = {path for tail in tails for path in self._by_tail.get(_key(tail), [])}
            if len(found) == 1:
                return found.pop()
            if found:
                shown = listed(sorted(path.relative_to(self._folder).as_posix() for path in found))
                raise MedsegError(
                    f"{project.display(self._folder)} has several files for {case['case_id']}: {shown}. Keep one, or "
                    "put them in folders called like the test sets."
                )
        return None


class Rows(Answers):
    """Masks by name of picture and class, as run lengths of a submission or shapes of a COCO file."""

    def __init__(self, path: Path, kind: kinds.Kind) -> None:
        super().__init__(kind)
        self._path = path
        self._masks: dict[tuple[str, str], str] = {}
        self._pictures: dict[str, coco.AnnotatedImage] = {}
        if path.suffix.casefold() == ".csv":
            self._masks = {(_key((row.image_name,)), row.class_name): row.rle for row in submission.read(path)}
            return
        pictures, names = coco.read(path)
        if unknown := [name for name in names if name not in kind.classes]:
            raise MedsegError(
                f"{project.display(path)} has the categories {listed(unknown)}, the data {listed(kind.classes)}."
            )
        self._pictures = {_key((PurePath(picture.name).with_suffix("").name,)): picture for picture in pictures}

    def lacking(self, cases: pd.DataFrame) -> list[tuple[str, str]]:
        rows = [case for _, case in cases.iterrows()]
        if self._pictures:
            return [(case["case_id"], "") for case in rows if self._picture(case) is None]
        return [
            (case["case_id"], name) for case in rows for name in self.kind.classes if self._code(case, name) is None
        ]

    def probabilities(self, case: pd.Series, size: tuple[int, int]) -> np.ndarray:
        masks = np.stack([self._mask(case, name, size) for name in self.kind.classes]).astype(np.float32)
        if self.kind.name == "binary":
            return masks[0]
        if self.kind.name == "class_map":
            return np.concatenate([1 - masks.max(0, keepdims=True), masks])
        return masks

    def _mask(self, case: pd.Series, class_name: str, size: tuple[int, int]) -> np.ndarray:
        if not self._pictures:
            return rle.decode(self._code(case, class_name) or "", size)
        picture = self._picture(case)
        assert picture is not None
        if picture.faults:
            raise BadFile(f"{picture.name}: {picture.faults[0]}", self._path)
        whole = np.zeros((picture.height or size[0], picture.width or size[1]), np.uint8)
        for label, geometry in picture.shapes:
            if label != class_name:
                continue
            if isinstance(geometry, PixelMask):
                rows, columns = geometry.pixels.shape
                whole[geometry.top : geometry.top + rows, geometry.left : geometry.left + columns] |= geometry.pixels
            else:
                whole |= draw_class(PolygonSet.of([(0, geometry)], whole.shape[::-1]), 0).astype(np.uint8)
        return self._fitted(whole, size, exact=True)

    def _code(self, case: pd.Series, class_name: str) -> str | None:
        keys = [_key((name,)) for name in _names(case)]
        return next((self._masks[key, class_name] for key in keys if (key, class_name) in self._masks), None)

    def _picture(self, case: pd.Series) -> coco.AnnotatedImage | None:
        keys = [_key((PurePath(name).name,)) for name in _names(case)]
        return next((self._pictures[key] for key in keys if key in self._pictures), None)


def read(path: Path, kind: kinds.Kind, stretch: bool = False) -> Answers:
    """What lies at ``path``; a :class:`MedsegError` where that is no answer to anything, see :data:`EXPECTED`."""
    if path.is_dir():
        return Files(path, kind, stretch)
    if path.suffix.casefold() in (".csv", ".json") and path.is_file():
        return Rows(path, kind)
    raise MedsegError(f"{project.display(path)} cannot be scored. Expected {EXPECTED}.")


def _names(case: pd.Series) -> list[str]:
    """What a file of a case may be called, the most telling name first."""
    identity = str(case["case_id"])
    image = str(case.get("image_name", ""))
    plain = [image, image[: -len(PurePath(image).suffix)] if PurePath(image).suffix else ""]
    last = identity.rpartition("/")[2]
    found = [f"{case['test_set']}/{last}", identity, identity.replace("/", "-"), *plain, last]
    return [name for name in dict.fromkeys(found) if name]


def _key(parts: Sequence[str]) -> str:
    """A path as it is compared: of the name nothing but its case is left out, of folders also punctuation."""
    *folders, name = [piece for part in parts for piece in part.split("/")]
    return "/".join([*map(plain_name, folders), composed(name).casefold()])


def _values(file: Path) -> np.ndarray:
    """The values of a map (H, W) as the file has them; of colours the brightest channel. BadFile: damaged."""
    try:
        if file.suffix.casefold() == ".npy":
            values = np.load(file, allow_pickle=False)
        elif file.suffix.casefold() == ".npz":
            with np.load(file, allow_pickle=False) as content:
                if len(content.files) != 1:
                    raise BadFile(f"holds {len(content.files)} arrays, expected one", file)
                values = content[content.files[0]]
        else:
            with Image.open(file) as image:
                if image.mode in ("I;16", "I", "I;16B"):
                    values = np.asarray(image).astype(np.uint16)
                else:
                    values = np.asarray(image if image.mode in ("1", "L", "P") else image.convert("RGB"))
    except BadFile:
        raise
    except Exception as error:  # numpy and Pillow raise nearly anything on damaged input
        raise BadFile(f"damaged, or no map: {error or type(error).__name__}", file) from error
    values = np.squeeze(values)
    if values.ndim == 3 and values.shape[2] in (3, 4):
        values = values[..., :3].max(2)
    if values.ndim != 2:
        raise BadFile(f"has the shape {values.shape}, expected one map (height, width)", file)
    return values


def _two(values: np.ndarray) -> bool:
    return len(np.unique(values)) <= 2
