"""The one exception that speaks to the person who gave the input."""


class InputError(ValueError):
    """Input that cannot be used: the message states the rule, the value received and the remedy.

    The command line prints it as one message without a traceback; every other exception is a defect.
    """
