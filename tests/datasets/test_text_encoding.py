import pytest

from medseg.datasets.text_encoding import decoded


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("체중 é", "utf-8"), ("체중 é", "utf-8-sig"), ("체중", "cp949"), ("체중", "utf-16"), ("체중", "utf-32"),
        ('"é" café', "cp1252"), ("", "utf-8"),
    ],
)  # fmt: skip
def test_text_of_common_encodings_is_read(text, encoding):
    assert decoded(text.encode(encoding)) == text


def test_what_is_no_text_does_not_raise():
    assert isinstance(decoded(bytes(range(256))), str)
