"""The room of the Lightning callbacks that change what a run trains on, or how, or that show and publish what it has made."""

from musiczoo.callbacks.preview import Preview
from musiczoo.callbacks.publishing import PublishToHub

__all__ = ["Preview", "PublishToHub"]
