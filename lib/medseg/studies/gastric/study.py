"""What the generic code has to know of this study."""

from medseg.registry import Study, Training

STUDY = Study(
    name="gastric",
    label="class_map",
    trainings=(Training("2_train", "Keras", "medseg.keras.check", "medseg.keras.inference", "medseg.keras.export"),),
    prepare="medseg.studies.gastric.prepare:prepare",
    foreground="lesion",
    reader="medseg.studies.gastric.reading:read_new",
    sample="phantoms.gastric.sample:write_gastric_sample",
    demo=("final",),
)
