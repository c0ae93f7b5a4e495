"""The base of all schemas of answers: pydantic's models, from the extra ``llm``."""

from __future__ import annotations

import json
import re
from typing import TypeVar

from musiczoo.music.errors import MusicZooError

try:
    from pydantic import BaseModel, ConfigDict, ValidationError
    from pydantic import Field as Field
except ImportError as error:
    raise MusicZooError(
        "Answers of language models are checked by pydantic, which is not installed.",
        remedy='Run: pip install "musiczoo[llm]"',
    ) from error

_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


class Schema(BaseModel):
    """An answer in JSON that has these fields and no others."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


S = TypeVar("S", bound=Schema)


def parsed(text: str, schema: type[S]) -> S:
    """The answer in a text.

    Fences of Markdown and words around the first object are passed over, as many models write them.

    Args:
        text: What a model wrote.
        schema: What it must be.

    Raises:
        ValueError: It is empty, no JSON, or does not fit the schema; the message says what is wrong
            in a sentence that can be sent back to the model.
    """
    fenced = _FENCE.search(text)
    inside = (fenced[1] if fenced else text).strip()
    if not inside:
        raise ValueError("The answer is empty.")
    start = inside.find("{")
    if start < 0:
        raise ValueError("The answer holds no JSON object.")
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode(inside, start)
    except ValueError as error:
        raise ValueError(f"The answer is no valid JSON: {error}.") from None
    except RecursionError:
        raise ValueError("The JSON of the answer is nested too deeply.") from None
    try:
        return schema.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise ValueError(
            f"The answer does not fit the schema at {place}: {first['msg']}."
        ) from None


def instruction(schema: type[Schema]) -> str:
    """A sentence that asks for an answer of a schema, for models that know no schemas."""
    return (
        "Answer with one JSON object of this JSON schema and nothing else:\n"
        f"{json.dumps(schema.model_json_schema(), ensure_ascii=False)}"
    )
