import pytest

from medseg.datasets.texts import decoded, parse_list, read_list
from medseg.errors import MedsegError


def test_lines_come_by_column_with_their_numbers():
    data = '\ufeffNote, FILE,more\n\n"a, b", x ,1\n,y\n'.encode()
    assert parse_list(data, ("file",), "The list", optional=("note", "side")) == [
        (3, {"file": "x", "note": "a, b", "side": "", "more": "1"}),
        (4, {"file": "y", "note": "", "side": ""}),
    ]
    assert parse_list(b"Side Of;File\nL;a\n", ("file", "side_of"), "The list") == [(2, {"side_of": "L", "file": "a"})]
    assert parse_list("case_id\n가\n".encode("cp949"), ("file",), "The list", aliases={"case_id": "file"}) == [
        (2, {"file": "가"})
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"The list has the columns \(none\), it is empty; expected a CSV file with the columns file,side"),
        (b"a;b\n1;2\n", "has the columns a, b; expected"),
        (b"file,b\n1,2\n", "has the columns file, b, without side; expected"),
        (b'file,side\n"a\n', "is not a valid CSV file"),
        ("file,side\n".encode("utf-16"), "cannot be read: it is neither in UTF-8 nor in EUC-KR"),
    ],
)
def test_a_faulty_list_is_refused(data, message):
    with pytest.raises(MedsegError, match=message):
        parse_list(data, ("file", "side"), "The list")


def test_a_missing_list_says_so(tmp_path):
    with pytest.raises(MedsegError, match="The list cannot be read: No such file"):
        read_list(tmp_path / "none.csv", ("file",), "The list")


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
