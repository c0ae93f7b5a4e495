"""Maps the top-level rooms onto the one import name ``musiczoo``.

``packages.find`` cannot add a prefix, and an explicit list silently forgets a new sub-package, so
the rooms are enumerated here; ``tests/test_wheel.py`` compares the built wheel's file list with the
tree.
"""

import os

from setuptools import find_packages, setup

NOT_SHIPPED = {"zoo", "tests", "benchmarks", "experiments"}
ROOMS = [
    room
    for room in sorted(os.listdir("."))
    if os.path.isfile(f"{room}/__init__.py") and room not in NOT_SHIPPED
]

setup(
    packages=["musiczoo"]
    + [f"musiczoo.{package}" for package in find_packages("zoo")]
    + [f"musiczoo.{room}" for room in ROOMS]
    + [f"musiczoo.{room}.{package}" for room in ROOMS for package in find_packages(room)],
    package_dir={"musiczoo": "zoo", **{f"musiczoo.{room}": room for room in ROOMS}},
)
