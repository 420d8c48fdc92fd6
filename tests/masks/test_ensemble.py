import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg.errors import MedsegError
from medseg.masks import rle, submission
from medseg.masks.ensemble import MAX_MODELS, combine

CLASSES = ("finger-1", "Ulna")


def dense(masks, rule, weights, threshold):
    """The definition on whole masks (models, H, W), in exact arithmetic."""
    votes = np.stack(masks).astype(object)
    weights = np.array([Fraction(str(weight)) for weight in weights], object)
    share = (votes * weights[:, None, None]).sum(axis=0) / weights.sum()
    if rule == "intersection":
        return np.stack(masks).all(axis=0)
    return (share > Fraction(str(threshold))).astype(bool)


def cut(code, rng):
    """The code with some of its runs cut in two that touch."""
    numbers = list(map(int, code.split()))
    pieces = []
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        at = int(rng.integers(0, length))
        pieces += [start, at, start + at, length - at] if at else [start, length]
    return " ".join(map(str, pieces))


def write(folder, models, *, rng=None):
    """Submissions of models, each a mapping of (image, class) to a mask; with ``rng`` shuffled, runs cut."""
    paths = []
    for number, masks in enumerate(models):
        rows = [(*key, rle.encode(mask)) for key, mask in masks.items()]
        if rng is not None and number:
            rows = [(*key, cut(code, rng)) for *key, code in (rows[i] for i in rng.permutation(len(rows)))]
        paths.append(folder / f"model-{number}.csv")
        submission.write(paths[-1], rows)
    return paths


@st.composite
def ensembles(draw):
    models, shape = draw(st.integers(1, 5)), draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    one = st.one_of(
        arrays(np.uint8, shape, elements=st.integers(0, 1)),
        st.just(np.zeros(shape, np.uint8)),
        st.just(np.ones(shape, np.uint8)),
    )
    keys = list(itertools.product(("a.png", "b_L.x.png"), CLASSES))
    masks = [{key: draw(one) for key in keys} for _ in range(models)]
    rule = draw(st.sampled_from(("majority", "weighted", "mean", "intersection")))
    tenths = st.sampled_from((0.1, 0.2, 0.3, 0.6, 0.7, 1.0))
    weights = None
    if rule == "weighted" or (rule == "mean" and draw(st.booleans())):
        weights = draw(
            st.one_of(
                st.lists(tenths, min_size=models, max_size=models),
                st.lists(st.fixed_dictionaries(dict.fromkeys(CLASSES, tenths)), min_size=models, max_size=models),
            )
        )
    threshold = draw(st.sampled_from((0.0, 0.25, 0.3, 0.5, 0.8))) if rule == "mean" else 0.5
    return shape, masks, rule, weights, threshold


@settings(deadline=None, derandomize=True, max_examples=120)
@given(ensembles(), st.integers(0, 99))
def test_voting_in_runs_equals_voting_on_pixels(tmp_path_factory, ensemble, seed):
    shape, models, rule, weights, threshold = ensemble
    folder = tmp_path_factory.mktemp("ensemble")
    paths = write(folder, models, rng=np.random.default_rng(seed))
    combine(paths, folder / "out.csv", rule, weights, shape, threshold)
    rows = list(submission.read(folder / "out.csv"))
    assert [row[:2] for row in rows] == list(models[0])
    for row in rows:
        of_class = [
            weight[row.class_name] if isinstance(weight, dict) else weight for weight in weights or [1] * len(models)
        ]
        expected = dense([masks[row[:2]] for masks in models], rule, of_class, threshold)
        assert row.rle == rle.encode(expected)  # bit for bit, in the one code that encode() gives


def vote(folder, codes, *arguments, **options):
    paths = []
    for number, code in enumerate(codes):
        paths.append(folder / f"{number}.csv")
        submission.write(paths[-1], [("a.png", "Ulna", code)])
    combine(paths, folder / "out.csv", *arguments, **options)
    (row,) = submission.read(folder / "out.csv")
    return row.rle


def test_an_even_split_is_not_set_and_an_empty_mask_votes_against(tmp_path):
    assert vote(tmp_path, ["1 4", "3 4"]) == "3 2"
    assert vote(tmp_path, ["1 4", "3 4", "", ""]) == ""
    assert vote(tmp_path, ["1 4", "", ""]) == ""
    assert vote(tmp_path, ["1 4", "1 4", ""]) == "1 4"


def test_decimal_weights_tie_as_they_read(tmp_path):
    assert 0.2 + 0.1 > (0.3 + 0.2 + 0.1) / 2  # in binary arithmetic
    assert vote(tmp_path, ["9 1", "1 4", "1 4"], "weighted", [0.3, 0.2, 0.1]) == ""
    assert vote(tmp_path, ["9 1", "1 4", "1 4"], "weighted", [0.29, 0.2, 0.1]) == "1 4"
    assert vote(tmp_path, ["1 4", "1 4", "9 1"], "weighted", [{"Ulna": np.float64(w)} for w in (0, 0, 0.5)]) == "9 1"


