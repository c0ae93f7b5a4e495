"""What a model card states: corpora, figures, use, limits, and the licence of the weights.

Licences have the identifiers that the Hugging Face Hub knows
(https://huggingface.co/docs/hub/repositories-licenses).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from musiczoo.music.errors import MusicZooError

_ALL = (
    "afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m"
    " bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause"
    " bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0"
    " cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0"
    " cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0"
    " cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0"
    " epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl"
    " gpl gpl-2.0 gpl-3.0 h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2"
    " llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1"
    " openmdw-1.0 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib "
)
IDENTIFIERS = frozenset(_ALL.split())


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        metric: What was measured, such as ``"bits per character"``.
        value: The number.
        data: On what, such as ``"held-out works of bach-chorales"``.
        how: How, in a few words: settings, number of pieces, steps trained.
    """

    metric: str
    value: float
    data: str = "held-out works"
    how: str = ""


@dataclass(frozen=True)
class Source:
    """A corpus that the weights were trained on.

    Attributes:
        name: Of the corpus.
        licence: What is known of its terms.
        works: Number of works used; 0 when not counted.
    """

    name: str
    licence: str
    works: int = 0


@dataclass(frozen=True)
class Card:
    """What a model card states beyond what the model knows itself (sizes, provenance).

    Attributes:
        title: Name of the model.
        summary: What it is, in a line.
        load_name: The name for :func:`musiczoo.load`: ``"hf-hub:org/name"``, or that of a shipped
            model.
        licence: The Hub's identifier of the weights' licence.
        licence_name: Of a licence that is ``"other"``.
        licence_link: To the text of a licence that is ``"other"``.
        origin: Who trained the weights, and which paper and recipe were followed.
        data: The corpora.
        figures: What was measured.
        intended_use: What it is for.
        limits: What it is not for, and known weaknesses.
    """

    title: str = ""
    summary: str = ""
    load_name: str = ""
    licence: str = "unknown"
    licence_name: str = ""
    licence_link: str = ""
    origin: str = ""
    data: tuple[Source, ...] = ()
    figures: tuple[Figure, ...] = ()
    intended_use: str = ""
    limits: str = ""

    def __post_init__(self) -> None:
        check_licence(self.licence, self.licence_name, self.licence_link)
        for figure in self.figures:
            if not math.isfinite(figure.value):
                raise MusicZooError(
                    f"The figure {figure.metric!r} is {figure.value}.",
                    where="figures",
                    remedy="Give what was measured.",
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Card:
        """The card of :meth:`to_dict`.

        Raises:
            MusicZooError: An unknown entry, or a value of the wrong kind.
        """
        try:
            return cls(
                **{
                    **content,
                    "data": tuple(Source(**row) for row in content.get("data", ())),
                    "figures": tuple(Figure(**row) for row in content.get("figures", ())),
                }
            )
        except TypeError as error:
            raise MusicZooError(
                f"The card has a wrong entry ({error}).",
                remedy=f"It has {', '.join(f.name for f in fields(cls))}.",
            ) from None

    def with_figures(self, figures: Mapping[str, Any]) -> Card:
        """The card with figures added; one of the same metric and data replaces the older one.

        Args:
            figures: Metric to number, or to a table with the entries of :class:`Figure`: ``{"bits
                per character": {"value": 1.4, "data": "held-out works of ryan", "how": "4,000
                steps"}}``.

        Raises:
            MusicZooError: A value that is no number, or an unknown entry.
        """
        table = {(figure.metric, figure.data): figure for figure in self.figures}
        for metric, given in figures.items():
            row = dict(given) if isinstance(given, Mapping) else {"value": given}
            try:
                figure = Figure(**{"metric": metric, **row, "value": float(row["value"])})
            except (TypeError, ValueError, KeyError) as error:
                raise MusicZooError(
                    f"The figure {metric!r} cannot be used ({error}).",
                    where="figures",
                    remedy="Give a number, or value, data and how.",
                ) from None
            table[figure.metric, figure.data] = figure
        return replace(self, figures=tuple(table.values()))


def check_licence(identifier: str, name: str = "", link: str = "") -> str:
    """The identifier, if the Hub knows it.

    Args:
        identifier: Such as ``"cc-by-4.0"``.
        name: Of the licence, needed for ``"other"``.
        link: To its text, needed for ``"other"``.

    Raises:
        MusicZooError: An unknown identifier (the nearest are given), or ``"other"`` without a name
            and a link.
    """
    if identifier not in IDENTIFIERS:
        near = difflib.get_close_matches(
            str(identifier).strip().lower().replace(" ", "-"), sorted(IDENTIFIERS), n=3, cutoff=0.5
        )
        question = f"Did you mean {' or '.join(near)}? " if near else ""
        raise MusicZooError(
            f"The Hub knows no licence {identifier!r}.",
            where="licence",
            remedy=f"{question}Any other licence is 'other', with its name and a link to its text.",
        )
    if identifier == "other" and not (name and link):
        raise MusicZooError(
            "The licence 'other' needs a name and a link.",
            where="licence",
            remedy="Give licence_name and licence_link (a URL).",
        )
    return identifier
