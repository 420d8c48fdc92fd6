"""What the index shows of a report: one sentence, one small picture."""

import base64
import io
import re

from PIL import Image

from medseg.reporting import preview


def page(tmp_path, body):
    path = tmp_path / "report.html"
    path.write_text(body, "utf-8")
    return path


def test_the_first_sentence_and_a_small_figure(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (1920, 800), "white").save(buffer, "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    found = preview.of(
        page(
            tmp_path,
            '<p class="claim">On A, U-Net &amp; co has 0.8 (one interval. Another; 3 cases). It is better.</p>'
            f'<figure class="chart"><div><img src="data:image/png;base64,{data}"></div></figure>',
        )
    )
    assert "<p>On A, U-Net &amp; co has 0.8 (one interval. Another; 3 cases).</p>" in found
    small = Image.open(io.BytesIO(base64.b64decode(re.search(r'base64,([^"]+)"', found).group(1))))
    assert small.size == (480, 200)


def test_a_page_without_answer_or_with_a_broken_figure_is_left_plain(tmp_path):
    assert preview.of(page(tmp_path, "<p>Nothing</p>")) == ""
    assert preview.of(page(tmp_path, '<figure class="chart"><img src="data:image/png;base64,AAAA"></figure>')) == ""
