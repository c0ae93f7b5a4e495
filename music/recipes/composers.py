"""Composers as IMSLP writes them, and the period that NotaGen's prompts count them to.

NotaGen (Wang et al. 2025, arXiv 2502.18008, section 3.3) knows three periods by years: Baroque from
the 1600s to the 1750s, Classical to the 1810s, Romantic to the 1950s. A composer belongs to the
period that holds the middle of the working life, from the twentieth birthday to death; where two
periods meet in one decade the middle of that decade parts them. The paper's own table is not
public, so single composers at the borders may stand elsewhere there.
"""

from __future__ import annotations

import re
from functools import cache

from unidecode import unidecode

_FIRST_WORK = 20
_PERIODS = (("Baroque", 1600, 1755), ("Classical", 1755, 1815), ("Romantic", 1815, 1960))
_PARTICLES = frozenset(
    {"van", "von", "de", "di", "da", "del", "du", "d", "der", "la", "le", "zu", "jr", "sr"}
)
# Family names that, without a first name, stand for one composer; others have too many bearers.
# fmt: off
_FAMILY_NAME_ALONE = frozenset({
    "albeniz", "albinoni", "bartok", "beethoven", "berlioz", "bizet", "boccherini", "borodin",
    "brahms", "bruckner", "buxtehude", "chopin", "clementi", "corelli", "czerny", "debussy",
    "donizetti", "dvorak", "elgar", "faure", "frescobaldi", "gershwin", "gesualdo", "glinka",
    "gounod", "granados", "grieg", "handel", "haendel", "janacek", "joplin", "liszt", "lully",
    "mahler", "medtner", "mendelssohn", "monteverdi", "mozart", "mussorgsky", "offenbach",
    "pachelbel", "paganini", "palestrina", "pergolesi", "poulenc", "prokofiev", "puccini",
    "purcell", "rachmaninoff", "rachmaninov", "rameau", "ravel", "respighi", "rossini", "satie",
    "schoenberg", "schubert", "scriabin", "shostakovich", "sibelius", "smetana", "stravinsky",
    "sweelinck", "tchaikovsky", "telemann", "verdi", "vivaldi", "wagner",
})
# fmt: on

