import pytest

PAGES = ("polyp.html", "index.html")
COLUMN = "[...document.querySelectorAll('table')[0].tBodies[0].rows].map(row => row.cells[1].dataset.sort ?? '')"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_quiet_and_asks_for_nothing(visit, name):
    page = visit(name)
    page.mouse.wheel(0, 20_000)
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page.url]
    assert (
        page.evaluate("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length") == 0
    )


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 420, 900, 1400])
def test_the_page_is_never_wider_than_the_window(visit, name, width):
    page = visit(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1400, "dark")])
def test_the_page_breaks_no_rule_of_axe(visit, broken_rules, name, width, scheme):
    assert broken_rules(visit(name, width, scheme)) == {}


def test_tables_fit_on_paper(visit):
    page = visit(width=718)  # A4 between margins of 1 cm
    page.emulate_media(media="print")
    beyond = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 718).length"
    assert page.evaluate("document.querySelectorAll('table').length") > 3
    assert page.evaluate(beyond) == 0


def test_text_keeps_a_readable_measure(visit):
    page = visit(width=1800)
    rem = "Math.max(...[...document.querySelectorAll('main p')].map(p => p.getBoundingClientRect().width)) / 16"
    assert page.evaluate(rem) <= 44
    assert page.evaluate("document.querySelector('main').getBoundingClientRect().width / 16") <= 62


def test_tables_are_sorted_by_mouse_and_keyboard(visit):
    page = visit()
    heading = page.locator("table").first.locator("th[data-column='1']")
    before = page.evaluate(COLUMN)
    heading.locator("button").click()
    down = page.evaluate(COLUMN)
    assert heading.get_attribute("aria-sort") == "descending"
    assert down == sorted(before, key=float, reverse=True)
    assert down != before
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.evaluate(COLUMN) == down[::-1]
    names = page.locator("table").first.locator("th[data-column='0']")
    names.locator("button").press("Space")
    assert names.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") is None


def test_what_has_no_value_stays_last_when_sorted(visit):
    page = visit()
    heading = page.locator("table").first.locator("th[data-column='2'] button")  # IoU, which is not published
    for _ in range(2):
        heading.click()
        cells = page.evaluate(COLUMN.replace("cells[1]", "cells[2]"))
        assert "" not in cells[:4]
        assert set(cells[4:]) == {""}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_until_the_reader_chooses(visit, scheme):
    page = visit(scheme=scheme)

    def lightness():
        return sum(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")[:3]) / 3

    assert (lightness() > 200) == (scheme == "light")
    page.click("#theme")
    assert (lightness() > 200) == (scheme == "dark")
    assert page.inner_text("#theme") == {"light": "Light", "dark": "Dark"}[scheme]
    page.reload()
    assert (lightness() > 200) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit, scheme):
    page = visit(scheme=scheme)
    contrast = """selector => {
      const colour = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number)
        .map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
      const light = ([r, g, b]) => .2126 * r + .7152 * g + .0722 * b;
      const of = getComputedStyle(document.querySelector(selector)).color;
      const on = getComputedStyle(document.body).backgroundColor;
      const [a, b] = [light(colour(of)), light(colour(on))].sort((x, y) => y - x);
      return (a + .05) / (b + .05);
    }"""
    for selector in ("main p", "figcaption", ".notes p", "thead th", "tr.muted td", "nav a", "#theme"):
        assert page.evaluate(contrast, selector) >= 4.5, selector


def test_pictures_are_shown_and_described(visit):
    page = visit()
    described = page.evaluate("[...document.images].map(i => [i.alt.length > 10, i.complete && i.naturalWidth > 0])")
    assert len(described) == 2 + 3 + 1 + 6  # curves and differences, ranking, cost, cases
    assert all(alt and shown for alt, shown in described)


def test_charts_stay_readable_on_a_phone(visit):
    page = visit(width=420)
    width = page.evaluate("document.querySelector('figure.chart img').getBoundingClientRect().width")
    assert width > 600
    cut = "[...document.querySelectorAll('.picture')].filter(frame => frame.scrollWidth > frame.clientWidth)"
    assert page.evaluate(f"{cut}.length") > 0
    assert page.evaluate(f"{cut}.every(frame => frame.tabIndex === 0)"), "the keyboard scrolls it"
    assert page.evaluate("document.querySelector('figure.tile img').getBoundingClientRect().width") < 420


@pytest.mark.parametrize("name", PAGES)
def test_the_table_of_contents_leads_somewhere(visit, name):
    page = visit(name)
    links = page.locator("nav.contents a")
    hrefs = [link.get_attribute("href") for link in links.all()]
    assert hrefs
    assert all(page.locator(f"[id='{href[1:]}']").count() == 1 for href in hrefs)


def test_the_section_that_is_read_is_marked(visit):
    page = visit()
    page.emulate_media(reduced_motion="reduce")
    page.click("nav.contents a[href='#cases']")
    page.wait_for_selector("nav.contents a[href='#cases'][aria-current]")
    assert page.locator("nav.contents a[aria-current]").count() == 1
    assert 0 <= page.evaluate("document.getElementById('cases').getBoundingClientRect().top") < 200


def test_the_contents_are_folded_on_a_phone_only(visit):
    assert visit(width=420).evaluate("document.querySelector('.contents details').open") is False
    assert visit(width=1400).evaluate("document.querySelector('.contents details').open") is True


def test_code_is_shown_on_demand(visit):
    page = visit()
    assert not page.locator(".code").first.is_visible()
    page.click("#code")
    assert page.locator(".code").first.is_visible()
    assert page.get_attribute("#code", "aria-pressed") == "true"


def test_print_leaves_out_the_controls(visit):
    page = visit(scheme="dark")
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert not page.locator(".contents").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_script_everything_can_be_read(browser, reports):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 420, "height": 900})
    page = context.new_page()
    page.goto((reports / "polyp.html").as_uri())
    assert page.locator("table").first.is_visible()
    assert page.locator("nav.contents a").first.is_visible()
    assert not page.locator("#theme").is_visible()
    context.close()
