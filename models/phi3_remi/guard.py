"""A guard that allows nothing except REMI: the order of token types and of positions in a bar."""

from __future__ import annotations

import torch
from torch import Tensor

from musiczoo.representations.remi import BOS, EOS, PAD, Remi


class RemiGrammar:
    """Masks of the tokens that may come next, for rows of sequences.

    MidiTok's graph of token types states which types may follow each other; a piece may end
    where a bar might begin. Beyond the graph, positions of a bar only go forwards and stay within
    the bar as its time signature has it, for a decoder would put a later token that goes backwards
    before an earlier one, or into the next bar.

    Args:
        representation: Of the model.
    """

    def __init__(self, representation: Remi) -> None:
        vocabulary = representation.vocabulary
        kinds = [token.partition("_")[0] for token in vocabulary]
        graph = {
            kind: set(others)
            for kind, others in representation.tokenizer.tokens_types_graph.items()
        }
        specials = {kind for kind, token in zip(kinds, vocabulary, strict=True) if kind == token}
        self.follows = torch.zeros(len(vocabulary), len(vocabulary), dtype=torch.bool)
        columns = {kind: torch.tensor([other == kind for other in kinds]) for kind in set(kinds)}
        for number, kind in enumerate(kinds):
            if kind in specials:
                # A piece, and a window of one, begins with a bar; what is meant by the other
                # specials is not known.
                self.follows[number] = columns["Bar"]
                continue
            for other in graph.get(kind, ()):
                if other in columns and other not in specials:
                    self.follows[number] |= columns[other]
            self.follows[number, EOS] = "Bar" in graph.get(kind, ())
        self.follows[PAD] = columns["Bar"]
        self.follows[BOS] = columns["Bar"]
        # What stands at each place of the vocabulary: the position, the length of a bar in
        # positions, or nothing.
        self.position = torch.tensor(
            [
                int(token[9:]) if kind == "Position" else -1
                for kind, token in zip(kinds, vocabulary, strict=True)
            ]
        )
        a_beat = representation.tokenizer.config.max_num_pos_per_beat
        # MidiTok counts positions in the beats of the time signature's lower number.
        self.bar_length = torch.tensor(
            [
                int(token[8:].partition("/")[0]) * a_beat if kind == "TimeSig" else -1
                for kind, token in zip(kinds, vocabulary, strict=True)
            ]
        )
        self.bar = torch.tensor([kind == "Bar" for kind in kinds])
        self.longest = int(self.position.max()) + 1

    def start(self, sequences: list[Tensor]) -> GrammarState:
        """The state after prompts."""
        state = GrammarState(self, len(sequences))
        for row, ids in enumerate(sequences):
            for token in ids.tolist():
                state.read(torch.tensor([row]), torch.tensor([token]))
        return state


class GrammarState:
    """Where rows of sequences stand in their bars.

    Args:
        grammar: The masks.
        rows: How many.
    """

    def __init__(self, grammar: RemiGrammar, rows: int) -> None:
        self.grammar = grammar
        self.last = torch.full((rows,), BOS)
        self.position = torch.full((rows,), -1)
        self.length = torch.full((rows,), grammar.longest)

    def read(self, rows: Tensor, tokens: Tensor) -> None:
        """One token more in each of some rows."""
        grammar = self.grammar
        self.last[rows] = tokens
        begins = grammar.bar[tokens]
        self.position[rows] = torch.where(
            begins, -1, torch.maximum(self.position[rows], grammar.position[tokens])
        )
        stated = grammar.bar_length[tokens]
        self.length[rows] = torch.where(stated > 0, stated, self.length[rows])

    def allowed(self, rows: Tensor) -> Tensor:
        """(rows, vocabulary) bool, True for tokens that may come next."""
        grammar = self.grammar
        position = grammar.position
        forwards = (position > self.position[rows].unsqueeze(1)) & (
            position < self.length[rows].unsqueeze(1)
        )
        return grammar.follows[self.last[rows]] & ((position < 0) | forwards)
