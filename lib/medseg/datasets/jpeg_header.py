"""What the header of a JPEG stream says of its colours (ITU-T T.81, annex B; JFIF and Adobe markers)."""

from dataclasses import dataclass

_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST, SOI
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF; the others are tables and a reserved one


@dataclass(frozen=True)
class JpegHeader:
    """``components``: id and horizontal and vertical sampling factor of each; ``adobe``: is Adobe's marker there."""

    components: tuple[tuple[int, int, int], ...]
    adobe: bool

    @property
    def surely_ybr(self) -> bool:
        """Whether three components can only be YCbCr: two are sampled more coarsely than the first.

        Nobody samples colours of RGB so; ids ``R``, ``G``, ``B`` or Adobe's marker say themselves what the colours are.
        """
        if len(self.components) != 3 or self.adobe or bytes(c[0] for c in self.components).upper() == b"RGB":
            return False
        first, *others = (width * height for _, width, height in self.components)
        return all(factor < first for factor in others)


def read(stream: bytes) -> JpegHeader | None:
    """The header of a JPEG stream; None where it is damaged, or none."""
    adobe, place = False, 2
    if stream[:2] != b"\xff\xd8":
        return None
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        segment = stream[place + 4 : place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")]
        if marker == 0xEE and segment.startswith(b"Adobe"):
            adobe = True
        if marker in _FRAMES:
            if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
                return None
            parts = (segment[6 + 3 * number : 9 + 3 * number] for number in range(segment[5]))
            return JpegHeader(tuple((one[0], one[1] >> 4, one[1] & 15) for one in parts), adobe)
        if marker == 0xDA:
            return None
        place += 4 + len(segment)
    return None
