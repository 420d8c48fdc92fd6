"""The layouts in which polyp datasets are distributed: which folder is which, and which mask belongs to which image."""

from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.folders import Problem, composed, entries, is_picture, only_once, plain_name

CENTRES = {
    "ColonDB": ("colondb", "cvccolondb"),
    "ClinicDB": ("clinicdb", "cvcclinicdb", "cvc612"),
    "ETIS": ("etis", "etislarib", "etislaribpolypdb"),
    "Kvasir": ("kvasir", "kvasirseg"),
    "CVC-300": ("cvc300",),
}
EXPECTED = "'images' + 'masks', 'Original' + 'Ground Truth', or 1.bmp beside p1.bmp"

TABLE = "sequences.csv"  # columns file,sequence; see the module sequences

_IMAGE_FOLDERS = ("images", "image", "original", "originals", "bbdd")
_MASK_FOLDERS = ("masks", "mask", "groundtruth", "gt", "gtpolyp")
_DEPTH = 2  # archives unpack into a folder of their own name, sometimes twice


@dataclass(frozen=True)
class Pair:
    """An image and its mask; ``name`` is the identity of the case within its centre."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Centre:
    """One dataset as found in its folder; its name is the one that its cases and its test set bear.

    ``table`` is its ``sequences.csv``, in its folder or beside the pictures, or None; ``layout`` says in words how
    images and masks are told apart; ``pairs`` are in natural order of their names (2 before 10); ``problems`` are files
    and folders left out, with the reason.
    """

    name: str
    folder: Path
    table: Path | None
    layout: str
    pairs: list[Pair]
    problems: list[Problem]


def centre_named(folder_name: str) -> str | None:
    """Key of :data:`CENTRES` that a folder name stands for, or None."""
    plain = plain_name(folder_name)
    return next((centre for centre, names in CENTRES.items() if plain in names), None)


def read_centre(name: str, folder: Path, depth: int = _DEPTH) -> Centre:
    """List the pairs of one centre; a folder without a known layout gives a centre without pairs.

    The pictures lie at most ``depth`` folders deeper; with 0, or with their masks in two subfolders, in ``folder``.
    """
    places = _picture_folders(folder, depth)
    if not places:
        return Centre(name, folder, None, "", [], [(folder, f"no images and masks found; expected {EXPECTED}")])
    (images, masks), others = places[0], places[1:]
    problems: list[Problem] = [
        (other, f"another set of pictures; only {images.relative_to(folder.parent).as_posix()} is read")
        for other, _ in others
    ]
    if images == masks:
        pairs = _pair_in_one_folder(images, problems)
        layout = "one folder, the mask of NAME is pNAME or NAME_mask"
    else:
        for entry in entries(images.parent):
            if entry not in (images, masks) and (entry.is_dir() or is_picture(entry)):
                problems.append((entry, f"neither in {images.name!r} nor in {masks.name!r}"))
        pairs = _pair_folders(images, masks, problems)
        layout = f"{images.name} + {masks.name}"
    tables = (place / TABLE for place in (folder, images.parent, images))
    table = next((path for path in tables if path.is_file()), None)
    return Centre(name, folder, table, layout, pairs, problems)


def _picture_folders(folder: Path, depth: int) -> list[tuple[Path, Path]]:
    """Folders of images and of masks, best first; the same folder twice where both lie in one."""
    content = entries(folder)
    subfolders = [entry for entry in content if entry.is_dir()]
    masks = [entry for entry in subfolders if plain_name(entry.name) in _MASK_FOLDERS]
    images = [entry for entry in subfolders if plain_name(entry.name) in _IMAGE_FOLDERS]
    images = images or [entry for entry in subfolders if centre_named(entry.name)]  # ETIS: beside 'Ground Truth'
    if images and masks:
        return [(images[0], masks[0])]
    if any(is_picture(entry) for entry in content if not entry.is_dir()):
        return [(folder, folder)]
    if not depth:
        return []
    # The TIFF files are what CVC distributes; PNG beside them are somebody's conversion.
    subfolders.sort(key=lambda entry: plain_name(entry.name) not in ("tif", "tiff"))
    return [place for entry in subfolders for place in _picture_folders(entry, depth - 1)]


def _pictures(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    by_name: dict[str, list[Path]] = {}
    for entry in entries(folder):
        if is_picture(entry) and not entry.is_dir():
            by_name.setdefault(composed(entry.stem), []).append(entry)
        elif entry.name != TABLE:
            problems.append((entry, "not a picture: PNG, JPEG, TIFF or BMP expected"))
    return only_once(by_name, problems)


def _pair_folders(image_folder: Path, mask_folder: Path, problems: list[Problem]) -> list[Pair]:
    images, masks = _pictures(image_folder, problems), _pictures(mask_folder, problems)
    mask_of = {name: name for name in images if name in masks}
    taken = set(mask_of)
    for name in images:
        for candidate in (f"p{name}", f"{name}_mask"):
            if name not in mask_of and candidate in masks and candidate not in taken:
                mask_of[name] = candidate
                taken.add(candidate)
    lone = [name for name in images if name not in mask_of]
    problems += [(images[name], f"no usable mask {name!r} in {mask_folder.name!r}") for name in lone]
    lone = [name for name in masks if name not in taken]
    problems += [(masks[name], f"no usable image for this mask in {image_folder.name!r}") for name in lone]
    return [Pair(name, images[name], masks[mask_of[name]]) for name in images if name in mask_of]


def _pair_in_one_folder(folder: Path, problems: list[Problem]) -> list[Pair]:
    """CVC-ColonDB as distributed: N.bmp, the polyp pN.bmp, its contour cN.bmp, dark areas sN.bmp."""
    pictures = _pictures(folder, problems)
    pairs, used = [], set()
    for name in pictures:
        mask = next((m for m in (f"p{name}", f"{name}_mask") if m in pictures), None)
        if mask is not None:
            pairs.append(Pair(name, pictures[name], pictures[mask]))
            used |= {name, mask, f"c{name}", f"s{name}"}
    lone = [name for name in pictures if name not in used]
    problems += [(pictures[name], f"no usable mask beside it (p{name} or {name}_mask)") for name in lone]
    return pairs
