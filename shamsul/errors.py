"""The one exception whose message is written for the user, not for the developer."""


class InputError(ValueError):
    """The error for something wrong in what the user gave.

    The message names the file, row or configuration key, what was found and what to do. Programs
    in ``scripts/`` print it as a single line, without a traceback, and exit with status 1.

    Attributes
    ----------
    faults : one message for each fault; the error's own message joins them.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
