"""The one exception for faults in data, settings or files: its message is a line for the user, not a traceback."""


class DataFault(Exception):
    """Something outside the code is wrong. The message says what is wrong, what was found and what to do, on one line.

    The command line prints it and exits with 1; notebooks show it; code that can go on without the faulty item catches
    it, lists it and goes on.
    """


class TooLargeFault(DataFault):
    """More pixels than a radiograph may have: refused before anything is decoded."""
