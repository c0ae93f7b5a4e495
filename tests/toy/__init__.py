"""An architecture that is no part of musiczoo: a recurrent net over the letters of one voice.

It joins by the row below, and by nothing else.
"""

from musiczoo.hub import Architecture

ROW = Architecture(
    name="toy",
    module="tests.toy.module:ToyModule",
    representation={"toy_melody": "tests.toy.melody:Melody"},
    reads_published="tests.toy.published:read_published",
    writes="notation",
    usage="[new] = model.generate([{prompt}])",
    summary="a recurrent net over the letters of one voice",
)
