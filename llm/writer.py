"""What writes answers of a schema: the protocol, its counts, and what all writers share."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol

from musiczoo.llm.answer_cache import AnswerCache
from musiczoo.llm.schema import S, Schema, instruction, parsed
from musiczoo.music.errors import MusicZooError

Message = Mapping[str, str]
"""A turn of a conversation: ``{"role": "system" | "user" | "assistant", "content": text}``."""


class NoAnswer(MusicZooError):  # noqa: N818  (a sibling of MusicZooError, named after what it means)
    """A request that was not answered, while others may be: it is skipped and counted."""


@dataclass(frozen=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: The text.
        prompt_tokens: Tokens of the request, 0 where the model does not say.
        answer_tokens: Tokens of the text.
    """

    text: str
    prompt_tokens: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True)
class Answer(Generic[S]):
    """An answer that fits its schema.

    Attributes:
        value: The answer.
        cached: Whether it was asked for earlier, so that it cost nothing.
    """

    value: S
    cached: bool = False


@dataclass(frozen=True)
class Usage:
    """What a writer has done.

    Attributes:
        calls: Requests that a model completed.
        cached: Answers that were kept from earlier.
        invalid: Completions that did not fit their schema.
        retries: Requests that were sent again after an error of network or server.
        prompt_tokens: Of all requests.
        answer_tokens: Of all completions.
        cost: In the currency of the prices.
    """

    calls: int = 0
    cached: int = 0
    invalid: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float = 0.0


class Writer(Protocol):
    """What answers in JSON.

    Attributes:
        name: Of its model, which stands in the source of what it writes.
        usage: What it has done so far.
        concurrency: Requests that it takes at a time.
    """

    name: str
    concurrency: int

    @property
    def usage(self) -> Usage:
        """What it has done so far."""
        ...

    def ask(self, messages: Sequence[Message], schema: type[S]) -> Answer[S]:
        """An answer of a schema.

        Raises:
            NoAnswer: This request is not answered.
            MusicZooError: No request will be, such as with a wrong key.
        """
        ...


class CheckedWriter:
    """A writer that keeps, checks and counts the answers that :meth:`complete` gives.

    An answer that does not fit the schema is asked for again, together with what is wrong with it.

    Args:
        name: Of the model.
        cache: Folder of kept answers; None keeps nothing.
        attempts: Completions for one answer, at most.
        concurrency: Requests at a time.
        prices: Of a million tokens of requests, and of completions.
    """

    def __init__(
        self,
        name: str,
        *,
        cache: str | Path | None = None,
        attempts: int = 3,
        concurrency: int = 1,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if attempts < 1 or concurrency < 1 or min(prices) < 0:
            raise MusicZooError(
                "A writer needs one attempt and one request at a time at least, and prices of 0 or"
                " more."
            )
        self.name = name
        self.cache = AnswerCache(cache)
        self.attempts = attempts
        self.concurrency = concurrency
        self.prices = prices
        self._usage = Usage()
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        """What it has done so far."""
        return self._usage

    def complete(self, messages: Sequence[Message], schema: type[Schema]) -> Completion:
        """What the model writes after messages.

        Raises:
            NoAnswer: This request is not answered.
            MusicZooError: No request will be.
        """
        raise NotImplementedError

    def request(self, messages: Sequence[Message], schema: type[Schema]) -> dict[str, Any]:
        """All that an answer depends on, as plain JSON values."""
        return {
            "writer": self.name,
            "messages": [dict(message) for message in messages],
            "schema": schema.model_json_schema(),
        }

    def ask(self, messages: Sequence[Message], schema: type[S]) -> Answer[S]:
        """An answer of a schema.

        Args:
            messages: The conversation.
            schema: What the answer must be.

        Raises:
            NoAnswer: No completion fits the schema, or the request is not answered.
            MusicZooError: No request will be answered.
        """
        request = self.request(messages, schema)
        if (kept := self._kept(request, schema)) is not None:
            return kept
        turns = [*messages]
        reason = ""
        for _ in range(self.attempts):
            completion = self.complete(turns, schema)
            self._count_completion(completion)
            try:
                value = parsed(completion.text, schema)
            except ValueError as error:
                reason = str(error)
                self._count(invalid=1)
                turns = [*messages, *_correction(completion.text, reason, schema)]
                continue
            self.cache.put(request, value.model_dump(mode="json"))
            return Answer(value)
        raise NoAnswer(
            f"{self.name} gave no usable answer in {self.attempts} attempts. {reason}",
            remedy="Try a larger model, or another --answer-format.",
        )

    def _kept(self, request: Mapping[str, Any], schema: type[S]) -> Answer[S] | None:
        kept = self.cache.get(request)
        if kept is None:
            return None
        try:
            value = schema.model_validate(kept)
        except ValueError:  # somebody has changed the file
            return None
        self._count(cached=1)
        return Answer(value, cached=True)

    def _count_completion(self, completion: Completion) -> None:
        tokens = (completion.prompt_tokens, completion.answer_tokens)
        cost = sum(count * price for count, price in zip(tokens, self.prices, strict=True)) / 1e6
        self._count(calls=1, prompt_tokens=tokens[0], answer_tokens=tokens[1], cost=cost)

    def _count(self, **more: float) -> None:
        with self._lock:
            new = {name: getattr(self._usage, name) + value for name, value in more.items()}
            self._usage = replace(self._usage, **new)


def _correction(text: str, reason: str, schema: type[Schema]) -> list[Message]:
    return [
        {"role": "assistant", "content": text or "{}"},
        {"role": "user", "content": f"{reason} {instruction(schema)}"},
    ]
