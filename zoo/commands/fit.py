"""The commands ``musiczoo fit`` and ``musiczoo validate``: Lightning's command line for the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from musiczoo.configs.flat_sizes import with_nested_sizes
from musiczoo.configs.recipes import with_recipes
from musiczoo.hub.registry import list_models
from musiczoo.models.base.module import ZooModule
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.named_classes import import_classes


def fit(words: Sequence[str]) -> ZooCLI:
    """Trains a model; returns Lightning's command line with its model, data and trainer.

    Args:
        words: The options. ``--config`` takes a file or one of
            :func:`musiczoo.configs.recipes.recipes`.

    Raises:
        MusicZooError: The model, the data or the checkpoint cannot be used.
        SystemExit: An option that does not exist or has a wrong value.
    """
    return ZooCLI(["fit", *with_recipes(words)])


def validate(words: Sequence[str]) -> ZooCLI:
    """Measures a model's loss; see :func:`fit`."""
    return ZooCLI(["validate", *with_recipes(words)])


class ZooCLI(LightningCLI):
    """``fit`` and ``validate`` of any model and data module, chosen in the configuration.

    What differs from Lightning's own: the configuration alone decides about the model (Lightning
    lets the settings in the checkpoint of ``--ckpt_path`` silently replace it); ``pretrained``
    takes a name of the registry; a run may write where an older one did; sizes may stand beside
    the other settings of the model.

    Args:
        args: The command (``fit`` or ``validate``) and its options.
    """

    def __init__(self, args: Sequence[str]) -> None:
        import_classes("musiczoo.datamodules")
        self._words = with_nested_sizes(args)
        try:
            super().__init__(
                ZooModule,
                # Any data module, or none: GroupRollouts brings its own batches.
                None,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                save_config_kwargs={"overwrite": True},
                seed_everything_default=0,
                parser_kwargs={
                    "prog": "musiczoo",
                    "description": "Trains and measures the models of the zoo.",
                },
                args=self._words,
            )
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            raise MusicZooError(
                f"The checkpoint does not fit the model: {str(error).splitlines()[1].strip()}",
                where="--ckpt_path",
                remedy="Give the config.yaml of the run that wrote it.",
            ) from error

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Reads the options.

        Lightning would warn that they do not come from the process's own command line.
        """
        self.config = parser.parse_args(self._words)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The commands and the arguments of the Trainer's methods that Lightning fills in."""
        return {
            name: skipped
            for name, skipped in LightningCLI.subcommands().items()
            if name in ("fit", "validate")
        }

    def before_instantiate_classes(self) -> None:
        """Does not load the weights of a name where a checkpoint replaces them at once.

        Sizes that are not given, and adapters, need them.
        """
        settings = self.config[self.subcommand]
        checkpoint = settings.get("ckpt_path")
        if (
            checkpoint
            and checkpoint not in ("best", "last", "hpc", "registry")
            and not Path(checkpoint).is_file()
        ):
            raise MusicZooError(
                "There is no such checkpoint.", path=checkpoint, where="--ckpt_path"
            )
        options = settings.model.get("init_args") or {}
        name = options.get("pretrained")
        spared = checkpoint and options.get("size") is not None and options.get("lora") is None
        if spared and name in {row.name for row in list_models()}:
            options["pretrained"] = None

    def _parse_ckpt_path(self) -> None:
        """Lightning would merge the checkpoint's settings over the configuration here."""
