"""A net of SMART's size that generates readable REMI without training.

The speed depends on the tokens: random ones are hardly ever a note, and a piece without notes is
rendered in no time. So embedding and output layer hold a table: which kind of token follows which
in a corpus, and how frequent each token of a kind is. The blocks keep their random weights and do
all of their work; their output is small beside the table.
"""

from __future__ import annotations

import argparse
import random

import torch
from torch import Tensor

from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.music.corpora.names import load_corpus
from musiczoo.representations.remi import EOS, Remi

_WORKS = 40
# The blocks of an untrained net add values of some tenths to each row.
_SCALE = 300.0
# Low enough that pairs which the corpus never has are hardly ever drawn, also after the blocks have
# added their part.
_NEVER = -12.0


def corpus_table(representation: Remi, corpus: str) -> Tensor:
    """Log-probabilities of each token (column) after each token (row), by their kinds.

    Returns:
        (vocabulary, vocabulary).
    """
    names = representation.vocabulary
    kinds = [name.partition("_")[0] for name in names]
    order = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    kind_of = torch.tensor([order[kind] for kind in kinds])
    follows = torch.zeros(len(order), len(order), dtype=torch.float64)
    counts = torch.zeros(len(names), dtype=torch.float64)
    for work in random.Random(0).sample(list(load_corpus(corpus)), _WORKS):
        ids = representation.encode(work.tune)[1:-1]
        counts += torch.bincount(ids, minlength=len(names))
        follows.index_put_(
            (kind_of[ids[:-1]], kind_of[ids[1:]]),
            torch.ones(len(ids) - 1, dtype=torch.float64),
            accumulate=True,
        )
    # Prompts hold any token of a kind; a kind that is never followed by another one is followed by
    # a bar.
    follows[follows.sum(dim=1) == 0, order["Bar"]] = 1.0
    follows /= follows.sum(dim=1, keepdim=True)
    within = torch.zeros_like(counts)
    for kind in range(len(order)):
        here = kind_of == kind
        within[here] = (counts[here] + 1) / (counts[here] + 1).sum()
    return (follows[kind_of][:, kind_of] * within).log().clamp(min=_NEVER).float()


def table_module(arguments: argparse.Namespace, end: float) -> Phi3RemiModule:
    """The net.

    Args:
        arguments: Its sizes: ``layers``, ``hidden``, ``heads``, ``intermediate``, and the
            ``corpus`` of its table.
        end: Probability of EOS after each token; 0 for never.
    """
    sizes = {
        name: getattr(arguments, name) for name in ("layers", "hidden", "heads", "intermediate")
    }
    module = Phi3RemiModule(**sizes).eval()
    table = corpus_table(module.representation, arguments.corpus)
    count, width = len(table), module.config.hidden
    if width < count:
        raise SystemExit(
            f"--hidden must be {count} at least, so that each token has a direction of its own."
        )
    # -30 is never in practice: 64 sequences of 256 tokens draw it once in half a billion runs.
    table[:, EOS] = torch.tensor(end).log().clamp(min=-30.0)
    with torch.no_grad():
        module.net.model.embed_tokens.weight.zero_()
        module.net.model.embed_tokens.weight[:, :count] = _SCALE * torch.eye(count)
        # After the last norm a row has the length of the square root of its width.
        module.net.lm_head.weight.zero_()
        module.net.lm_head.weight[:, :count] = table.t() / width**0.5
    return module
