"""The sizes of a net, written once: a frozen dataclass for Python, YAML and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Self

from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class ModelConfig:
    """Base of the configurations of all architectures.

    Attributes:
        dropouts: Fields that are no property of the weights: a model that starts from pretrained
            weights takes its sizes from these, and its dropout from the user.
    """

    dropouts: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The configuration of :meth:`to_dict`; entries that are no field are left out."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def from_settings(
        cls, config: Self | Mapping[str, Any] | None, settings: dict[str, Any]
    ) -> Self:
        """The configuration with sizes that were given one by one.

        Args:
            config: The whole, or None for the defaults.
            settings: Keywords of a module's constructor. Sizes among them win over ``config``, and
                are taken out.
        """
        names = [item.name for item in fields(cls) if item.name in settings]
        single = {name: settings.pop(name) for name in names}
        whole = cls.from_dict(config) if isinstance(config, Mapping) else config or cls()
        return replace(whole, **single) if single else whole

    def with_dropouts_of(self, other: Self) -> Self:
        """These sizes with the dropout of another configuration."""
        return replace(self, **{name: getattr(other, name) for name in self.dropouts})


class HeadsByWidth:
    """Attention heads of a net: the given number, or one for each 64 features (NotaGen's rule).

    A configuration with the fields ``hidden`` and ``heads`` derives from it.
    """

    hidden: int
    heads: int

    def __post_init__(self) -> None:
        if self.hidden % self.head_count:
            raise MusicZooError(
                f"hidden={self.hidden} is not a multiple of {self.head_count} heads.",
                remedy="Choose another width or number of heads.",
            )

    @property
    def head_count(self) -> int:
        """Attention heads."""
        return self.heads or max(1, self.hidden // 64)
