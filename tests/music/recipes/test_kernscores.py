from __future__ import annotations

from musiczoo.music.recipes.labels import Labels

MAZURKA = """!!!COM: Chopin, Frederic
!!!CDT: 1810///-1849///
!!!OTL: Mazurka
**kern	**kern	**dynam
*staff2	*staff1	*staff1/2
*Ipiano	*Ipiano	*Ipiano
*clefF4	*clefG2	*
*M3/4	*M3/4	*
=1	=1	=1
4C	4c	p
4E	4e	.
4G	4g	.
==	==	==
*-	*-	*-
"""
QUARTET = """!!!COM: Vanhal, Johann Nepomuk
!!!CDT: 1739/5/12/-1813/8/20/
**kern	**kern	**kern	**kern
*Icello	*Iviola	*Ivioln	*Ivioln
*M4/4	*M4/4	*M4/4	*M4/4
=1	=1	=1	=1
1C	1G	1e	1cc
==	==	==	==
*-	*-	*-	*-
"""
SONG = """!!!COM: Schubert, Franz
**kern	**kern	**text	**text
*Ipiano	*Isoprn	*Isoprn	*Isoprn
*M2/4	*M2/4	*	*
=1	=1	=1	=1
2C	4c	la	le
.	4g	la	le
==	==	==	==
*-	*-	*-	*-
"""


def test_records_spines_and_folders(root, score, load):
    files = {
        "users/craig/classical/chopin/mazurka/mazurka06-1.krn": MAZURKA,
        "musedata/chopin/copy.krn": MAZURKA,
        "musedata/vanhal/quartet.krn": QUARTET,
        "musedata/schubert/song.krn": SONG,
        "users/craig/classical/bach/371chorales/chor001.krn": "!!!COM: Bach, Johann Sebastian\n**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n==\n*-\n",
        "osu/unknown.krn": "!!!COM: Anonymous\n**kern\n*M4/4\n=1\n4c\n4d\n4e\n4g\n==\n*-\n",
        "jrp/josquin.krn": "!!!COM: Josquin des Prez\n!!!CDT: 1450/-1521/\n**kern\n*Ivox\n=1\n4c\n4d\n4e\n4a\n==\n*-\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    score("musedata/other.mid")
    corpus = load("kernscores")
    assert {work.path.rpartition("/")[2]: work.labels for work in corpus} == {
        "copy.krn": Labels("Romantic", "Chopin, Frederic", "Keyboard"),
        "quartet.krn": Labels("Classical", "Vanhal, Johann Nepomuk", "Chamber"),
        "song.krn": Labels("Romantic", "Schubert, Franz", "Art Song"),
        "chor001.krn": Labels("Baroque", "Bach, Johann Sebastian", "Choral"),
        "unknown.krn": None,
        "josquin.krn": None,
    }
    why = {skipped.path: skipped.reason for skipped in corpus.left_out}
    assert why == {
        "users/craig/classical/chopin/mazurka/mazurka06-1.krn": "the same content as musedata/chopin/copy.krn",
        "musedata/other.mid": "no Humdrum score",
    }
