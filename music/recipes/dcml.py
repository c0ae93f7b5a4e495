"""The corpora of the Digital and Cognitive Musicology Lab (Distant Listening Corpus)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from musiczoo.music.recipes.composers import period_of
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.twins import one_of_each

CORPORA: dict[str, tuple[str, str]] = {
    "ABC": ("Beethoven, Ludwig van", "Chamber"),
    "bach_en_fr_suites": ("Bach, Johann Sebastian", "Keyboard"),
    "bach_solo": ("Bach, Johann Sebastian", "Chamber"),
    "bartok_bagatelles": ("Bartok, Bela", "Keyboard"),
    "beethoven_piano_sonatas": ("Beethoven, Ludwig van", "Keyboard"),
    "c_schumann_lieder": ("Schumann, Clara", "Art Song"),
    "chopin_mazurkas": ("Chopin, Frederic", "Keyboard"),
    "corelli": ("Corelli, Arcangelo", "Chamber"),
    "couperin_clavecin": ("Couperin, Francois", "Keyboard"),
    "couperin_concerts": ("Couperin, Francois", "Chamber"),
    "cpe_bach_keyboard": ("Bach, Carl Philipp Emanuel", "Keyboard"),
    "debussy_piano": ("Debussy, Claude", "Keyboard"),
    "debussy_suite_bergamasque": ("Debussy, Claude", "Keyboard"),
    "dvorak_silhouettes": ("Dvorak, Antonin", "Keyboard"),
    "frescobaldi_fiori_musicali": ("Frescobaldi, Girolamo", "Keyboard"),
    "grieg_lyric_pieces": ("Grieg, Edvard", "Keyboard"),
    "grieg_lyrical_pieces": ("Grieg, Edvard", "Keyboard"),
    "handel_keyboard": ("Handel, George Frideric", "Keyboard"),
    "hensel_lieder": ("Hensel, Fanny", "Art Song"),
    "jc_bach_sonatas": ("Bach, Johann Christian", "Keyboard"),
    "kleine_geistliche_konzerte": ("Schutz, Heinrich", "Choral"),
    "kozeluh_sonatas": ("Kozeluch, Leopold", "Keyboard"),
    "liszt_pelerinage": ("Liszt, Franz", "Keyboard"),
    "mahler_kindertotenlieder": ("Mahler, Gustav", "Art Song"),
    "medtner_tales": ("Medtner, Nikolay", "Keyboard"),
    "mendelssohn_quartets": ("Mendelssohn, Felix", "Chamber"),
    "mozart_piano_sonatas": ("Mozart, Wolfgang Amadeus", "Keyboard"),
    "pergolesi_stabat_mater": ("Pergolesi, Giovanni Battista", "Vocal-Orchestral"),
    "peri_euridice": ("Peri, Jacopo", "Vocal-Orchestral"),
    "pleyel_quartets": ("Pleyel, Ignaz", "Chamber"),
    "poulenc_mouvements_perpetuels": ("Poulenc, Francis", "Keyboard"),
    "rachmaninoff_piano": ("Rachmaninoff, Sergei", "Keyboard"),
    "ravel_piano": ("Ravel, Maurice", "Keyboard"),
    "scarlatti_sonatas": ("Scarlatti, Domenico", "Keyboard"),
    "schubert_dances": ("Schubert, Franz", "Keyboard"),
    "schubert_winterreise": ("Schubert, Franz", "Art Song"),
    "schulhoff_suite_dansante_en_jazz": ("Schulhoff, Erwin", "Keyboard"),
    "schumann_kinderszenen": ("Schumann, Robert", "Keyboard"),
    "schumann_liederkreis": ("Schumann, Robert", "Art Song"),
    "sweelinck_keyboard": ("Sweelinck, Jan Pieterszoon", "Keyboard"),
    "tchaikovsky_seasons": ("Tchaikovsky, Pyotr", "Keyboard"),
    "wagner_overtures": ("Wagner, Richard", "Orchestral"),
    "wf_bach_sonatas": ("Bach, Wilhelm Friedemann", "Keyboard"),
}
"""Folder of the repository -> composer and instrumentation.

The composer column of ``metadata.tsv`` is empty or abbreviated in "
"many rows."""

_REVIEWED = "_reviewed"


def _corpus_of(root: Path, path: str) -> str | None:
    """The repository that a file belongs to: a folder above it, or the corpus's own folder."""
    return next(
        (
            part
            for part in reversed((root.resolve().name, *PurePosixPath(path).parts[:-1]))
            if _known(part)
        ),
        None,
    )


def _known(folder: str) -> str | None:
    name = folder.removesuffix("-main")  # as in GitHub's ZIP archives
    return name if name in CORPORA else None


def _recognise(root: Path) -> bool:
    folders = [root, *(path for path in root.iterdir() if path.is_dir())]
    return any(_known(folder.resolve().name) and (folder / "MS3").is_dir() for folder in folders)


def _plan(root: Path, files: Sequence[str]) -> Plan:
    def label(path: str, abc: str) -> Labels | None:
        folder = _corpus_of(root, path)
        if folder is None:
            return None
        composer, instrumentation = CORPORA[folder.removesuffix("-main")]
        period = period_of(composer)
        return Labels(period, composer, instrumentation) if period else None

    def score(path: PurePosixPath) -> tuple[str | None, str]:
        return _corpus_of(root, str(path)), path.stem.removesuffix(_REVIEWED)

    return Plan(one_of_each(files, score), label)


DCML = Recipe(
    name="dcml",
    title=(
        "DCML corpora (Distant Listening Corpus): annotated scores from the sixteenth to the"
        " twentieth century"
    ),
    publisher="https://github.com/DCMLab/distant_listening_corpus",
    licence="CC BY-NC-SA 4.0 (Digital and Cognitive Musicology Lab, EPFL).",
    restricted=True,
    layout=(
        "<corpus>/MS3/<piece>.mscx with metadata.tsv beside; one such <corpus> will do. The scores"
        " are in MuseScore's format alone: export them to MusicXML anywhere inside <corpus> and"
        " keep the name of the piece."
    ),
    labels="Composer and instrumentation by the name of <corpus>.",
    duplicates=(
        "Of several exports of a piece one is read; reviewed copies (<piece>_reviewed) count as the"
        " piece."
    ),
    recognise=_recognise,
    plan=_plan,
)
