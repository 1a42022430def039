"""The one exception whose message is written for the user, and the first line of any other."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error that says something, or else its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    """Return a text from a file with control codes, which a terminal would obey, written out."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def is_fault(error: BaseException) -> bool:
    """Return whether a library failed, and nobody interrupted it.

    A library written in Rust may panic on damaged bytes, which Python has beside the interruptions
    and not among exceptions.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class InputError(ValueError):
    """The error for something wrong in what the user gave.

    The message names the file, row or configuration key, what was found and what to do. Programs
    in ``scripts/`` print it as a single line, without a traceback, and exit with status 1.

    Attributes
    ----------
    faults : one message for each fault, with control codes written out; the error's own message
        joins them.
    """

    def __init__(self, *faults: str) -> None:
        faults = tuple(map(printable, faults))
        super().__init__("; ".join(faults))
        self.faults = faults
