"""Nothing is asked for twice, and nothing is waited for in vain."""

from kijabi.controllers.expectations import TIMEOUT, Expectations


def test_waits_until_everything_asked_for_was_seen() -> None:
    asked = Expectations()
    assert asked.wait("rs", 0.0) == 0
    asked.created("rs", "a", 0.0)
    asked.created("rs", "b", 0.0)
    asked.deleted("rs", "uid-c", 0.0)
    assert asked.wait("rs", 1.0) == TIMEOUT - 1
    assert asked.wait("other", 1.0) == 0
    asked.seen("rs", "a", "uid-a", going=False)
    asked.failed("rs", name="b")
    assert asked.wait("rs", 1.0) > 0
    asked.seen("rs", "c", "uid-c", going=False)
    assert asked.wait("rs", 1.0) > 0, "still there and not being deleted"
    asked.seen("rs", "c", "uid-c", going=True)
    assert asked.wait("rs", 1.0) == 0


def test_an_expectation_ends_after_a_time() -> None:
    asked = Expectations()
    asked.created("rs", "a", 0.0)
    assert asked.wait("rs", TIMEOUT) == 0
    assert asked.wait("rs", 0.0) == 0


def test_a_creation_without_a_reply_is_offered_again_under_its_name() -> None:
    asked = Expectations()
    asked.created("rs", "a", 0.0)
    asked.lost("rs", "a")
    assert asked.wait("rs", 0.0) == 0
    assert asked.names("rs") == ("a",)
    asked.created("rs", "a", 1.0)
    assert asked.names("rs") == ()
    asked.lost("rs", "a")
    asked.seen("rs", "a", "uid-a", going=False)
    assert asked.names("rs") == ()


def test_a_gone_owner_is_forgotten() -> None:
    asked = Expectations()
    asked.created("rs", "a", 0.0)
    asked.drop("rs")
    assert asked.wait("rs", 0.0) == 0
