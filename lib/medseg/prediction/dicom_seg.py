"""Masks of DICOM files as DICOM Segmentation objects, with highdicom, an extra."""

import importlib.util
import io
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pydicom

from medseg import atomic
from medseg.errors import MedsegError
from medseg.prediction.folder import Folder
from medseg.prediction.sources import Source


def require() -> None:
    """A :class:`MedsegError` where highdicom is not installed."""
    if importlib.util.find_spec("highdicom") is None:
        raise MedsegError("DICOM-SEG needs highdicom, which is not installed: pip install 'medseg[dicom-seg]'.")


def write(folder: Folder, found: Sequence[Source]) -> list[str]:
    """Write ``dicom-seg/NAME.dcm`` for every DICOM file that was predicted; gives in words what could not be written.

    A segment for each class, binary, labelled by its name, of the property "Tissue" (SNOMED CT 85756007), because what
    a class is in SNOMED is not known. Files of several frames need a frame of reference. The size of a pixel stands in
    the object only where the header tells the thickness of a slice too, because readers demand both; else it is that of
    the picture to which the object refers.
    """
    notes = []
    for source in found:
        if not source.is_dicom:
            continue
        names = [source.name if frame is None else f"{source.name}/frame-{frame + 1:04d}" for frame in source.frames()]
        masks = folder.masks_of(names)
        if masks is None:
            continue
        if not masks.any():
            notes.append(f"{source.name}: nothing found, so no DICOM-SEG")
            continue
        try:
            content = _object(source, masks, folder.classes)
        except AttributeError as error:  # highdicom takes what a header lacks as if it were there
            notes.append(f"{source.name}: no DICOM-SEG (its header has no {error.name})")
            continue
        except Exception as error:  # and refuses others with whatever exception comes to hand
            notes.append(f"{source.name}: no DICOM-SEG ({error})")
            continue
        atomic.write_bytes(folder.path / "dicom-seg" / f"{source.name}.dcm", content)
    return notes


def _object(source: Source, masks: np.ndarray, classes: Sequence[str]) -> bytes:
    """The object as a file; ``masks`` is (frames, H, W, classes) uint8 of {0, 1}."""
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="medseg", version=version("medseg"), family=codes.DCM.ArtificialIntelligence
    )
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(classes, 1)
    ]
    picture = pydicom.dcmread(source.path)
    if "SliceThickness" not in picture and "FrameOfReferenceUID" not in picture:
        picture.pop("PixelSpacing", None)
    options: dict[str, Any] = {"omit_empty_frames": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = highdicom.seg.Segmentation(
            source_images=[picture],
            pixel_array=masks,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=highdicom.UID(),
            series_number=1000,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="medseg",
            manufacturer_model_name="medseg",
            software_versions=version("medseg"),
            device_serial_number="0",
            **options,
        )
        if int(made.NumberOfFrames) != (expected := np.count_nonzero(masks.any((1, 2)))):
            # Of a kind of object that holds one picture highdicom takes the first frame and says nothing.
            raise MedsegError(f"it would hold {made.NumberOfFrames} of {expected} masks")
        buffer = io.BytesIO()
        made.save_as(buffer)
    return buffer.getvalue()
