from medseg.names import did_you_mean, joined, listed, loose, nearest


def test_the_nearest_name_is_found_whatever_the_case():
    assert nearest(" RADUIS ", ["Ulna", "Radius"]) == ["Radius"]
    assert nearest("resnet", ["resnet34", "resnet18", "vgg16"], most=3) == ["resnet34", "resnet18"]
    assert did_you_mean("dise", {"dice": 1, "bce": 2}) == " Did you mean 'dice'?"
    assert did_you_mean("xyz", ["dice"]) == ""


def test_many_names_are_cut_short():
    assert listed(["a", 1, "b"]) == "a, 1, b"
    assert listed("abcd", most=2) == "a, b and 2 more"


def test_a_few_names_are_joined_as_a_sentence_has_them():
    assert [joined(names) for names in ([], "a", "ab", (1, 2, 3))] == ["", "a", "a and b", "1, 2 and 3"]


def test_a_name_is_the_same_however_it_is_typed():
    assert {loose(name) for name in ("Phase_1", "phase-1", "PHASE 1", "phase1 ")} == {"phase1"}
    assert loose("병변_1") != loose("병변_2")
