"""`kijabi doctor`: what is missing, in order, and what mends it."""

from __future__ import annotations

from pathlib import Path

from kijabi.cli import doctor
from kijabi.cli.doctor import CHECKS, Check, Finding


def test_only_what_is_wrong_is_found_in_order() -> None:
    checks = (
        Check(name="a", problem=lambda: "a is missing", package="a-package"),
        Check(name="b", problem=lambda: ""),
        Check(name="c", problem=lambda: "c is off", mend="modprobe c"),
    )
    found = doctor.examine(checks)
    assert [(finding.check.name, finding.problem) for finding in found] == [("a", "a is missing"), ("c", "c is off")]
    assert found[0].check.command() == f"{doctor.APT} a-package"
    assert found[1].check.command() == "modprobe c"


def test_every_check_can_be_mended_or_says_how() -> None:
    assert [check.name for check in CHECKS if not check.package and not check.mend] == []
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_programs_are_looked_for_where_root_has_them() -> None:
    assert doctor._program("sh")() == ""
    assert doctor._program("no-such-program")() == "the program no-such-program is not installed"
    assert doctor._one_of("no-such-program", "sh")() == ""
    assert doctor._one_of("no-such", "neither")() == "none of no-such, neither is installed"


def test_install_mends_and_looks_again(tmp_path: Path) -> None:
    """A mend is any command that doctor may run by itself; what still is wrong afterwards is given back."""
    file = tmp_path / "mended"
    mends = Check(name="file", problem=lambda: "" if file.exists() else "no file", mend=f"modprobe -V && touch {file}")
    stays = Check(name="root", problem=lambda: "not root", mend="sudo -i")
    said: list[str] = []
    left = doctor.install([Finding(mends, "no file"), Finding(stays, "not root")], said.append)
    assert [finding.check.name for finding in left] in (["root"], ["file", "root"])  # the latter without modprobe
    assert said == [f"$ modprobe -V && touch {file}"]
