import pytest
from synthetic_runs import bare_run

from medseg.errors import MedsegError
from medseg.reporting import results, statistics
from medseg.reporting.comparison import compare

PUBLISHED = """model,backbone,test_set,metric,value,epochs,source
U-Net,ResNet50,CVC-ETIS,dice,0.426,43,"A table"
U-Net,VGG16,ETIS,dice,0.5,,"A table"
"""
CLEAR = [0.9, 0.8, 0.9, 0.8, 0.9, 0.8, 0.9, 0.8]
NEAR = [0.901, 0.799, 0.902, 0.798, 0.9015, 0.7985, 0.9005, 0.7992]


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(start)).removeprefix(start).split()


def test_means_are_those_of_the_cases_and_the_highest_is_marked(tmp_path):
    better = bare_run(tmp_path / "a", {"ETIS": CLEAR}, architecture="Unet", backbone="resnet50")
    worse = bare_run(tmp_path / "b", {"ETIS": [v - 0.3 for v in NEAR]}, architecture="Unet", backbone="vgg11")
    near = bare_run(tmp_path / "c", {"ETIS": NEAR}, architecture="Unet", backbone="b1")
    text = repr(results.table(compare([better, worse, near])))
    assert row(text, "resnet50")[0] == "0.850*,"
    assert row(text, "vgg11")[0] == "0.550,"
    assert row(text, "b1")[0] == "0.850\u2248,"


def test_nothing_is_bold_while_anything_is_open(tmp_path):
    noisy = [0.5, 0.99, 0.6, 0.95, 0.7, 0.6, 0.99, 0.7]
    made = [
        bare_run(tmp_path / name, {"ETIS": scores}, backbone=name)
        for name, scores in (("high", CLEAR), ("open", noisy), ("low", [v - 0.3 for v in NEAR]))
    ]
    text, html = (show(results.table(compare(made))) for show in (repr, lambda table: table.html))
    assert [row(text, name)[0] for name in ("high", "open", "low")] == ["0.850,", "0.754?,", "0.550,"]
    assert "<b>" not in html
    assert html.count("not settled whether it differs from the best'>?</i>") >= 2  # Dice and IoU
    assert "<b>0.850</b>" in results.table(compare([made[0], made[2]])).html


def test_below_a_mean_stands_its_interval(tmp_path):
    made = compare([bare_run(tmp_path / "a", {"ETIS": CLEAR, "few": CLEAR[:5]})])
    mean = statistics.means(made).iloc[0]
    text = repr(results.table(made))
    assert f"0.850, {mean['low']:.3f}\u2013{mean['high']:.3f} " in text
    assert "0.860 " in text  # five groups: no interval


def test_seeds_become_mean_and_standard_deviation(tmp_path):
    made = [bare_run(tmp_path / str(s), {"ETIS": [v] * 2}, seed=s) for s, v in ((1, 0.6), (2, 0.7), (3, 0.8))]
    text = repr(results.table(compare(made)))
    assert "3 seeds" in text
    assert "0.700, \u00b1 0.100" in text
    assert "Seeds: 1, 2, 3 for every configuration" in text


def test_means_have_a_row_per_run_and_test_set(runs):
    found = results.means(compare(runs))
    assert len(found) == len(runs) * 2
    row = found[(found["run_id"] == runs[3].id) & (found["test_set"] == "ETIS")].iloc[0]
    assert (row["configuration"], row["seed"], row["n_scored"]) == ("Unet resnet50", 2, 15)
    assert row["mean_dice"] == pytest.approx(runs[3].cases().query("test_set == 'ETIS'")["dice"].mean())


