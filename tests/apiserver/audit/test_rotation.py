"""Full logs are put away under lumberjack's names, and tidied by number and age."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kijabi.apiserver.audit import rotation
from kijabi.apiserver.audit.rotation import Limits, RotatingFile, backup, chores, moment_of

NOW = datetime(2026, 5, 4, 3, 2, 1, 9000, UTC)
LOG = Path("/var/log/audit.log")


def name(days: float, packed: bool = False) -> str:
    return backup(LOG, NOW - timedelta(days=days)).name + (".gz" if packed else "")


def test_the_name_of_a_backup_and_back() -> None:
    assert backup(LOG, NOW) == Path("/var/log/audit-2026-05-04T03-02-01.009.log")
    assert moment_of(LOG, "audit-2026-05-04T03-02-01.009.log") == NOW
    assert moment_of(LOG, "audit-2026-05-04T03-02-01.009.log.gz") == NOW
    for other in ("audit.log", "audit-x.log", "audit-2026-05-04T03-02-01.009.txt", "other-2026-05-04T03-02-01.009.log"):
        assert moment_of(LOG, other) is None


def test_old_and_many_backups_go() -> None:
    names = [name(1), name(2, packed=True), name(2), name(3), name(40), "audit.log", "notes.txt"]
    work = chores(LOG, names, Limits(backups=3, days=0), NOW)
    assert set(work.remove) == {name(40)}
    assert work.compress == ()
    work = chores(LOG, names, Limits(backups=0, days=30, compress=True), NOW)
    assert work.remove == (name(40),)
    assert set(work.compress) == {name(1), name(2), name(3)}
    assert chores(LOG, names, Limits(backups=0, days=0), NOW) == ((), ())


def test_a_full_file_is_put_away_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.log"
    file = rotation.opened(path, Limits(size=10, compress=True))
    assert isinstance(file, RotatingFile)
    assert path.stat().st_mode & 0o777 == 0o600
    file.write([b"one\n", b"two\n", b"three\n"])
    file.close()
    assert path.read_bytes() == b"three\n"
    (packed,) = path.parent.glob("audit-*.log.gz")
    assert gzip.decompress(packed.read_bytes()) == b"one\ntwo\n"
    assert not list(path.parent.glob("audit-*.log"))


def test_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for line in (b"a\n", b"b\n"):
        file = rotation.opened(path, Limits())
        file.write([line])
        file.close()
    assert path.read_bytes() == b"a\nb\n"


def test_without_a_size_nothing_is_put_away(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    file = rotation.opened(path, Limits(size=0))
    file.write([b"x" * 100, b"y" * 100])
    file.close()
    assert [each.name for each in tmp_path.iterdir()] == ["audit.log"]


def test_where_no_log_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        rotation.opened(tmp_path / "file" / "audit.log", Limits())
