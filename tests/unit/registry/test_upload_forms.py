"""Which form of an upload comes next, by table (BEHAVIOUR 5.6)."""

import pytest

from tasks.registry.settings import UploadChoice
from tasks.registry.upload_forms import (
    LEAST_PART_BYTES,
    PART_BYTES,
    Form,
    LocalUploadForms,
    Refused,
    Way,
    first_way,
)

MIB = 1 << 20
NOT_TAKEN = [405, 411, 415, 501]
GONE = [404, 416]


def walk(size: int, *statuses: int, choice: UploadChoice = "auto") -> list[Form]:
    """Return the forms of an upload whose bodies are refused with these statuses in turn."""
    way: Way | None = first_way(size, choice, None, Refused())
    forms = []
    for status in statuses:
        assert way is not None
        forms.append(way.form)
        way = way.after(status, way.part(0))
    return forms if way is None else [*forms, way.form]


@pytest.mark.parametrize(
    ("statuses", "forms"),
    [
        *(([status], ["put", "patch"]) for status in (400, 413, *NOT_TAKEN)),
        *(([status], ["put", "put"]) for status in GONE),
        *(([status, status], ["put", "put", "patch"]) for status in GONE),
        *(([405, status], ["put", "patch", "patch"]) for status in (400, *GONE)),
        *(([405, status, status], ["put", "patch", "patch", "parts"]) for status in (400, *GONE)),
        *(([405, status], ["put", "patch", "parts"]) for status in (413, *NOT_TAKEN)),
        *(([405, 405, status], ["put", "patch", "parts"]) for status in NOT_TAKEN),
        ([413, 413, 413], ["put", "patch", "parts", "parts"]),
        ([409], ["put"]),
    ],
)
def test_a_refused_form_is_followed_by_the_next(statuses: list[int], forms: list[Form]) -> None:
    assert walk(40 * MIB, *statuses) == forms


def test_a_dropped_form_is_followed_by_the_next_and_by_smaller_parts() -> None:
    way: Way | None = first_way(MIB, "auto", None, Refused())
    forms = []
    while way is not None:
        forms.append((way.form, way.part(0)))
        way = way.after_drops(way.part(0))
    assert forms == [("put", MIB), ("patch", MIB), *(("parts", MIB >> step) for step in range(1, 5))]


def test_a_dropped_put_says_nothing_of_smaller_ones() -> None:
    way = first_way(MIB, "auto", None, Refused()).after_drops(MIB)
    assert way is not None
    assert [way.refused.form(size) for size in (MIB - 1, MIB, 40 * MIB)] == ["put", "patch", "patch"]


@pytest.mark.parametrize("choice", ["put", "patch"])
def test_no_form_follows_one_that_the_settings_want(choice: UploadChoice) -> None:
    assert first_way(MIB, choice, None, Refused()).after_drops(MIB) is None


@pytest.mark.parametrize("choice", ["put", "patch"])
def test_a_form_that_the_settings_want_is_the_only_one(choice: UploadChoice) -> None:
    assert walk(MIB, 413, choice=choice) == [choice]
    assert walk(MIB, 405, choice=choice) == [choice]


def test_parts_are_halved_as_long_as_they_are_too_large() -> None:
    way: Way | None = first_way(40 * MIB, "auto", None, Refused())
    sizes = []
    while way is not None:
        sizes.append(way.part(0))
        way = way.after(413, way.part(0))
    assert sizes == [40 * MIB, 40 * MIB, *(PART_BYTES >> step for step in range(8))]
    assert sizes[-1] == LEAST_PART_BYTES


def test_a_small_blob_is_cut_in_two_at_once() -> None:
    """The registry has refused it whole."""
    way = first_way(2 * MIB, "auto", None, Refused()).after(413, 2 * MIB)
    assert way is not None
    way = way.after(413, 2 * MIB)
    assert way is not None
    assert (way.form, way.part(0)) == ("parts", MIB)


@pytest.mark.parametrize(
    ("least", "most", "part"),
    [
        (None, None, PART_BYTES),
        (None, MIB, MIB),
        (None, 100, 100),
        (10 * MIB, None, 10 * MIB),
        (5 * MIB, 10 * MIB, PART_BYTES),
        (10 * MIB, 20 * MIB, 10 * MIB),
    ],
)
def test_a_registry_bounds_its_parts(least: int | None, most: int | None, part: int) -> None:
    way = first_way(40 * MIB, "parts", None, Refused()).bounded(least, most)
    assert way.part_bytes == part
    assert way.part(39 * MIB) == min(40 * MIB, 39 * MIB + part)


def test_a_patch_above_what_the_registry_announces_goes_in_parts() -> None:
    patch = first_way(40 * MIB, "auto", None, Refused(put=0))
    assert (patch.form, patch.bounded(None, 4 * MIB).form, patch.bounded(None, 40 * MIB).form) == (
        "patch",
        "parts",
        "patch",
    )


def learned(size: int, *statuses: int) -> Refused:
    way = first_way(size, "auto", None, Refused())
    for status in statuses:
        following = way.after(status, way.part(0))
        assert following is not None
        way = following
    return way.refused


@pytest.mark.parametrize(
    ("statuses", "forms"),
    [
        ((), ["put", "put", "put"]),
        ((405,), ["patch", "patch", "patch"]),
        ((404, 404), ["patch", "patch", "patch"]),
        ((413,), ["put", "patch", "patch"]),
        ((413, 413), ["put", "patch", "parts"]),
        ((405, 405), ["patch", "patch", "parts"]),
        ((413, 413, 413, 413), ["put", "patch", "parts"]),
    ],
)
def test_what_was_found_out_serves_the_next_upload(statuses: tuple[int, ...], forms: list[Form]) -> None:
    """A limit of the size says nothing of small blobs, whose PUT takes one request less."""
    known = learned(40 * MIB, *statuses)
    assert [known.form(size) for size in (MIB // 2, 2 * MIB, 40 * MIB)] == forms


def test_no_upload_starts_with_what_is_known_to_be_refused() -> None:
    known = learned(40 * MIB, 413, 413, 413, 413)
    assert known.part_bytes == PART_BYTES // 4
    assert first_way(40 * MIB, "auto", None, known).part(0) == PART_BYTES // 4
    assert first_way(40 * MIB, "auto", MIB, known).part(0) == MIB


def test_what_two_uploads_found_out_is_kept_together() -> None:
    forms = LocalUploadForms()
    assert forms.refused("registry.example") == Refused()
    forms.note("registry.example", Refused(put=MIB))
    forms.note("registry.example", Refused(put=2 * MIB, part_bytes=MIB))
    assert forms.refused("registry.example") == Refused(put=MIB, part_bytes=MIB)
    assert forms.refused("other.example") == Refused()
