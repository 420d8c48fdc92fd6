"""The page to look through all test cases, in headless Chromium."""

import json

import pytest
import synthetic_runs

from medseg.experiments.runs import all_runs
from medseg.reporting import view


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSEG_RUNS", str(folder / "reports" / "runs"))
        synthetic_runs.make_runs(synthetic_runs.make_dataset(folder / "ellipses"))
        run = next(run for run in all_runs("polyp") if run.evaluated)
        return run, view.write(run)


@pytest.fixture
def page(browser, page_file):
    requests, errors = [], []
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(page_file[1].as_uri())
    opened.wait_for_function("document.getElementById('canvas').width > 1")
    yield opened
    assert errors == []
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]
    opened.close()


def title(page):
    return page.inner_text("#case")


def test_cases_come_worst_first_and_keys_page_through_them(page, page_file):
    means = page_file[0].cases().groupby("case_id")["dice"].mean().sort_values()
    assert title(page).startswith(f"{means.index[0]} · Dice {means.iloc[0]:.3f}")
    assert title(page).endswith(f"1 of {len(means)}")
    page.keyboard.press("ArrowRight")
    assert title(page).endswith(f"2 of {len(means)}")
    page.keyboard.press("End")
    assert f"Dice {means.dropna().iloc[-1]:.3f}" in title(page) or "not scored" in title(page)
    page.keyboard.press("Home")
    page.select_option("#order", "best")
    page.keyboard.press("Home")
    page.click("#list li:first-child")
    assert f"Dice {means.max():.3f}" in title(page)


def test_truth_prediction_and_difference_are_drawn_where_they_are(page, page_file):
    content = json.loads(page.inner_text("#content") or page.evaluate("document.getElementById('content').textContent"))
    colours = """([name]) => {
      const c = document.getElementById('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      const [r, g, b] = name; let n = 0;
      for (let i = 0; i < d.length; i += 4) n += d[i] === r && d[i + 1] === g && d[i + 2] === b;
      return n;
    }"""
    truth = content["colours"]["truth"]
    assert page.evaluate(colours, [truth]) > 20
    page.keyboard.press("t")
    assert page.get_attribute("#truth", "aria-pressed") == "false"
    assert page.evaluate(colours, [truth]) == 0
    assert not page.is_visible("#legend")
    before = page.evaluate("document.getElementById('canvas').toDataURL()")
    page.keyboard.press("d")
    assert page.is_visible("#legend")
    assert page.evaluate("document.getElementById('canvas').toDataURL()") != before
    assert "difference" in page.get_attribute("#canvas", "aria-label")


def test_the_picture_is_shown_at_its_own_size_and_twice(page):
    width = page.evaluate("document.getElementById('canvas').width")
    for expected in (width, 2 * width):
        page.keyboard.press("z")
        assert page.evaluate("document.getElementById('canvas').getBoundingClientRect().width") == expected


def test_help_opens_by_key_and_closes(page):
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1280, "dark")])
def test_the_page_breaks_no_rule_of_axe(page, broken_rules, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    assert broken_rules(page) == {}
    page.keyboard.press("d")
    page.keyboard.press("?")
    assert broken_rules(page) == {}


def test_everything_that_acts_has_a_name_and_fits_a_phone(page):
    page.set_viewport_size({"width": 420, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select')]."
        "filter(e => !(e.ariaLabel || e.innerText || e.labels?.length))"
        ".length"
    )
    assert unnamed == 0
    assert page.is_visible("#next")
    page.click("#next")
    assert "2 of" in title(page)
