"""The commands of ``musiczoo``, one file each, and the table of them.

A command's module is imported when the command is called.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: ``"module:function"``; the function takes the words after the command's name.
        summary: What it does, in a few words.
        example: A call as a user would write it.
    """

    run: str
    summary: str
    example: str


COMMANDS = {
    "list": Command("musiczoo.commands.list:run", "show the models", "musiczoo list"),
    "corpus": Command(
        "musiczoo.commands.corpus:run",
        "read a folder of music, name it, show it",
        "musiczoo corpus prepare my_scores --as mine",
    ),
    "fit": Command(
        "musiczoo.commands.fit:fit",
        "train or fine-tune a model",
        "musiczoo fit --config bar_stream/finetune --data.corpus my_scores",
    ),
    "validate": Command(
        "musiczoo.commands.fit:validate",
        "measure a model's loss",
        "musiczoo validate --config run/config.yaml --ckpt_path run/last.ckpt",
    ),
    "stages": Command(
        "musiczoo.commands.stages:run",
        "train in several stages, by a plan; run again, it continues",
        "musiczoo stages bar_stream/notagen_plan --folder runs/notagen",
    ),
    "generate": Command(
        "musiczoo.commands.generate:run",
        "generate new pieces",
        "musiczoo generate bar-stream --align --count 4",
    ),
    "continue": Command(
        "musiczoo.commands.continue_score:run",
        "continue a score",
        "musiczoo continue bar-stream my_score.musicxml --bars 4",
    ),
    "ask": Command(
        "musiczoo.commands.ask:run",
        "ask questions about a piece",
        'musiczoo ask my_piece.mid "Is it in major or minor?"',
    ),
    "publish": Command(
        "musiczoo.commands.publish:publish",
        "put a model on the Hugging Face Hub",
        "musiczoo publish run name/my-model --licence mit",
    ),
    "card": Command(
        "musiczoo.commands.card:run",
        "measure pieces beside real music, or show a model card",
        "musiczoo card out --truth bach-chorales --encoder m3-small",
    ),
    "compare": Command(
        "musiczoo.commands.compare:run",
        "compare models on the same prompts",
        "musiczoo compare phi3-remi runs/smart --prompts 1000 --reward mel",
    ),
    "study": Command(
        "musiczoo.commands.study:run",
        "blinded listening sheets, and the statistics of their answers",
        "musiczoo study analyse my_study/key.json my_answers --output my_study/results",
    ),
    "qa": Command(
        "musiczoo.commands.qa:run",
        "questions and answers: mine tags from texts, make a set, audit it",
        "musiczoo qa audit mined.jsonl --output audit",
    ),
    "completion": Command(
        "musiczoo.commands.completion:run",
        "print the completion script of a shell",
        'eval "$(musiczoo completion bash)"',
    ),
}
