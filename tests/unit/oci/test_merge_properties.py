"""What holds for every merge, whatever the two indexes look like (BEHAVIOUR section 4)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.oci import media_types
from tasks.oci.descriptor import Descriptor
from tasks.oci.document import parse_document
from tasks.oci.index import Index, parse_index
from tasks.oci.merge import MergeRules, merge, select
from tasks.oci.platform import Platform
from tests.support.strategies import IndexText, indexes, platforms, squeezed

RULES = st.builds(MergeRules, st.booleans())


def normal_forms(entries: Iterable[Descriptor], rules: MergeRules) -> set[Platform]:
    return {
        entry.platform.normalized(exact_os_version=rules.exact_os_version)
        for entry in entries
        if entry.platform is not None
    }


def texts(entries: Iterable[Descriptor]) -> list[str]:
    return [squeezed(entry.raw) for entry in entries]


@given(indexes(), indexes(), RULES)
def test_merging_what_was_merged_changes_no_byte(source: IndexText, destination: IndexText, rules: MergeRules) -> None:
    """Rule 4.6: a repeated push writes nothing."""
    merged = merge(source.parse(), destination.parse(), rules).index
    content = merged.encode()
    assert merge(source.parse(), parse_index(content, merged.media_type), rules).index.encode() == content


@given(indexes(), indexes(), RULES)
def test_the_same_merge_has_the_same_bytes_whatever_the_white_space(
    source: IndexText, destination: IndexText, rules: MergeRules
) -> None:
    """Rule 4.6: deterministic bytes."""
    content = merge(source.parse(), destination.parse(), rules).index.encode()
    assert merge(source.parse(), destination.parse(), rules).index.encode() == content
    compact = [replace(text, content=squeezed(text.content).encode()).parse() for text in (source, destination)]
    assert merge(compact[0], compact[1], rules).index.encode() == content


@given(indexes(), indexes(), RULES)
def test_a_merge_lists_the_source_and_what_it_kept_and_nothing_else(
    source: IndexText, destination: IndexText, rules: MergeRules
) -> None:
    """Rules 4.1 and 4.3: of the source only attestations without their subject are left out."""
    merged = merge(source.parse(), destination.parse(), rules)
    present = {entry.digest for entry in merged.index.entries}
    mine = [
        entry for entry in source.parse().entries if entry.platform or entry.subject is None or entry.subject in present
    ]
    assert sorted(texts(merged.index.entries)) == sorted(texts([*mine, *merged.kept]))


@given(indexes(), indexes(), RULES)
def test_the_order_is_canonical(source: IndexText, destination: IndexText, rules: MergeRules) -> None:
    """Rule 4.1: images by platform, each followed by what refers to it, entries without platform last."""
    entries = merge(source.parse(), destination.parse(), rules).index.entries
    images = [normal_forms([entry], rules).pop() for entry in entries if entry.platform]
    by_platform = [(each.os, each.architecture, each.variant, each.os_version, each.os_features) for each in images]
    assert by_platform == sorted(by_platform)
    first: dict[str, int] = {entry.digest: number for number, entry in reversed([*enumerate(entries)])}
    for number, entry in enumerate(entries):
        if entry.platform is None and entry.subject is not None:
            between = entries[first[entry.subject] + 1 : number]
            assert first[entry.subject] < number
            assert all(other.platform is None and other.subject is not None for other in between)
    loose = [number for number, entry in enumerate(entries) if entry.platform is None and entry.subject is None]
    assert [entries[number].digest for number in loose] == sorted(entries[number].digest for number in loose)
    assert all(entry.platform is None for entry in entries[min(loose, default=len(entries)) :])


@given(indexes(), indexes(), RULES)
def test_images_of_one_platform_keep_the_order_of_their_author(
    source: IndexText, destination: IndexText, rules: MergeRules
) -> None:
    """Rule 4.1: gzip before zstd, say."""
    mine, theirs = source.parse().entries, destination.parse().entries
    merged = merge(source.parse(), destination.parse(), rules).index
    for platform in normal_forms(merged.entries, rules):
        author = mine if platform in normal_forms(mine, rules) else theirs
        own, found = (
            texts(entry for entry in listed if normal_forms([entry], rules) == {platform})
            for listed in (author, merged.entries)
        )
        assert found == own


@given(indexes(), indexes(), RULES)
def test_each_platform_of_the_destination_that_the_source_lacks_stays_and_no_other(
    source: IndexText, destination: IndexText, rules: MergeRules
) -> None:
    """Rule 4.1: the source replaces all that the destination has for a platform, and loses nothing else."""
    theirs = normal_forms(source.parse().entries, rules)
    expected = [
        text
        for entry, text in zip(destination.parse().entries, texts(destination.parse().entries), strict=True)
        if entry.platform is not None and not normal_forms([entry], rules) & theirs
    ]
    merged = merge(source.parse(), destination.parse(), rules)
    assert sorted(texts(entry for entry in merged.kept if entry.platform is not None)) == sorted(expected)
    assert normal_forms(merged.index.entries, rules) == theirs | normal_forms(destination.parse().entries, rules)


@given(indexes(), indexes(), RULES)
def test_the_text_of_every_value_survives(source: IndexText, destination: IndexText, rules: MergeRules) -> None:
    """Rule 4.4: unknown fields survive to the letter, top-level ones come from the source."""
    merged = merge(source.parse(), destination.parse(), rules).index
    written = parse_index(merged.encode(), merged.media_type)
    assert [entry.raw.decode() for entry in written.entries] == texts(merged.entries)
    own = {"manifests", "mediaType", "schemaVersion"}
    top = {key: squeezed(text) for key, text in source.parse().fields.items() if key not in own}
    assert {key: text.decode() for key, text in written.fields.items() if key not in own} == top
    assert written.fields["schemaVersion"] == b"2"
    assert squeezed(merged.encode()) == merged.encode().decode()


@given(indexes(), indexes(), RULES)
def test_no_attestation_is_without_its_subject(source: IndexText, destination: IndexText, rules: MergeRules) -> None:
    """Rule 4.3: an attestation goes and stays with the entry that it refers to."""
    merged = merge(source.parse(), destination.parse(), rules).index
    present = {entry.digest for entry in merged.entries}
    assert all(entry.subject in present for entry in merged.entries if entry.platform is None and entry.subject)


@given(indexes(), indexes(), RULES)
def test_an_attestation_whose_subject_is_kept_is_kept(
    source: IndexText, destination: IndexText, rules: MergeRules
) -> None:
    """Rule 4.3: attestations of kept platforms stay with them, unless the source has a word on them of its own."""
    merged = merge(source.parse(), destination.parse(), rules)
    listed = {entry.digest for entry in (*merged.index.entries, *source.parse().entries)}
    remaining = {entry.digest for entry in merged.kept if entry.platform}
    attestations = [
        entry for entry in destination.parse().entries if entry.platform is None and entry.subject in remaining
    ]
    assert all(entry.digest in listed for entry in attestations)


@given(indexes(), indexes())
def test_a_docker_list_has_docker_entries_only(source: IndexText, destination: IndexText) -> None:
    """Rule 4.5: docker list only if both are, and every entry is a docker manifest."""
    merged = merge(source.parse(), destination.parse()).index
    docker = source.media_type == destination.media_type == media_types.DOCKER_LIST and all(
        entry.media_type == media_types.DOCKER_MANIFEST for entry in merged.entries
    )
    assert merged.media_type == (media_types.DOCKER_LIST if docker else media_types.OCI_INDEX)
    if merged.entries:
        read = parse_document(merged.encode(), merged.media_type)
        assert isinstance(read, Index)
        assert read.fields["mediaType"] == f'"{merged.media_type}"'.encode()


@given(indexes(), st.sets(st.integers(0, 6)), st.booleans())
def test_disjoint_indexes_have_the_same_bytes_merged_either_way(
    whole: IndexText,
    chosen: set[int],
    exact: bool,
) -> None:
    """Rule 4.1: merging is commutative over disjoint platforms."""
    rules = MergeRules(exact)
    parsed = whole.parse()
    order = sorted(normal_forms(parsed.entries, rules), key=str)
    mine = {platform for number, platform in enumerate(order) if number in chosen}
    home: dict[str, bool] = {
        entry.digest: bool(normal_forms([entry], rules) & mine) for entry in parsed.entries if entry.platform
    }
    loose = [entry for entry in parsed.entries if not entry.platform and entry.subject is None]
    home |= {entry.digest: position % 2 == 0 for position, entry in enumerate(loose)}
    bound = [entry for entry in parsed.entries if not entry.platform and entry.subject in home]
    home |= {entry.digest: home[entry.subject] for entry in bound if entry.subject}
    one, other = (
        parsed.containing((entry for entry in parsed.entries if home.get(entry.digest) is side), parsed.media_type)
        for side in (True, False)
    )
    merged, turned = merge(one, other, rules).index, merge(other, one, rules).index
    assert texts(merged.entries) == texts(turned.entries)
    assert merged.encode() == turned.encode()
    assert len(merged.entries) == len(home)


@given(indexes(), st.lists(platforms(), max_size=3), RULES)
def test_selecting_takes_the_eligible_platforms_and_what_refers_to_them(
    source: IndexText, eligible: list[Platform], rules: MergeRules
) -> None:
    """Rule 4.7: only these are taken from the source."""
    parsed = source.parse()
    selected = select(parsed, eligible, rules)
    wanted = [
        entry
        for entry in parsed.entries
        if entry.platform
        and any(entry.platform.matches(one, exact_os_version=rules.exact_os_version) for one in eligible)
    ]
    assert [entry for entry in selected.entries if entry.platform] == wanted
    present = {entry.digest for entry in selected.entries}
    assert all(entry.subject in present for entry in selected.entries if entry.platform is None)
    assert texts(select(selected, eligible, rules).entries) == texts(selected.entries)
    assert selected.media_type == parsed.media_type


@given(indexes(), RULES)
def test_selecting_all_platforms_of_an_index_without_loose_entries_returns_itself(
    source: IndexText, rules: MergeRules
) -> None:
    """Rules 4.7 and 2.4: where nothing is left out, the bytes stay those of the source."""
    parsed = source.parse()
    everything = [entry.platform for entry in parsed.entries if entry.platform]
    loose = any(entry.platform is None and entry.subject is None for entry in parsed.entries)
    selected = select(parsed, everything, rules)
    if not loose and len(selected.entries) == len(parsed.entries):
        assert selected is parsed


@pytest.mark.parametrize("odd", ["1.10", "1e400", "123456789012345678901234567890", r'"a\/b"', r'"\u00e9"', "-0"])
def test_odd_values_survive_a_merge(odd: str) -> None:
    """Rule 4.4: what a JSON library would write in another way stays as it is."""
    entry = (
        f'{{"digest": "sha256:{"a" * 64}", "size": 1, "odd" : {odd}, "platform": '
        f'{{"os": "linux", "architecture": "arm64", "odd":{odd}}}}}'
    )
    empty = parse_index(f'{{"manifests": [], "odd": {odd}}}'.encode(), media_types.OCI_INDEX)
    destination = parse_index(f'{{"manifests": [{entry}]}}'.encode(), media_types.OCI_INDEX)
    assert merge(empty, destination).index.encode().decode().count(f'"odd":{odd}') == 3
