"""A report in small, for the index: the first sentence of its answer, and a thumbnail of its first figure."""

import base64
import io
import re
from html import escape, unescape
from pathlib import Path

from PIL import Image

_CLAIM = re.compile(r'<p class="claim">(.*?)</p>', re.DOTALL)
_FIGURE = re.compile(r'<figure class="chart.*?src="data:image/png;base64,([^"]+)"', re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_WIDTH = 480  # pixels, twice as many as are shown


def of(page: Path) -> str:
    """HTML: a thumbnail and a sentence, as far as the page has them; empty where it has neither."""
    text = page.read_text("utf-8", errors="replace")
    figure, claim = _FIGURE.search(text), _CLAIM.search(text)
    found = _thumbnail(figure.group(1)) if figure else ""
    if claim:
        answer = unescape(re.sub(r"<[^>]+>", "", claim.group(1))).strip()
        found += f"<p>{escape(_first_sentence(answer))}</p>"
    return found


def _first_sentence(text: str) -> str:
    """Up to a full stop outside of brackets: those hold intervals and numbers of cases."""
    taken = ""
    for part in _SENTENCE.split(text):
        taken = f"{taken} {part}".strip()
        if taken.count("(") <= taken.count(")"):
            break
    return taken


def _thumbnail(encoded: str) -> str:
    """A small copy of a PNG in base64; empty where it cannot be read."""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    except (ValueError, OSError):
        return ""
    picture.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(32, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure class="chart"><img alt="" width="{_WIDTH // 2}" src="data:image/png;base64,{data}"></figure>'
