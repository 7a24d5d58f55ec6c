"""The command line of the conformance harness; see the package for what it is for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from kijabi import KUBERNETES_VERSION
from kijabi.base import clock
from kijabi.base.errors import ConfigError, KijabiError
from kijabi.base.files import write_atomic
from kijabi.testing.conformance import build as building
from kijabi.testing.conformance import ginkgo, images, results
from kijabi.testing.conformance import run as running

DIRECTORY = Path("conformance")
PROCS = 4  # tests mostly wait, so more than cores


@click.group()
def main() -> None:
    """Kubernetes' conformance tests on a cluster of ours."""


@main.command()
def build() -> None:
    """Build the programs and images that the tests need, where they are not in the cache."""
    with _errors_told():
        builder = building.Builder(click.echo)
        for program in (building.GINKGO, building.KUBECTL, building.E2E):
            builder.program(program)
        for built in images.archives(builder, building.cache_directory() / "images"):
            click.echo(f"{built.reference}  {built.archive.stat().st_size >> 10} KiB")


@main.command(name="list")
@click.option("--check", is_flag=True, help="Fail unless the list is conformance/tests.txt.")
def list_(check: bool) -> None:
    """List the conformance tests that the binary has."""
    with _errors_told():
        found = running.listed(building.Builder(click.echo))
        if not check:
            click.echo("\n".join(found))
            return
        known = results.names(DIRECTORY / "tests.txt")
        lines = [f"+ {test}" for test in sorted(set(found) - set(known))]
        lines += [f"- {test}" for test in sorted(set(known) - set(found))]
        click.echo(
            "\n".join((*lines, f"{len(found)} tests in {KUBERNETES_VERSION}'s binary, {len(known)} in tests.txt"))
        )
        if lines:
            raise click.ClickException("conformance/tests.txt is not what the binary has")


@main.command()
@click.option("--focus", default="", help="Only tests that match this regular expression.")
@click.option("--skip", default="", help="Without tests that match this regular expression.")
@click.option("--sig", default="", help="Only tests of these groups: api-machinery,node …")
@click.option(
    "--procs", default=PROCS, show_default=True, help="How many tests at a time ([Serial] ones come last, alone)."
)
@click.option("--failed", is_flag=True, help="Only what failed the last time.")
@click.option("--from", "file", type=click.Path(exists=True, path_type=Path), help="Only tests named in this file.")
@click.option("--expected", is_flag=True, help="Change nothing; fail if a test of conformance/expected.txt does.")
@click.option("--kubeconfig", type=click.Path(exists=True, path_type=Path), help="Use this cluster (with the images).")
@click.option("--output", type=click.Path(path_type=Path), help="Where the full output goes [the cache].")
def run(
    focus: str, skip: str, sig: str, procs: int, failed: bool, file: Path | None,
    expected: bool, kubeconfig: Path | None, output: Path | None,
) -> None:  # fmt: skip
    """Run tests and keep what they said in conformance/."""
    with _errors_told():
        rows = results.load(DIRECTORY / "results.tsv")
        known = results.names(DIRECTORY / "tests.txt")
        tests = ginkgo.Wish(focus=focus, skip=skip, sig=sig).of(results.names(file) if file else known)
        if failed:
            tests = [test for test in tests if test in rows and rows[test].result == results.FAILED]
        if not tests:
            raise ConfigError("no test is wished for")
        version = _version()
        where = (output or building.cache_directory() / "output").absolute()
        ran = _run(tests, procs, kubeconfig, where, again=expected)
        lost = results.regressions(results.names(DIRECTORY / "expected.txt"), ran)
        if not expected:
            now = results.load(DIRECTORY / "results.tsv")  # another run may have ended in the meantime
            rows = results.merge(now, ran, version, clock.now().date().isoformat())
            results.save(DIRECTORY / "results.tsv", rows)
            _write_expected(ran)
            (DIRECTORY / "summary.txt").write_text(results.summary(rows, known) + "\n")
        (DIRECTORY / "junit.xml").write_text(results.junit(ran))
        _conclude(tests, ran, lost)


def _run(
    tests: Sequence[str], procs: int, kubeconfig: Path | None, output: Path, *, again: bool
) -> list[results.Outcome]:
    """again: what failed beside others is tried once more by itself, for some tests race with what they look at."""
    builder = building.Builder(click.echo)
    click.echo(f"{len(tests)} tests, {procs} at a time; the full output is in {output}")

    def suite(ours: Path, these: Sequence[str], procs: int, output: Path) -> list[results.Outcome]:
        output.mkdir(parents=True, exist_ok=True)
        return running.suite(running.programs(builder, ours, output), these, procs, click.echo)

    def both(ours: Path) -> list[results.Outcome]:
        ran = suite(ours, tests, procs, output)
        failed = [said.test for said in ran if said.result == results.FAILED]
        if not (again and failed):
            return ran
        click.echo(f"{len(failed)} failed and are tried once more, one at a time")
        return results.after_another_try(ran, suite(ours, failed, 1, output / "again"))

    if kubeconfig is not None:
        return both(kubeconfig.absolute())
    with running.cluster(builder, click.echo, logs=output / "logs") as ours:
        return both(ours)


def _write_expected(ran: Sequence[results.Outcome]) -> None:
    file = DIRECTORY / "expected.txt"
    now = results.expected_after(results.names(file), ran)
    write_atomic(file, ("\n".join(now) + "\n").encode())


def _conclude(tests: Sequence[str], ran: Sequence[results.Outcome], lost: Sequence[results.Outcome]) -> None:
    """The run's summary on the terminal; a regression, or a test that ginkgo never came to, fails the command."""
    bad = [said for said in ran if said.result == results.FAILED]
    for said in ran:
        if said in bad or (said.message and said.result == results.PASSED):
            word = "failed" if said in bad else "passed at the second try"
            click.echo(f"{word}: {said.test}\n    " + said.message.partition("\n")[0])
    passed = sum(said.result == results.PASSED for said in ran)
    click.echo(f"{passed} of {len(tests)} passed, {len(bad)} failed, {len(tests) - len(ran)} did not run")
    if lost:
        lines = "\n".join(f"  {said.test}" for said in lost)
        raise click.ClickException(f"these are in conformance/expected.txt and do not pass:\n{lines}")
    if len(ran) < len(tests):
        raise click.ClickException("the run ended early")


def _version() -> str:
    """Which Kijabi ran: the commit, with a + where files are changed, or the release."""
    described = subprocess.run(
        ("git", "describe", "--always", "--dirty=+", "--abbrev=10"), capture_output=True, text=True
    )
    return described.stdout.strip() or KUBERNETES_VERSION


@contextmanager
def _errors_told() -> Iterator[None]:
    """Our errors are for the reader of the terminal, without a stack."""
    try:
        yield
    except KijabiError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
