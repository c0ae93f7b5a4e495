"""The modules that a result depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from musiczoo.music import code_digest
from musiczoo.music.code_digest import digest_of_code, modules_behind


def test_names_are_followed_to_the_modules_that_define_them() -> None:
    found = modules_behind("musiczoo.music.files.writing")
    # Imported inside a function, and through packages that re-export names.
    assert {"musiczoo.music.pictures.engraving", "musiczoo.music.abc.writer"} <= found.keys()
    assert "musiczoo.music" not in found
    assert "musiczoo.music.files" not in found
    assert all(file.is_file() for file in found.values())


def test_a_package_that_defines_the_name_belongs_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "defining"
    package.mkdir()
    (package / "__init__.py").write_text("def defined(): ...\n")
    user = tmp_path / "user.py"
    user.write_text("from musiczoo.defining import defined\n")
    files = {"musiczoo.defining": package / "__init__.py", "user": user}
    monkeypatch.setattr(code_digest, "_file_of", files.get)
    assert set(modules_behind("user")) == {"user", "musiczoo.defining"}


def test_imports_for_types_alone_do_not_count() -> None:
    assert "musiczoo.music.corpora.files" not in modules_behind("musiczoo.music.corpora.rows")


def test_what_has_no_file_is_left_out() -> None:
    assert modules_behind("no.such.module", "sys") == {}


def test_modules_and_libraries_decide_the_digest() -> None:
    one = digest_of_code(["musiczoo.music.errors"])
    assert one == digest_of_code(["musiczoo.music.errors", "musiczoo.music.errors"])
    assert one != digest_of_code(["musiczoo.music.errors"], ["lxml"])
    assert one != digest_of_code(["musiczoo.music.errors", "musiczoo.music.atomic"])
