"""Completion scripts, run by the shell they are for."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from musiczoo.cli import COMMANDS, main

BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def script() -> str:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["completion", "bash"])
    return out.getvalue()


def complete(script: str, *words: str) -> set[str]:
    line = " ".join(words)
    program = f"""{script}
COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; COMP_POINT={len(line)}
compopt() {{ :; }}
$(complete -p musiczoo | sed 's/.*-F \\([^ ]*\\).*/\\1/') musiczoo {words[-1]!r} {words[-2]!r}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([str(BASH), "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.skipif(BASH is None, reason="no bash on this machine")
def test_bash_completes_commands_options_and_names(script: str) -> None:
    assert set(COMMANDS) <= complete(script, "musiczoo", "")
    assert complete(script, "musiczoo", "gen") == {"generate"}
    assert "--temperature" in complete(script, "musiczoo", "generate", "--te")
    assert "notagen-small" in complete(script, "musiczoo", "generate", "notagen-s")
    assert "--trainer.max_steps" in complete(script, "musiczoo", "fit", "--trainer.max_s")


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "cmd"])
    assert stopped.value.code == 2
    assert "bash" in capsys.readouterr().err
