import pytest

from medseg.studies.handbone import bones


def test_there_are_29_bones_in_the_published_order():
    assert len(bones.CLASSES) == len(set(bones.CLASSES)) == 29
    assert bones.CLASSES[:19] == tuple(f"finger-{number}" for number in range(1, 20))
    carpals = ("Trapezium", "Trapezoid", "Capitate", "Hamate", "Scaphoid", "Lunate", "Triquetrum", "Pisiform")
    assert bones.CLASSES[19:] == (*carpals, "Radius", "Ulna")


def test_the_groups_hold_every_bone_once_in_order():
    assert tuple(bone for group in bones.GROUPS.values() for bone in group) == bones.CLASSES


@pytest.mark.parametrize(
    ("bone", "name"),
    [
        ("finger-1", "thumb, distal phalanx"),
        ("finger-2", "thumb, proximal phalanx"),
        ("finger-3", "thumb, metacarpal"),
        ("finger-5", "index finger, middle phalanx"),
        ("finger-19", "little finger, metacarpal"),
        ("Pisiform", "pisiform"),
    ],
)
def test_bones_have_anatomical_names(bone, name):
    assert bones.anatomical_name(bone) == name


def test_an_unknown_bone_has_no_name():
    with pytest.raises(ValueError, match="Trapezuim"):
        bones.anatomical_name("Trapezuim")