def test_published_figures_stand_beside_ours_or_apart(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(PUBLISHED)
    run = bare_run(tmp_path / "a", {"etis": CLEAR}, architecture="Unet", backbone="resnet50")
    table = results.table(compare([run]), published)
    assert ", published 0.426" in repr(table)
    apart = next(line for line in repr(table).splitlines() if line.startswith("U-Net VGG16, published, not run here"))
    assert "0.500" in apart
    assert '<tr class="muted">' in table.html
    assert "Published figures: A table." in repr(table)
    assert "sample" not in repr(table)


def test_published_figures_beside_the_sample_are_explained(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(PUBLISHED)
    run = bare_run(tmp_path / "a", {"ETIS": CLEAR}, architecture="Unet", backbone="resnet50")
    run.update(dataset={**run.record["dataset"], "path": "data/sample/polyp"})
    assert "say nothing about each other" in repr(results.table(compare([run]), published))


def test_the_projects_published_figures_can_be_read(runs):
    text = repr(results.table(compare(runs), "notebooks/polyp/published.csv"))
    assert "published 0.661" in text
    assert "U-Net InceptionResNetV2, published, not run here" in text


def test_figures_of_another_protocol_do_not_stand_beside_ours(tmp_path):
    published = tmp_path / "published.csv"
    header, first, *_ = PUBLISHED.splitlines()
    published.write_text(f"{header},protocol\n{first},pranet\n{first.replace('0.426', '0.333')},colondb\n")
    run = bare_run(tmp_path / "a", {"ETIS": CLEAR}, architecture="Unet", backbone="resnet50")
    text = repr(results.table(compare([run]), published))
    assert "published 0.333" in text
    assert "0.426" not in text


@pytest.mark.parametrize("content", ["model,value\nx,1\n", PUBLISHED.replace("0.426", "high")])
def test_a_malformed_table_of_published_figures_is_refused(tmp_path, runs, content):
    published = tmp_path / "published.csv"
    published.write_text(content)
    with pytest.raises(MedsegError, match=r"published\.csv cannot be read"):
        results.table(compare(runs), published)


def test_the_caption_says_where_the_numbers_come_from(runs, dataset):
    text = repr(results.table(compare(runs)))
    for part in (
        f"ellipses-0, protocol colondb, fingerprint {dataset.fingerprint[:8]}",
        "ClinicDB n = 20; ETIS n = 16, 15 scored (a case with nothing to find",
        "Scoring: native resolution. Threshold: 0.5 (fixed at 0.5). Checkpoint: best",
        "Unet resnet50: 1, 2",
        "Same for all runs: resolution 256, loss dice",
    ):
        assert part in text


def test_tables_are_the_same_every_time(runs):
    one, other = (results.table(compare(runs), "notebooks/polyp/published.csv") for _ in range(2))
    assert one == other


def test_left_out_runs_are_listed(tmp_path, runs):
    failed = bare_run(tmp_path / "bad-run", {"ETIS": CLEAR})
    failed.update(status="failed", error="no <memory>")
    listed = results.left_out(compare([*runs, failed]))
    assert "bad-run" in repr(listed)
    assert "no &lt;memory&gt;" in listed.html
    assert repr(results.left_out(compare(runs))) == "All 5 runs found are compared."


@pytest.mark.parametrize(
    ("seconds", "words"), [(48.4, "48 s"), (600, "10 min"), (3600, "1 h 00 min"), (11100, "3 h 05 min")]
)
def test_durations_are_readable(seconds, words):
    assert results.duration(seconds) == words


def test_a_published_figure_may_name_further_parameters_and_leave_out_the_test_set(tmp_path):
    published = tmp_path / "published.csv"
    published.write_text(
        "model,backbone,test_set,metric,value,epochs,source,resolution\n"
        "Unet,b7,,dice,0.95,,A table,512\nUnet,b7,,dice,0.97,,A table,1024\n"
    )
    run = bare_run(tmp_path / "a", {"fold-0": CLEAR}, architecture="Unet", backbone="b7", resolution=512)
    text = repr(results.table(compare([run]), published))
    assert ", published 0.950" in text
    apart = next(line for line in text.splitlines() if line.startswith("Unet b7, 1024 px, published, not run here"))
    assert "0.970" in apart


def test_what_a_training_used_and_what_ended_it_is_told(tmp_path):
    made = [
        bare_run(tmp_path / f"{architecture}-{seed}", {"ETIS": [0.5] * 2}, seed=seed, architecture=architecture)
        for seed, architecture in ((1, "Unet"), (2, "Unet"), (1, "FPN"), (1, "PAN"))
    ]
    used = ((12, 72, "max_steps"), (8, 48, "early stopping"), (9, 90, "max_steps"))
    for run, (epochs, steps, reason) in zip(made, used, strict=False):
        run.update(
            selection={"epochs_trained": epochs, "steps_trained": steps, "ended_by": reason},
            durations={"train_seconds": 60.0 * epochs},
        )
    text = repr(results.table(compare(made)))
    assert row(text, "Unet")[-4:] == ["8\u201312", "48\u201372", "10", "min"]
    assert row(text, "FPN")[-4:] == ["9", "90", "9", "min"]
    assert "What ended the training, and of how many runs: max steps (2), early stopping (1)." in text


def test_runs_without_checksums_are_counted_under_the_table(tmp_path):
    old, new = (bare_run(tmp_path / name, {"ETIS": CLEAR}, seed=1, arm=name) for name in "ab")
    new.update(tables=new.checksums("cases.csv", "history.csv"))
    assert "No checksum of the tables is on record for 1 of 2 runs" in repr(results.table(compare([old, new])))
    assert "No checksum" not in repr(results.table(compare([new])))
