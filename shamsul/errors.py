"""The one exception whose message is written for the user, not for the developer."""


class InputError(ValueError):
    """The error for something wrong in what the user gave.

    The message names the file, row or configuration key, what was found and what to do. Programs
    in ``scripts/`` print it as a single line, without a traceback, and exit with status 1.
    """
