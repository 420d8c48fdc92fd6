"""What the generic code has to know of this study."""

from medseg.registry import Study, Training

STUDY = Study(
    name="handbone",
    label="overlapping",
    trainings=(
        Training(
            "2_train",
            "PyTorch",
            "medseg.pytorch.check",
            "medseg.pytorch.overlapping_inference",
            "medseg.pytorch.export",
        ),
    ),
    prepare="medseg.studies.handbone.prepare:prepare",
    reader="medseg.studies.handbone.pictures:read_new",
    facts=("side", "sex", "age", "weight", "height"),
    sample="phantoms.handbone.sample:write_hand_sample",
    demo=("image_size",),
)