COMPOSERS: dict[str, tuple[int, int]] = {
    "Albeniz, Isaac": (1860, 1909),
    "Albinoni, Tomaso": (1671, 1751),
    "Alkan, Charles-Valentin": (1813, 1888),
    "Arensky, Anton": (1861, 1906),
    "Arriaga, Juan Crisostomo de": (1806, 1826),
    "Bach, Carl Philipp Emanuel": (1714, 1788),
    "Bach, Johann Christian": (1735, 1782),
    "Bach, Johann Sebastian": (1685, 1750),
    "Bach, Wilhelm Friedemann": (1710, 1784),
    "Balakirev, Mily": (1837, 1910),
    "Barber, Samuel": (1910, 1981),
    "Bartok, Bela": (1881, 1945),
    "Beach, Amy Marcy": (1867, 1944),
    "Beethoven, Ludwig van": (1770, 1827),
    "Bellini, Vincenzo": (1801, 1835),
    "Berg, Alban": (1885, 1935),
    "Berlioz, Hector": (1803, 1869),
    "Bizet, Georges": (1838, 1875),
    "Boccherini, Luigi": (1743, 1805),
    "Borodin, Aleksandr": (1833, 1887),
    "Boulanger, Lili": (1893, 1918),
    "Brahms, Johannes": (1833, 1897),
    "Bruch, Max": (1838, 1920),
    "Bruckner, Anton": (1824, 1896),
    "Burgmuller, Friedrich": (1806, 1874),
    "Busoni, Ferruccio": (1866, 1924),
    "Buxtehude, Dietrich": (1637, 1707),
    "Byrd, William": (1540, 1623),
    "Chabrier, Emmanuel": (1841, 1894),
    "Chaminade, Cecile": (1857, 1944),
    "Charpentier, Marc-Antoine": (1643, 1704),
    "Chausson, Ernest": (1855, 1899),
    "Cherubini, Luigi": (1760, 1842),
    "Chopin, Frederic": (1810, 1849),
    "Clementi, Muzio": (1752, 1832),
    "Corelli, Arcangelo": (1653, 1713),
    "Couperin, Francois": (1668, 1733),
    "Czerny, Carl": (1791, 1857),
    "Debussy, Claude": (1862, 1918),
    "Delibes, Leo": (1836, 1891),
    "Delius, Frederick": (1862, 1934),
    "Diabelli, Anton": (1781, 1858),
    "Donizetti, Gaetano": (1797, 1848),
    "Dowland, John": (1563, 1626),
    "Dukas, Paul": (1865, 1935),
    "Dussek, Jan Ladislav": (1760, 1812),
    "Dvorak, Antonin": (1841, 1904),
    "Elgar, Edward": (1857, 1934),
    "Falla, Manuel de": (1876, 1946),
    "Farrenc, Louise": (1804, 1875),
    "Faure, Gabriel": (1845, 1924),
    "Field, John": (1782, 1837),
    "Franck, Cesar": (1822, 1890),
    "Franz, Robert": (1815, 1892),
    "Frescobaldi, Girolamo": (1583, 1643),
    "Gershwin, George": (1898, 1937),
    "Gesualdo, Carlo": (1566, 1613),
    "Gibbons, Orlando": (1583, 1625),
    "Glazunov, Aleksandr": (1865, 1936),
    "Glinka, Mikhail": (1804, 1857),
    "Gluck, Christoph Willibald": (1714, 1787),
    "Gounod, Charles": (1818, 1893),
    "Granados, Enrique": (1867, 1916),
    "Grieg, Edvard": (1843, 1907),
    "Handel, George Frideric": (1685, 1759),
    "Haydn, Joseph": (1732, 1809),
    "Haydn, Michael": (1737, 1806),
    "Hensel, Fanny": (1805, 1847),
    "Holst, Gustav": (1874, 1934),
    "Hummel, Johann Nepomuk": (1778, 1837),
    "Humperdinck, Engelbert": (1854, 1921),
    "Indy, Vincent d'": (1851, 1931),
    "Ives, Charles": (1874, 1954),
    "Janacek, Leos": (1854, 1928),
    "Joplin, Scott": (1868, 1917),
    "Josquin Desprez": (1450, 1521),
    "Kabalevsky, Dmitry": (1904, 1987),
    "Khachaturian, Aram": (1903, 1978),
    "Kozeluch, Leopold": (1747, 1818),
    "Kuhlau, Friedrich": (1786, 1832),
    "Lang, Josephine": (1815, 1880),
    "Lasso, Orlando di": (1532, 1594),
    "Liszt, Franz": (1811, 1886),
    "Loewe, Carl": (1796, 1869),
    "Lully, Jean-Baptiste": (1632, 1687),
    "Lyadov, Anatoly": (1855, 1914),
    "MacDowell, Edward": (1860, 1908),
    "Mahler, Gustav": (1860, 1911),
    "Marais, Marin": (1656, 1728),
    "Marcello, Benedetto": (1686, 1739),
    "Massenet, Jules": (1842, 1912),
    "Mayer, Emilie": (1812, 1883),
    "Medtner, Nikolay": (1880, 1951),
    "Mendelssohn, Felix": (1809, 1847),
    "Meyerbeer, Giacomo": (1791, 1864),
    "Milhaud, Darius": (1892, 1974),
    "Monteverdi, Claudio": (1567, 1643),
    "Moscheles, Ignaz": (1794, 1870),
    "Moszkowski, Moritz": (1854, 1925),
    "Mozart, Wolfgang Amadeus": (1756, 1791),
    "Mussorgsky, Modest": (1839, 1881),
    "Nielsen, Carl": (1865, 1931),
    "Offenbach, Jacques": (1819, 1880),
    "Pachelbel, Johann": (1653, 1706),
    "Paganini, Niccolo": (1782, 1840),
    "Palestrina, Giovanni Pierluigi da": (1525, 1594),
    "Paradis, Maria Theresia von": (1759, 1824),
    "Pergolesi, Giovanni Battista": (1710, 1736),
    "Peri, Jacopo": (1561, 1633),
    "Pleyel, Ignaz": (1757, 1831),
    "Poulenc, Francis": (1899, 1963),
    "Praetorius, Michael": (1571, 1621),
    "Prokofiev, Sergey": (1891, 1953),
    "Puccini, Giacomo": (1858, 1924),
    "Purcell, Henry": (1659, 1695),
    "Rachmaninoff, Sergei": (1873, 1943),
    "Raff, Joachim": (1822, 1882),
    "Rameau, Jean-Philippe": (1683, 1764),
    "Ravel, Maurice": (1875, 1937),
    "Reger, Max": (1873, 1916),
    "Reicha, Anton": (1770, 1836),
    "Reichardt, Louise": (1779, 1826),
    "Respighi, Ottorino": (1879, 1936),
    "Rheinberger, Josef Gabriel": (1839, 1901),
    "Rimsky-Korsakov, Nikolay": (1844, 1908),
    "Rossini, Gioacchino": (1792, 1868),
    "Rubinstein, Anton": (1829, 1894),
    "Saint-Georges, Joseph Bologne": (1745, 1799),
    "Saint-Saens, Camille": (1835, 1921),
    "Salieri, Antonio": (1750, 1825),
    "Satie, Erik": (1866, 1925),
    "Scarlatti, Alessandro": (1660, 1725),
    "Scarlatti, Domenico": (1685, 1757),
    "Schoenberg, Arnold": (1874, 1951),
    "Schubert, Franz": (1797, 1828),
    "Schulhoff, Erwin": (1894, 1942),
    "Schumann, Clara": (1819, 1896),
    "Schumann, Robert": (1810, 1856),
    "Schutz, Heinrich": (1585, 1672),
    "Scriabin, Aleksandr": (1872, 1915),
    "Shostakovich, Dmitry": (1906, 1975),
    "Sibelius, Jean": (1865, 1957),
    "Smetana, Bedrich": (1824, 1884),
    "Spohr, Louis": (1784, 1859),
    "Stamitz, Carl Philipp": (1745, 1801),
    "Strauss, Richard": (1864, 1949),
    "Strauss Jr., Johann": (1825, 1899),
    "Strauss Sr., Johann": (1804, 1849),
    "Stravinsky, Igor": (1882, 1971),
    "Sullivan, Arthur": (1842, 1900),
    "Sweelinck, Jan Pieterszoon": (1562, 1621),
    "Szymanowski, Karol": (1882, 1937),
    "Tallis, Thomas": (1505, 1585),
    "Tchaikovsky, Pyotr": (1840, 1893),
    "Telemann, Georg Philipp": (1681, 1767),
    "Vanhal, Johann Baptist": (1739, 1813),
    "Vaughan Williams, Ralph": (1872, 1958),
    "Verdi, Giuseppe": (1813, 1901),
    "Victoria, Tomas Luis de": (1548, 1611),
    "Vivaldi, Antonio": (1678, 1741),
    "Wagner, Richard": (1813, 1883),
    "Weber, Carl Maria von": (1786, 1826),
    "Webern, Anton": (1883, 1945),
    "Wieniawski, Henri": (1835, 1880),
    "Wolf, Hugo": (1860, 1903),
    "Zumsteeg, Johann Rudolf": (1760, 1802),
}
"""Name as on IMSLP, in ASCII -> years of birth and death."""

