"""The one exception that is meant for a person: its text is the whole message, no traceback needed."""


class MedsegError(Exception):
    """A problem that the user can fix.

    The text says what was found, where, what was expected and what to do. The command line prints it alone;
    in a notebook it is the last line of the traceback.
    """
