import pytest

from medseg.datasets import lists
from medseg.errors import MedsegError


def test_lines_come_by_column_with_their_numbers():
    data = '\ufeffNote, FILE,more\n\n"a, b", x ,1\n,y\n'.encode()
    assert lists.parse(data, ("file",), "The list", optional=("note", "side")) == [
        (3, {"file": "x", "note": "a, b", "side": "", "more": "1"}),
        (4, {"file": "y", "note": "", "side": ""}),
    ]
    assert lists.parse("case_id\n가\n".encode("cp949"), ("file",), "The list", aliases={"case_id": "file"}) == [
        (2, {"file": "가"})
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"The list has the columns \(none\), it is empty; expected a CSV file with the columns file,side"),
        (b"a;b\n1;2\n", "has the columns a;b; expected"),
        (b"file,b\n1,2\n", "has the columns file, b, without side; expected"),
        (b'file,side\n"a\n', "is not a valid CSV file"),
        ("file,side\n".encode("utf-16"), "cannot be read: it is neither in UTF-8 nor in EUC-KR"),
    ],
)
def test_a_faulty_list_is_refused(data, message):
    with pytest.raises(MedsegError, match=message):
        lists.parse(data, ("file", "side"), "The list")


def test_a_missing_list_says_so(tmp_path):
    with pytest.raises(MedsegError, match="The list cannot be read: No such file"):
        lists.read(tmp_path / "none.csv", ("file",), "The list")
