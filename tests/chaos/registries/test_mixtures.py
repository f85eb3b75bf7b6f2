"""A mixture of faults at both registries at once, drawn by fixed seeds (BEHAVIOUR 5.3, 6.2, 8.3)."""

from collections.abc import Collection, Iterable

from tests.chaos.registries.conftest import MakeScene
from tests.chaos.registries.scene import push_all
from tests.support.faults import Kind, Mixture

# Content that is wrong is not asked for again: the push fails, and says so.
_LIES = frozenset({Kind.TRUNCATED, Kind.GROWN, Kind.FLIPPED, Kind.FLIPPED_REQUEST})
_CODES_OF_OUTAGES = {"registry_unavailable", "rate_limited", "withheld"}


def test_outages(make_scene: MakeScene) -> None:
    _push(make_scene, range(1, 7), 0.1, frozenset(Kind) - _LIES, None, _CODES_OF_OUTAGES)


def test_outages_of_a_push_whose_tags_move_together(make_scene: MakeScene) -> None:
    _push(make_scene, range(7, 11), 0.1, frozenset(Kind) - _LIES, "push", _CODES_OF_OUTAGES)


def test_outages_and_lies(make_scene: MakeScene) -> None:
    _push(make_scene, range(11, 17), 0.08, frozenset(Kind), None, _CODES_OF_OUTAGES | {"content_mismatch"})


def _push(
    make_scene: MakeScene,
    seeds: Iterable[int],
    rate: float,
    kinds: Collection[Kind],
    atomic: str | None,
    codes: set[str],
) -> None:
    scenes = [
        make_scene(
            Mixture(seed, rate, kinds), Mixture(-seed, rate, kinds), tokens=seed % 2 == 0, name=f"mixture-{seed}"
        )
        for seed in seeds
    ]
    for scene, report in zip(scenes, push_all(scenes, atomic), strict=True):
        assert scene.codes(report) <= codes, f"{scene.codes(report)}\n{scene.story()}"
