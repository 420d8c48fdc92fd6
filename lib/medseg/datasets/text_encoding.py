"""Text of files whose encoding nobody noted."""

import codecs

# Name and codec. Korean text in EUC-KR is no valid UTF-8, so the order decides nothing else; CP949 is EUC-KR with the
# syllables that Windows adds.
_ENCODINGS = (("utf-8", "utf-8-sig"), ("euc-kr", "cp949"))
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def utf8_or_korean(data: bytes) -> tuple[str, str]:
    """Text of ``data``, and ``utf-8`` or ``euc-kr``, in which it is written.

    Raises:
        UnicodeError: it is in neither.
    """
    for name, codec in _ENCODINGS:
        try:
            return data.decode(codec), name
        except UnicodeDecodeError:
            continue
    raise UnicodeError("neither in UTF-8 nor in EUC-KR")


def decoded(data: bytes) -> str:
    """Text of ``data``, whatever wrote it; never fails, though of a file that is no text no text will come.

    A byte order mark decides; else UTF-8, else Windows code page 949 (Korean; holds EUC-KR), else Windows-1252.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return utf8_or_korean(data)[0]
    except UnicodeError:
        return data.decode("cp1252", "replace")
