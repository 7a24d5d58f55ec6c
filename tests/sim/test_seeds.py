"""A quick set of seeds, the seeds that found bugs, and that a seed is one history. `make sim` runs many more."""

from __future__ import annotations

import os
import re
import subprocess
import sys

QUICK = "1-14"
# Rules that a few seeds are enough for; of a thousand, each must have been put to the test (`simulate.MANY`).
OFTEN = ("AvailabilityKept", "CountedExactly", "NoneTooMany", "OneOfEachIdentity", "OnePerNode", "StartedInOrder")

# Each of these failed once; what was wrong is said beside it. A change of the scenario changes what a seed does, so
# they are no proof that a bug stays away (each bug has a test of its own beside what it was in), but a seed that was
# interesting tends to remain so.
FOUND = {
    2: "a pod that was deleted before it began stayed Pending: a Job that replaces failed pods waited for ever",
    4: "a kubelet took back a final phase; the Deployment controller planned from before its own write: above maxSurge",
    12: "an old set that by chance had the new size was taken for resized for ever, so that no new set was made",
    13: "the latter: below replicas - maxUnavailable",
    34: "a Deployment that recreates made new pods while its cache did not show the old ones yet",
    45: "available pods that an old ReplicaSet was about to lose were spared twice: below replicas - maxUnavailable",
    46: "a namespace was not emptied: a metadata client's deletion of a collection was refused",
    51: "the same as 45",
    54: "a pod's last status was not sent when the one before was under way: its Job never heard how it ended",
    56: "a node whose clock had been hours ahead and was set right counted as dead until then",
    97: "a Deployment that recreates made a new set while the old one had not seen yet that it was to have no pods",
    103: "a Deployment that recreates and has two live sets waited for ever when it was resized",
    185: "a clock that was set back let a container that had ended pass for the newest: it was replaced without end",
    198: "a kubelet waited with its next try for the date at which it had wanted to make it, on a clock set back since",
    190: "a Job waited three hours for a new pod, for its last one had failed in the future of a clock set back since",
    195: "a pod whose news came between a look at the cache and the decision was made twice",
    139: "too few pods for their use, said the rule: pods that nobody owned any more were measured with the others",
    174: "a foreground deletion that was changed into an orphaning one was not noticed by the garbage collector",
    300: "the pod that empties a volume was gone before the binder's informer, which had to list again, could show it",
    393: "evicted by taints that the node has not, said the rule: the eviction had begun in time, and gone no further",
    459: "a kubelet that could not renew a token looked at its pod a thousand times a second, and a clock hours behind "
    "made it ask for one each second",
    473: "pods before those of another set had ended, said the rule: the Deployment was paused, and kept at its size",
    588: "a Job waited for a new pod until the clock of a server that was hours ahead had been reached",
    595: "too few daemon pods, said the rule: a node had come late to those counted",
    669: "two pods with one address, said the rule: one had ended before the API heard that it began",
    767: "a Job outlived its time: the clock had been hours behind when the wait was measured, and was set right",
    891: "the same as 669",
    1154: "a DaemonSet that surges made one pod after the other on a node whose kubelet refused them",
    1357: "a late request unsaid a node's routes, and nobody said again that they were there",
}


def simulate(*arguments: str, hash_seed: str = "0") -> str:
    """What the command prints; AssertionError with all of it if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "kijabi.testing.simulate", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_quick_seeds() -> None:
    said = simulate("--seeds", QUICK, "--jobs", "2")
    judged = dict(re.findall(r"(\w+) (\d+)", said.partition("judged: ")[2]))
    idle = [name for name in OFTEN if judged.get(name, "0") == "0"]
    assert not idle, f"these rules were never put to the test: {idle}"


def test_seeds_that_found_bugs() -> None:
    simulate("--seeds", ",".join(map(str, FOUND)), "--jobs", "2")


def test_a_seed_is_one_history() -> None:
    def history(*seeds: str, hash_seed: str) -> set[str]:
        said = simulate("--seeds", ",".join(seeds), "--jobs", "1", "--verbose", hash_seed=hash_seed)
        return set(re.findall(r"^seed .*history \w+$", said, re.MULTILINE))

    first = history("3", "7", hash_seed="random")
    assert len(first) == 2
    assert first == history("7", "3", hash_seed="1"), "another order, another process, another hash seed"
