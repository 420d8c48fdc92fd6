"""A report as a user gets it: an executed notebook over drawn runs, rendered, opened in headless Chromium."""

import os
import shutil

import costly_runs
import nbformat
import pytest
import synthetic_runs
from nbformat import v4

from medseg.reporting import html, pages

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

_CELLS = (
    "# Results\n\nWhich model is best?",
    "## Claim",
    "from medseg.experiments.runs import all_runs\n"
    "from medseg.reporting import (\n"
    "    answer, comparison, cost_figure, curves, distributions, gallery, paired_tables, ranking, results,\n)\n"
    "c = comparison.compare(all_runs('polyp'))\nanswer.claim(c)",
    "## Comparison",
    "results.table(c, 'notebooks/polyp/published.csv')",
    "## Curves",
    "curves.learning(c, 'dice')",
    "## Statistics\n\n### Paired",
    "distributions.paired(c)",
    "paired_tables.table(c)",
    "### Ranking",
    "ranking.page(c)",
    "### Speed and size",
    "cost_figure.page(c)",
    "## Cases",
    "gallery.extremes(c, worst=2, best=1)",
    "print('x' * 400)",
)


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """A folder of reports with ``polyp.html`` and ``index.html``."""
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("project") / "reports"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSEG_RUNS", str(folder / "runs"))
        made = synthetic_runs.make_runs(synthetic_runs.make_dataset(folder.parent / "ellipses"))
        for gmacs, run in enumerate(made[:-1], 1):  # one is from before there were costs
            costly_runs.costly(run, float(gmacs), 10.0 * gmacs)
        cells = [v4.new_markdown_cell(text) if text.startswith("#") else v4.new_code_cell(text) for text in _CELLS]
        notebook = v4.new_notebook(cells=cells)
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        nbformat.write(notebook, folder / "4_results.ipynb")
        html.render(folder / "4_results.ipynb", folder / "polyp.html", title="Polyp segmentation")
        pages.write_index()
    return folder


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    os.environ.setdefault("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def broken_rules():
    """Of an open page the rules of axe-core (WCAG 2 and good practice) that it breaks, with what breaks them."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check(page):
        found = axe.run(page).response["violations"]
        return {rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in found}

    return check


@pytest.fixture
def visit(browser, reports):
    """Open a page of the reports; what the browser complains of or asks for is collected on the page object."""
    contexts = []

    def open_page(name="polyp.html", width=1400, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.complaints, page.asked = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((reports / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
