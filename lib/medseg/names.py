"""Names of things: which are the same however they are typed; and in messages, the nearest one, the first few, all."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def loose(name: str) -> str:
    """A name without case, ``-``, ``_`` and blanks: ``Phase_1``, ``phase-1`` and ``phase 1`` are the same."""
    return re.sub(r"[-_\s]+", "", name.casefold())


def nearest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Those of ``known`` that are spelt most like ``name``, whatever the case; the nearest first, maybe none."""
    by_lower = {entry.lower(): entry for entry in known}
    return [by_lower[match] for match in get_close_matches(name.strip().lower(), by_lower, n=most, cutoff=0.5)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'NAME'?`` with the nearest name, or nothing; to be put behind a sentence."""
    return "".join(f" Did you mean {match!r}?" for match in nearest(name, known))


def listed(names: Iterable[object], most: int = 10) -> str:
    """The first ``most`` names, and how many more there are."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def joined(names: Iterable[object]) -> str:
    """All names as a sentence has them: ``A``, ``A and B``, ``A, B and C``; empty for none."""
    texts = [str(name) for name in names]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if texts[1:] else texts)
