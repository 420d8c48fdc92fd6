from medseg.names import did_you_mean, nearest


def test_the_nearest_name_is_found_whatever_the_case():
    assert nearest(" RADUIS ", ["Ulna", "Radius"]) == ["Radius"]
    assert nearest("resnet", ["resnet34", "resnet18", "vgg16"], most=3) == ["resnet34", "resnet18"]
    assert did_you_mean("dise", {"dice": 1, "bce": 2}) == " Did you mean 'dice'?"
    assert did_you_mean("xyz", ["dice"]) == ""
