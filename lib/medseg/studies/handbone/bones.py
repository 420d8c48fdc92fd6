"""The 29 bones of the hand-bone study: the names of the classes, their order, and where they are in the hand.

The names are those of the public labels. ``finger-1`` to ``finger-19`` run from the thumb to the little finger and in
each finger from the tip to the wrist; then come the eight carpals and the two bones of the forearm. Bones overlap in
projection, so a pixel may belong to several classes.
"""

#: Names of the phalanges and metacarpals of each finger, from the tip to the wrist. The thumb has no middle phalanx.
FINGERS = {
    "thumb": ("finger-1", "finger-2", "finger-3"),
    "index finger": ("finger-4", "finger-5", "finger-6", "finger-7"),
    "middle finger": ("finger-8", "finger-9", "finger-10", "finger-11"),
    "ring finger": ("finger-12", "finger-13", "finger-14", "finger-15"),
    "little finger": ("finger-16", "finger-17", "finger-18", "finger-19"),
}

#: The distal row of carpals, then the proximal one, each beginning on the thumb's side.
CARPALS = ("Trapezium", "Trapezoid", "Capitate", "Hamate", "Scaphoid", "Lunate", "Triquetrum", "Pisiform")

#: The bones of the forearm; the radius is on the thumb's side.
FOREARM = ("Radius", "Ulna")

#: The classes in their order; a class index is a position in this tuple.
CLASSES: tuple[str, ...] = (*(bone for finger in FINGERS.values() for bone in finger), *CARPALS, *FOREARM)

#: The groups in which tables and pictures show the classes.
GROUPS: dict[str, tuple[str, ...]] = {**FINGERS, "carpals": CARPALS, "forearm": FOREARM}


def anatomical_name(bone: str) -> str:
    """What anatomy calls a class, such as "index finger, middle phalanx" for ``finger-5``.

    Raises ValueError: ``bone`` is not one of :data:`CLASSES`.
    """
    for finger, bones in FINGERS.items():
        if bone in bones:
            parts = ("distal phalanx", "middle phalanx", "proximal phalanx", "metacarpal")
            return f"{finger}, {(parts if len(bones) == 4 else (parts[0], *parts[2:]))[bones.index(bone)]}"
    if bone not in CLASSES:
        raise ValueError(f"{bone!r} is not a bone of the hand; the classes are {', '.join(CLASSES)}")
    return bone.lower()
