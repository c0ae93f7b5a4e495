"""What callbacks that bring their own batches replace in a fit, and give back when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.lightning_internals import loader_sources
from musiczoo.music.errors import MusicZooError

Restore = Callable[[], None]

# Options that every generative module has.
_EVERY_MODULE_S = ("batch_size", "guard")


class FitTakeover(Callback):
    """A callback that replaces the loaders, the objective and the length of a fit.

    Whatever a subclass hands to :meth:`take_over` is restored when the fit ends or fails. It keeps
    what it needs during the fit in ``_run``, which is freed then.
    """

    def __init__(self) -> None:
        self._restores: list[Restore] = []
        self._run: Any = None

    def take_over(self, *restores: Restore) -> None:
        """Notes how replaced parts are restored, see :func:`replaced`."""
        self._restores.extend(restores)

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Gives the module its objective back, and the Trainer its loaders and settings."""
        self.give_back()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """As :meth:`teardown`, which Lightning leaves out when a fit fails."""
        self.give_back()

    def give_back(self) -> None:
        """Restores what was replaced, the last first, and frees what the fit needed."""
        while self._restores:
            self._restores.pop()()
        self._run = None


def replaced(owner: Any, **values: Any) -> Restore:
    """Sets attributes of an object, and returns what restores them."""
    held = {name: getattr(owner, name) for name in values}

    def restore() -> None:
        for name, value in held.items():
            setattr(owner, name, value)

    for name, value in values.items():
        setattr(owner, name, value)
    return restore


def replaced_hooks(owner: Any, hooks: Mapping[str, Callable[[], Any]]) -> Restore:
    """Puts hooks of Lightning before the methods of a module or data module of the same names."""
    held = {name: vars(owner)[name] for name in hooks if name in vars(owner)}

    def restore() -> None:
        for name in hooks:
            vars(owner).pop(name, None)
        vars(owner).update(held)

    vars(owner).update(hooks)
    return restore


def replaced_loaders(trainer: lightning.Trainer, train: Any, validation: Any) -> Restore:
    """Replaces the loaders that a fit was given, and returns what restores them.

    Args:
        trainer: In ``setup``.
        train: A loader of training batches, or a module whose hooks give the loaders.
        validation: The same for validation, where the fit has one.
    """
    sources = loader_sources(trainer)
    held = [(source, source.instance, source.name) for source in sources]

    def restore() -> None:
        for source, instance, name in held:
            source.instance, source.name = instance, name

    sources[0].instance = train
    if sources[1].is_defined():
        sources[1].instance = validation
    return restore


def generative(module: lightning.LightningModule, purpose: str) -> GenerativeModule:
    """The module, if it generates.

    Args:
        module: Any.
        purpose: What needs it to, for the error.

    Raises:
        MusicZooError: It does not generate.
    """
    if not isinstance(module, GenerativeModule):
        raise MusicZooError(
            f"A {type(module).__name__} writes no pieces.",
            remedy=f"{purpose} need a generative module.",
        )
    return module


def check_options(module: GenerativeModule, options: Iterable[str]) -> None:
    """Checks the names of further options of ``generate``.

    Raises:
        MusicZooError: One that the module does not have.
    """
    module.check_options([name for name in options if name not in _EVERY_MODULE_S])
