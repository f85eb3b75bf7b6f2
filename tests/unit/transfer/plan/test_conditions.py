"""The conditions of a tag, as a table: which changes each of them allows (BEHAVIOUR 10.2 to 10.4)."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec import structs

from tasks import contract
from tasks.errors import ImagePusherError
from tasks.oci.digest import Digest
from tasks.oci.merge import DEFAULT_RULES
from tasks.oci.platform import Platform
from tasks.oci.reference import Reference
from tasks.oci.version import Age
from tasks.transfer.plan.conditions import Change, goes_back, refusal
from tasks.transfer.plan.decide import Current, MergePolicy, decide
from tasks.transfer.plan.image import SourceImage
from tasks.transfer.request.conditions import Conditions, Expectation
from tests.unit.oci.listing import image, index, named
from tests.unit.transfer.plan.sources import holding, holding_image, of_index, single

TAG = Reference.parse("b.example/app:v1")
AMD, ARM = image("amd", "linux/amd64"), image("arm", "linux/arm64")
NEW_AMD = image("new amd", "linux/amd64")
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
MERGING = MergePolicy()
OVER = MergePolicy(merge=False)
HOLD = contract.Hold(reference=str(TAG), why="audit", since=0.0)


def change(source: SourceImage, held: Current | None, policy: MergePolicy = MERGING) -> Change:
    return Change(TAG, held.digest if held else None, held, decide(source, held, policy), DEFAULT_RULES)


ABSENT = change(of_index(index(AMD)), None)
SAME = change(of_index(index(AMD)), holding(index(AMD)))
ADDED = change(of_index(index(ARM)), holding(index(AMD)))
REPLACED = change(of_index(index(NEW_AMD)), holding(index(AMD)))
OVERWRITTEN = change(of_index(index(ARM)), holding(index(AMD)), OVER)
BESIDE = change(single("linux/arm64"), holding_image(single("linux/amd64", word="theirs")))
WITHOUT_ITS_OWN = msgspec.structs.replace(ADDED, before=None)
HELD = Digest(str(holding(index(AMD)).digest))


def code(error: ImagePusherError | None) -> str | None:
    return None if error is None else error.code


def expects(digest: Digest | None) -> Conditions:
    return Conditions(expect=(Expectation(TAG, digest), Expectation(Reference.parse("b.example/app:v2"), named("x"))))


@pytest.mark.parametrize(
    ("changed", "conditions", "expected"),
    [
        (ABSENT, expects(None), None),
        (ABSENT, expects(HELD), "expectation_failed"),
        (ADDED, expects(HELD), None),
        (ADDED, expects(named("other")), "expectation_failed"),
        (ADDED, expects(None), "expectation_failed"),
        (SAME, expects(None), None),
        (SAME, expects(named("other")), None),
        (WITHOUT_ITS_OWN, expects(None), None),
        (ABSENT, Conditions(immutable=("v*",)), None),
        (SAME, Conditions(immutable=("v*",)), None),
        (ADDED, Conditions(immutable=("v*",)), "tag_immutable"),
        (ADDED, Conditions(immutable=("w*", "v[0-9]")), "tag_immutable"),
        (ADDED, Conditions(immutable=("w*", "V1", "1")), None),
        (WITHOUT_ITS_OWN, Conditions(immutable=("v*",)), None),
        (ABSENT, Conditions(overwrite="never"), None),
        (SAME, Conditions(overwrite="never"), None),
        (ADDED, Conditions(overwrite="never"), "expectation_failed"),
        (REPLACED, Conditions(overwrite="never"), "expectation_failed"),
        (ABSENT, Conditions(overwrite="same"), None),
        (SAME, Conditions(overwrite="same"), None),
        (ADDED, Conditions(overwrite="same"), None),
        (BESIDE, Conditions(overwrite="same"), None),
        (REPLACED, Conditions(overwrite="same"), "expectation_failed"),
        (OVERWRITTEN, Conditions(overwrite="same"), "expectation_failed"),
        (ADDED, Conditions(require_platforms=(AMD64, ARM64)), None),
        (ABSENT, Conditions(require_platforms=(AMD64, ARM64)), "platform_missing"),
        (SAME, Conditions(require_platforms=(ARM64,)), "platform_missing"),
        (OVERWRITTEN, Conditions(require_platforms=(AMD64,)), "platform_missing"),
        (BESIDE, Conditions(require_platforms=(AMD64, ARM64)), None),
        (ADDED, Conditions(keeps_platforms=True), None),
        (REPLACED, Conditions(keeps_platforms=True), None),
        (ABSENT, Conditions(keeps_platforms=True), None),
        (OVERWRITTEN, Conditions(keeps_platforms=True), "platform_removal_refused"),
    ],
)
def test_a_change_is_allowed_or_refused(changed: Change, conditions: Conditions, expected: str | None) -> None:
    """Rules 10.2 and 10.3."""
    assert code(refusal(changed, conditions, None)) == expected


@pytest.mark.parametrize(("changed", "expected"), [(SAME, None), (ABSENT, "tag_held"), (ADDED, "tag_held")])
def test_a_hold_refuses_each_change_with_its_reason(changed: Change, expected: str | None) -> None:
    """Rule 10.5."""
    error = refusal(changed, Conditions(), HOLD)
    assert code(error) == expected
    assert error is None or f"{TAG} is on hold: audit. `imagepusher release-hold {TAG}`" in str(error)


def test_a_hold_of_a_known_user_names_whom_to_ask() -> None:
    """Rule 10.5."""
    error = refusal(ABSENT, Conditions(), structs.replace(HOLD, by="alice"))
    assert f"{TAG} is on hold by alice: audit." in str(error)


def test_a_refused_overwrite_says_how_to_find_who_moved_the_tag() -> None:
    """Rule 10.2."""
    for conditions in (expects(None), Conditions(overwrite="never"), Conditions(overwrite="same")):
        assert f"`imagepusher history {TAG}`" in str(refusal(REPLACED, conditions, None))


@pytest.mark.parametrize(
    ("changed", "expected", "said"),
    [
        (REPLACED, None, f"{TAG} holds {HELD}; `expect` says that it is absent."),
        (REPLACED, named("x"), f"{TAG} holds {HELD}; `expect` says {named('x')}."),
        (ABSENT, named("x"), f"{TAG} is not there; `expect` says {named('x')}."),
    ],
)
def test_a_failed_expectation_says_what_the_tag_holds(changed: Change, expected: Digest | None, said: str) -> None:
    """Rule 10.2."""
    error = refusal(changed, Conditions(expect=(Expectation(TAG, expected),)), None)
    assert str(error).startswith(said)
    assert str(error).endswith("The tag was not moved. If it is right as it is, correct the request.")


Versions = Callable[[str], Age]


def version(text: str) -> Age:
    return Age(versions=(text,))


def created(text: str) -> Age:
    return Age(created=(text,))


@pytest.mark.parametrize(
    ("by", "old", "new", "expected"),
    [
        ("version", version("1.9"), version("1.10"), None),
        ("version", version("1.10"), version("1.10"), None),
        ("version", version("1.10"), version("1.9"), "older_than_destination"),
        ("version", version("1.10"), version("1.10-rc.1"), "older_than_destination"),
        ("version", Age(versions=("1.8", "1.10")), version("1.9"), "older_than_destination"),
        ("version", version("latest"), version("1.9"), "version_unknown"),
        ("version", version("1.9"), version("main"), "version_unknown"),
        ("version", Age(), version("1.9"), "version_unknown"),
        ("created", created("2024-02-01T00:00:00Z"), created("2024-01-01T00:00:00Z"), "older_than_destination"),
        ("created", created("2024-01-01T00:00:00Z"), created("2024-02-01T00:00:00Z"), None),
        ("created", created("1970-01-01T00:00:00Z"), created("2024-02-01T00:00:00Z"), "version_unknown"),
        (None, version("2"), version("1"), None),
    ],
)
def test_a_tag_goes_forward_only(by: contract.ForwardOnly | None, old: Age, new: Age, expected: str | None) -> None:
    """Rule 10.4."""
    conditions = Conditions(forward_only=by)
    assert code(goes_back(REPLACED, conditions, new, old)) == expected
    assert goes_back(ABSENT, conditions, new, old) is None
    assert goes_back(SAME, conditions, new, old) is None


def test_versions_of_another_scheme_are_compared_by_the_pattern_of_the_target() -> None:
    """Rule 10.4."""
    conditions = Conditions(forward_only="version", version_pattern=r"build-(\d+)")
    assert code(goes_back(REPLACED, conditions, version("build-9"), version("build-10"))) == "older_than_destination"
    assert goes_back(REPLACED, conditions, version("build-10"), version("build-9")) is None


@pytest.mark.parametrize(
    ("conditions", "new", "said"),
    [
        (Conditions(forward_only="version"), version("main"), "'main' is none. Give the image the label"),
        (Conditions(forward_only="version"), Age(), "there is none. Give the image the label"),
        (
            Conditions(forward_only="version", version_pattern=r"build-(\d+)"),
            version("1.9"),
            "'1.9' is none that the target's `version_pattern` describes. Correct",
        ),
        (Conditions(forward_only="created"), created("yesterday"), "'yesterday' is none. Give images the annotation"),
        (Conditions(forward_only="created"), version("1.9"), "there is none. Give images the annotation"),
    ],
)
def test_an_unknown_age_says_what_was_found_and_what_to_do(conditions: Conditions, new: Age, said: str) -> None:
    """Rule 10.4."""
    both = Age(versions=("build-1",), created=("2024-01-01T00:00:00Z",))
    known = both if conditions.forward_only == "created" or conditions.version_pattern else version("1.8")
    mine, theirs = goes_back(REPLACED, conditions, new, known), goes_back(REPLACED, conditions, known, new)
    assert f"the image for {TAG} is not known: {said}" in str(mine)
    assert f"{HELD}, which {TAG} holds, is not known: {said}" in str(theirs)
