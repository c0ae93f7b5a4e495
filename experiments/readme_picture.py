"""The picture of the README: a chorale that bar-stream generated, engraved, beside its piano roll.

``python -m experiments.readme_picture`` writes docs/pictures/bar_stream.png.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import torch
from PIL import Image

import musiczoo
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.music import Tune, piano_roll_picture
from musiczoo.music.pictures.engraving import engrave, svg_to_png
from musiczoo.music.recipes.labels import Labels

LABELS = Labels("Baroque", "Bach, Johann Sebastian", "Choral")


def generated(seed: int) -> Tune:
    """A chorale of eight to ten bars in which all voices of a bar are equally long."""
    model = musiczoo.load("bar-stream")
    assert isinstance(model, BarStreamModule)
    [result] = model.generate(
        [LABELS],
        generator=torch.Generator().manual_seed(seed),
        guard=Guards([BarDurations(), Countdown(8, 10)]),
    )
    assert isinstance(result.piece, Tune)
    return result.piece


def cropped(picture: Image.Image, margin: int = 12) -> Image.Image:
    """The picture without its white border, except a margin."""
    inverted = picture.convert("L").point(lambda value: 255 if value < 250 else 0)
    left, top, right, bottom = inverted.getbbox() or (0, 0, *picture.size)
    inside = picture.crop((left, top, right, bottom))
    page = Image.new("RGB", (inside.width + 2 * margin, inside.height + 2 * margin), "white")
    page.paste(inside, (margin, margin))
    return page


def beside(score: Image.Image, roll: Image.Image, width: int) -> Image.Image:
    """Both pictures on a white page, at one height."""
    ratios = [picture.width / picture.height for picture in (score, roll)]
    height = round(width / sum(ratios))
    page = Image.new("RGB", (width, height), "white")
    page.paste(score.resize((round(ratios[0] * height), height)), (0, 0))
    page.paste(
        roll.resize((width - round(ratios[0] * height), height)), (round(ratios[0] * height), 0)
    )
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures/bar_stream.png"))
    options = parser.parse_args()
    piece = generated(options.seed)
    [page] = engrave(piece, one_page=True)
    score = cropped(Image.open(io.BytesIO(svg_to_png(page))).convert("RGB"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "roll.png"
        piano_roll_picture(piece, path)
        roll = cropped(Image.open(path).convert("RGB"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    # 64 colours are enough for ink and four voices, and make a small file.
    beside(score, roll, 1600).quantize(64).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
