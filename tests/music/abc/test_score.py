from musiczoo.music.abc import read_abc, score_layout, staff_count, voice_definitions


def test_score_directive():
    tune = read_abc(
        "%%score { ( 1 2 ) | 3 } [ 4 5 ]\nK:C\nV:1\nV:2\nV:3\nV:4\nV:5\nV:6\n[V:1]C|[V:2]C|[V:3]C|[V:4]C|[V:5]C|[V:6]C|\n"
    )
    layout = score_layout(tune)
    assert layout.staves == (("1", "2"), ("3",), ("4",), ("5",), ("6",))
    assert [(group.kind, group.staves) for group in layout.groups] == [
        ("{", (("1", "2"), ("3",))),
        ("[", (("4",), ("5",))),
    ]
    assert staff_count(tune) == 5


def test_without_a_directive_every_voice_has_its_staff():
    assert staff_count(read_abc("K:C\nV:1\nV:2\n[V:1]C|[V:2]C|\n")) == 2


def test_unbalanced_brackets_are_closed():
    assert score_layout(read_abc("%%score [ 1 ( 2 3\nK:C\n[V:1]C|[V:2]C|[V:3]C|\n")).staves == (
        ("1",),
        ("2", "3"),
    )


def test_voice_definitions():
    tune = read_abc(
        'K:C\nV:1 treble-8 nm="Tenor voice" snm="T."\nV:2 clef=perc transpose=-12 octave=1 name=Drum\n[V:1]C|[V:2]C|\n'
    )
    first, second = voice_definitions(tune).values()
    assert (first.clef, first.name, first.short_name, first.percussion) == (
        "treble-8",
        "Tenor voice",
        "T.",
        False,
    )
    assert (second.clef, second.name, second.transpose, second.octave, second.percussion) == (
        "perc",
        "Drum",
        -12,
        1,
        True,
    )
