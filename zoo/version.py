"""The version of musiczoo that is installed."""

from importlib.metadata import version

__version__ = version("musiczoo")