_OTHER_SPELLINGS = {
    "Chopin, Fryderyk Franciszek": "Chopin, Frederic",
    "Chopin, Frederic Francois": "Chopin, Frederic",
    "Beach, Amy": "Beach, Amy Marcy",
    "Borodin, Alexander": "Borodin, Aleksandr",
    "Debussy, Claude Achille": "Debussy, Claude",
    "Dvorak, Antonin Leopold": "Dvorak, Antonin",
    "Faure, Gabriel Urbain": "Faure, Gabriel",
    "Glazunov, Alexander": "Glazunov, Aleksandr",
    "Granados y Campina, Enrique": "Granados, Enrique",
    "Grieg, Edvard Hagerup": "Grieg, Edvard",
    "Haendel, Georg Friedrich": "Handel, George Frideric",
    "Handel, Georg Friedrich": "Handel, George Frideric",
    "Handel, George Frederick": "Handel, George Frideric",
    "Haydn, Franz Joseph": "Haydn, Joseph",
    "Hensel, Fanny Mendelssohn": "Hensel, Fanny",
    "Desprez, Josquin": "Josquin Desprez",
    "Josquin des Prez": "Josquin Desprez",
    "Kozeluh, Leopold": "Kozeluch, Leopold",
    "Liadov, Anatoly": "Lyadov, Anatoly",
    "Medtner, Nikolai Karlovich": "Medtner, Nikolay",
    "Mendelssohn Bartholdy, Jakob Ludwig Felix": "Mendelssohn, Felix",
    "Musorgskij, Modest": "Mussorgsky, Modest",
    "Mussorgsky, Modest Petrovich": "Mussorgsky, Modest",
    "Palestrina, Giovanni Perluigi da": "Palestrina, Giovanni Pierluigi da",
    "Prokofiev, Sergei Sergeyevich": "Prokofiev, Sergey",
    "Rachmaninov, Sergei Vasilievich": "Rachmaninoff, Sergei",
    "Rachmaninoff, Sergei Vasilievich": "Rachmaninoff, Sergei",
    "Rachmaninoff, Sergey": "Rachmaninoff, Sergei",
    "Ravel, Joseph Maurice": "Ravel, Maurice",
    "Rimsky-Korsakov, Nikolai": "Rimsky-Korsakov, Nikolay",
    "Rossini, Gioachino": "Rossini, Gioacchino",
    "Satie, Erik Alfred Leslie": "Satie, Erik",
    "Schubert, Franz Peter": "Schubert, Franz",
    "Schuetz, Heinrich": "Schutz, Heinrich",
    "Schumann, Clara Wieck": "Schumann, Clara",
    "Scriabin, Alexander": "Scriabin, Aleksandr",
    "Shostakovich, Dmitri Dmitriyevich": "Shostakovich, Dmitry",
    "Tchaikovsky, Pyotr Ilyich": "Tchaikovsky, Pyotr",
    "Tchaikovsky, Peter Ilyich": "Tchaikovsky, Pyotr",
    "Tchaikovsky, Piotr Ilich": "Tchaikovsky, Pyotr",
    "Verdi, Giuseppe Fortunino Francesco": "Verdi, Giuseppe",
    "Wagner, Wilhelm Richard": "Wagner, Richard",
}


