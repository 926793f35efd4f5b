"""The version, in a file of its own: whoever writes it into a file need not import the whole package's face."""

__version__ = "0.2.0"