def test_the_mean_has_to_exceed_its_threshold(tmp_path):
    codes = ["1 4", "2 2", "3 1", ""]
    assert vote(tmp_path, codes, "mean") == "3 1"
    assert vote(tmp_path, codes, "mean", threshold=0.25) == "2 2"
    assert vote(tmp_path, codes, "mean", threshold=0.24) == "1 4"
    assert vote(tmp_path, codes, "mean", [3, 1, 1, 1]) == "2 2"


def test_one_model_and_the_largest_number_of_models(tmp_path):
    assert vote(tmp_path, ["1 2 3 1"], "intersection") == "1 3"
    codes = ["1 4"] * (MAX_MODELS // 2) + ["3 4"] * (MAX_MODELS // 2)
    assert vote(tmp_path, codes) == "3 2"
    assert vote(tmp_path, codes, "intersection") == "3 2"


def test_the_output_may_take_the_place_of_an_input(tmp_path):
    paths = write(tmp_path, [{("a.png", "Ulna"): np.eye(3, dtype=np.uint8)}] * 2)
    combine(paths, paths[0], shape=(3, 3))
    assert [row.rle for row in submission.read(paths[0])] == ["1 1 5 1 9 1"]


def test_memory_does_not_grow_with_the_masks_held(tmp_path):
    rng = np.random.default_rng(0)
    code = rle.encode(rng.integers(0, 2, (64, 512)).astype(np.uint8))
    peaks = []
    for images in (40, 2, 40):  # np.isin imports numpy.ma (10 MB) at its first use, in the first round
        rows = [(f"{number}.png", "Ulna", code) for number in range(images)]
        paths = [tmp_path / f"{images}-{model}.csv" for model in range(3)]
        for model, path in enumerate(paths):
            submission.write(path, rows[model:] + rows[:model])
        tracemalloc.start()
        combine(paths, tmp_path / "out.csv", shape=(64, 512))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + len(code)


def test_a_mask_that_one_file_lacks_is_named(tmp_path):
    paths = write(tmp_path, [{("a.png", "Ulna"): np.ones((2, 2), bool), ("b.png", "Ulna"): np.ones((2, 2), bool)}] * 3)
    submission.write(paths[1], [("b.png", "Ulna", "")])
    with pytest.raises(MedsegError, match=r"model-1.csv has no row for Ulna of a.png; .*model-0.csv has"):
        combine(paths, tmp_path / "out.csv", shape=(2, 2))
    with pytest.raises(MedsegError, match=r"model-1.csv has no row for Ulna of a.png"):
        combine(paths[::-1], tmp_path / "out.csv", shape=(2, 2))
    with pytest.raises(MedsegError, match=r"model-1.csv has no row for Ulna of a.png"):
        combine(paths[1:], tmp_path / "out.csv", shape=(2, 2))
    assert not (tmp_path / "out.csv").exists()


def test_a_bad_row_is_named_with_file_and_line(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    submission.write(good, [("a.png", "Ulna", "1 1"), ("b.png", "Ulna", "1 1")])
    bad.write_text("image_name,class,rle\n\nb.png,Ulna,4 2\na.png,Ulna,1 1\n")
    with pytest.raises(MedsegError, match=r"bad.csv, line 3 \(Ulna of b.png\): Malformed .* beyond pixel 4"):
        combine([good, bad], tmp_path / "out.csv", shape=(2, 2))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.csv", "good.csv"]
    bad.write_text("image_name,class,rle\nb.png,Ulna,\na.png,Ulna,1 1\nb.png,Ulna,1 1\n")
    with pytest.raises(MedsegError, match=r"bad.csv, line 4: found Ulna of b.png again, which line 2 holds"):
        combine([good, bad], tmp_path / "out.csv", shape=(2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "union"}, "Unknown ensemble rule 'union'. Choose one of: majority, weighted, mean, intersection"),
        ({"rule": "weighted"}, "weighted needs weights"),
        ({"rule": "majority", "weights": [1, 1]}, "majority takes no weights"),
        ({"rule": "intersection", "threshold": 0.4}, "intersection takes no threshold"),
        ({"rule": "mean", "threshold": 1.0}, "at least 0 and below 1"),
        ({"rule": "mean", "weights": [1]}, "2 submissions, but 1 weights"),
        (
            {"rule": "weighted", "weights": [{"Ulna": 1}, {"Radius": 1}]},
            "Submission 2 has no weight for the class Ulna",
        ),
        ({"rule": "weighted", "weights": [1, float("nan")]}, "The weight of submission 2 for Ulna is nan"),
        ({"rule": "weighted", "weights": [-1, 1]}, "submission 1 for Ulna is -1"),
        ({"rule": "weighted", "weights": [0, 0]}, "All weights for the class Ulna are 0"),
    ],
)
def test_rules_and_weights_that_do_not_go_together_are_refused(tmp_path, arguments, message):
    with pytest.raises(MedsegError, match=message):
        vote(tmp_path, ["1 1", "1 1"], **arguments)
    assert not (tmp_path / "out.csv").exists()


def test_an_ensemble_of_nothing_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="1 to 62 submissions, got 0"):
        combine([], tmp_path / "out.csv")
