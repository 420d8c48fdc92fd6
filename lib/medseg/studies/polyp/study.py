"""What the generic code has to know of this study."""

from medseg.registry import Study, Training

STUDY = Study(
    name="polyp",
    label="binary",
    trainings=(
        Training(
            "2_train_torch", "PyTorch", "medseg.pytorch.check", "medseg.pytorch.inference", "medseg.pytorch.export"
        ),
        Training(
            "2_train_keras",
            "Keras",
            "medseg.keras_legacy.check",
            "medseg.keras_legacy.inference",
            "medseg.keras_legacy.export",
        ),
    ),
    prepare="medseg.studies.polyp.prepare:prepare",
    set_named="medseg.studies.polyp.layout:centre_named",
    sample="phantoms.polyp.sample:write_polyp_sample",
    demo=("backbones_keras", "backbones_torch"),
    items="frames",
    groups="videos",
)