def period_of_years(born: int, died: int) -> str | None:
    """The period of a composer who lived in these years; None before 1600 and after the 1950s.

    >>> period_of_years(1770, 1827)
    'Classical'
    """
    middle = (min(born + _FIRST_WORK, died) + died) / 2
    return next((name for name, first, end in _PERIODS if first <= middle < end), None)


def period_of(composer: str) -> str | None:
    """The period of one of :data:`COMPOSERS`.

    None for others, and for those outside the three periods.
    """
    years = COMPOSERS.get(composer)
    return None if years is None else period_of_years(*years)


def as_imslp(name: str) -> str | None:
    """The name of a well-known composer as IMSLP writes it, in ASCII.

    All words of the name must be names of the composer (initials will do), the family name among
    them, and it must fit one composer alone: "L. van Beethoven" and "Mozart" are known, "Bach",
    "Johann Strauss" and "Franz" are not.

    Args:
        name: ``"First Last"`` or ``"Last, First"``, with years in brackets or without.
    """
    if ascii_name(name) in COMPOSERS:
        return ascii_name(name)
    words = _names(re.sub(r"\([^)]*\d[^)]*\)?", " ", name))
    if len(words) < 2 and not _FAMILY_NAME_ALONE.issuperset(words):
        return None
    found = {composer for family, given, composer in _known() if _fits(words, family, given)}
    return found.pop() if len(found) == 1 else None


def ascii_name(name: str) -> str:
    """A name in ASCII, with single blanks."""
    return " ".join(unidecode(name).split())


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", unidecode(name).lower())


@cache
def _known() -> list[tuple[list[str], list[str], str]]:
    """Family names, first names, and whose they are."""
    rows = []
    for name, composer in {**{name: name for name in COMPOSERS}, **_OTHER_SPELLINGS}.items():
        family, _, given = name.partition(",")
        rows.append((_names(family), _names(given), composer))
    return rows


def _names(text: str) -> list[str]:
    return [word for word in _words(text) if word not in _PARTICLES]


def _fits(words: list[str], family: list[str], given: list[str]) -> bool:
    left = list(words)
    for word in family:
        if word not in left:
            return False
        left.remove(word)
    names = list(given)
    for word in left:
        match = next(
            (one for one in names if one == word or (len(word) == 1 and one.startswith(word))), None
        )
        if match is None:
            return False
        names.remove(match)
    return True
