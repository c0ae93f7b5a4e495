"""Any OpenAI-compatible endpoint as a writer: OpenAI's own, vLLM, llama.cpp, Ollama and others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from musiczoo.llm.pacing import Pace, wait_before
from musiczoo.llm.schema import Schema, instruction
from musiczoo.llm.writer import CheckedWriter, Completion, Message, NoAnswer
from musiczoo.music.errors import MusicZooError

AnswerFormat = Literal["json_schema", "json_object", "text"]
_NO_KEY = "none"  # servers of one's own take any


@dataclass(frozen=True)
class EndpointSettings:
    """An endpoint and how it is used.

    Attributes:
        model: Name of the model.
        base_url: Such as ``"http://localhost:8000/v1"``; None for OpenAI's.
        key_variable: The environment variable with the key. It is never written to a file. With a
            ``base_url`` it may be unset.
        answer_format: How the schema is asked for: ``"json_schema"`` (the server enforces it),
            ``"json_object"`` or ``"text"`` (the schema stands in the messages alone).
        temperature: 0 gives the most probable answer (MIDI-LLaMA, section 2.1: "We further set the
            temperature to 0").
        max_tokens: Of an answer.
        timeout: Seconds for a request.
        attempts: Requests for one answer, at most, after errors of network or server.
        concurrency: Requests at a time.
        requests_a_minute: At most; None for no limit.
        prices: Of a million tokens of requests, and of answers.
        most_cost: No request is sent any more when this was spent; None for no limit.
    """

    model: str
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    answer_format: AnswerFormat = "json_schema"
    temperature: float = 0.0
    max_tokens: int = 2048
    timeout: float = 60.0
    attempts: int = 4
    concurrency: int = 4
    requests_a_minute: float | None = None
    prices: tuple[float, float] = (0.0, 0.0)
    most_cost: float | None = None


class Endpoint(CheckedWriter):
    """A writer that asks an endpoint by the chat completions of OpenAI's API.

    Args:
        settings: The endpoint.
        cache: Folder of kept answers; None keeps nothing.
        sleep: Waits seconds between attempts.

    Raises:
        MusicZooError: The client is not installed, or the key is missing.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        cache: str | Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            settings.model,
            cache=cache,
            concurrency=settings.concurrency,
            prices=settings.prices,
        )
        if settings.timeout <= 0 or settings.attempts < 1 or settings.max_tokens < 1:
            raise MusicZooError("Timeout, attempts and tokens of an endpoint must be positive.")
        self.settings = settings
        self._sleep = sleep
        self._pace = Pace(settings.requests_a_minute, sleep=sleep)
        self._free = threading.Semaphore(settings.concurrency)
        self._openai = _library()
        self._client = self._openai.OpenAI(
            base_url=settings.base_url,
            api_key=_key(settings),
            timeout=settings.timeout,
            max_retries=0,  # they are counted here
        )

    def request(self, messages: Sequence[Message], schema: type[Schema]) -> dict[str, Any]:
        """All that an answer depends on, as plain JSON values; the key is none of it."""
        settings = self.settings
        return super().request(messages, schema) | {
            "base_url": settings.base_url,
            "answer_format": settings.answer_format,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }

    def complete(self, messages: Sequence[Message], schema: type[Schema]) -> Completion:
        """What the endpoint writes after messages.

        Raises:
            NoAnswer: It does not answer, or refuses this request.
            MusicZooError: A wrong address, key or model, or the money is spent.
        """
        self._check_cost()
        for attempt in range(self.settings.attempts):
            try:
                with self._free:
                    self._pace.wait()
                    return self._sent(messages, schema)
            except (self._openai.APIError, ValueError) as error:  # the latter: no JSON
                headers = self._worth_another(error)
                if attempt + 1 == self.settings.attempts:
                    raise NoAnswer(
                        f"The endpoint does not answer ({_words(error)}).",
                        where=self._place,
                        remedy="Check that it runs, raise --timeout, or lower --concurrency.",
                    ) from error
                self._count(retries=1)
                self._sleep(wait_before(attempt, headers))
        raise AssertionError("the last attempt returns or raises")

    def _sent(self, messages: Sequence[Message], schema: type[Schema]) -> Completion:
        settings = self.settings
        form = _form(settings.answer_format, schema)
        turns = [dict(message) for message in messages]
        if settings.answer_format != "json_schema":
            turns[-1]["content"] += f"\n\n{instruction(schema)}"
        answer = self._client.chat.completions.create(
            model=settings.model,
            messages=turns,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            **form,
        )
        choices = getattr(answer, "choices", None) or []
        text = getattr(choices[0].message, "content", None) if choices else None
        usage = getattr(answer, "usage", None)
        return Completion(
            text or "",
            getattr(usage, "prompt_tokens", 0) or 0,
            getattr(usage, "completion_tokens", 0) or 0,
        )

    def _worth_another(self, error: Any) -> Mapping[str, str] | None:
        """The headers of an answer after which the request may be sent again.

        Raises:
            MusicZooError: It is useless to send it again.
        """
        openai = self._openai
        if not isinstance(error, openai.APIStatusError):
            return None  # a timeout, a lost connection, or an answer that is no JSON
        status = error.status_code
        if status in (408, 409, 429) or status >= 500:
            headers: Mapping[str, str] = error.response.headers
            return headers
        if status in (401, 402, 403, 404, 405):
            raise MusicZooError(
                f"The endpoint refuses all requests ({_words(error)}).",
                where=self._place,
                remedy=f"Check --base-url, --model and the key in {self.settings.key_variable}.",
            ) from error
        raise NoAnswer(
            f"The endpoint refuses the request ({_words(error)}).",
            where=self._place,
            remedy="If it knows no schemas, give --answer-format json_object or text.",
        ) from error

    def _check_cost(self) -> None:
        most = self.settings.most_cost
        if most is not None and self.usage.cost >= most:
            raise MusicZooError(
                f"{self.usage.cost:.2f} were spent, and no more than {most:.2f} may be.",
                where="--most-cost",
                remedy="What was answered is kept; raise it and run the command again.",
            )

    @property
    def _place(self) -> str:
        return f"{self.settings.model} at {self.settings.base_url or 'OpenAI'}"


def _library() -> Any:
    try:
        import openai
    except ImportError as error:
        raise MusicZooError(
            "Endpoints are asked by the package openai, which is not installed.",
            remedy='Run: pip install "musiczoo[llm]"',
        ) from error
    return openai


def _key(settings: EndpointSettings) -> str:
    key = os.environ.get(settings.key_variable, "").strip()
    if not key and settings.base_url is None:
        raise MusicZooError(
            f"The environment variable {settings.key_variable} holds no key.",
            where="--key-variable",
            remedy="Set it, or name an endpoint of your own by --base-url.",
        )
    return key or _NO_KEY


def _form(answer_format: AnswerFormat, schema: type[Schema]) -> dict[str, Any]:
    if answer_format == "text":
        return {}
    if answer_format == "json_object":
        return {"response_format": {"type": "json_object"}}
    described = {"name": schema.__name__, "strict": True, "schema": schema.model_json_schema()}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _words(error: Any) -> str:
    """What went wrong in one line, without the address, which may hold a password."""
    status = getattr(error, "status_code", None)
    text = " ".join(str(getattr(error, "message", error)).split())[:200]
    return f"{status}: {text}" if status else text or type(error).__name__
