"""What `make bench` says of figures. It is no test of speed."""

import pytest

from bench import report
from bench.cases import OURS, REFERENCE, SCRIPT, TRUE
from bench.measure import Contender, in_turn, spread


def times(seconds, requests=()):
    return {"seconds": list(seconds), "requests": list(requests)}


def figures(ours=(0.2, 0.2, 0.2), reference=(0.5, 0.5, 0.5), requests=(190, 190, 190)):
    """Returns what is measured, with these figures of each slow volume."""
    others = {OURS: times([0.001]), SCRIPT: times([0.004]), TRUE: times([0.0005]), "status": times([0.01]), "health": times([0.01])}
    slow = {OURS: times(ours, requests)} | ({REFERENCE: times(reference, (179,) * 3)} if reference else {})
    passes = {OURS: times([0.001, 0.002, 0.003]), REFERENCE: times([0.1, 0.2, 0.3])}
    return {
        "machine": "a machine",
        "version": "hermes-init 0",
        "reference": "a reference",
        "reconcile": [{"profiles": 5000, "kind": kind, "times": passes} for kind in ("fresh", "settled")],
        "start-up": others,
        "gateway-run": others,
        "live": others,
        "slow": [{"cache": cache, "stale": stale, "times": slow} for cache in (0, 1) for stale in (False, True)],
    }


@pytest.mark.parametrize(
    "given, time_is_met, requests_are_met",
    [
        ({}, True, True),
        # The machine became slower: each round is compared by itself.
        ({"ours": (0.2, 0.4, 0.6), "reference": (0.41, 0.6, 1.3)}, True, True),
        ({"ours": (0.26, 0.26, 0.2)}, False, True),
        ({"requests": (190, 211, 190)}, True, False),
        ({"reference": ()}, None, True),
        ({"reference": (), "requests": (220,) * 3}, None, False),
    ],
)
def test_a_goal_is_met_or_not_met_or_was_not_measured(given, time_is_met, requests_are_met):
    goals = report.goals(figures(**given))
    # Two for each volume that keeps attributes, one for each that does not.
    assert [is_met for is_met, _ in goals] == [time_is_met, time_is_met, *[time_is_met, requests_are_met] * 2]
    words = {True: "met: ", False: "NOT MET: ", None: "not measured: "}
    assert all(said.startswith(words[is_met]) for is_met, said in goals), goals


def test_each_file_that_is_removed_is_a_request_more():
    for requests, expected in ((190, [True, True]), (191, [False, True]), (210, [False, True]), (211, [False, False])):
        goals = [goal for goal in report.goals(figures(requests=(requests,))) if "requests, at most" in goal[1]]
        assert [is_met for is_met, _ in goals] == expected, goals
        assert [said.rpartition(" ")[2] for _, said in goals] == ["190", "210"]


def test_a_spread_is_the_median_and_the_quartiles():
    assert spread([5, 1, 2, 4, 3]) == (3, 2, 4)
    assert spread([7]) == (7, 7, 7)


def test_the_tables_have_every_figure():
    page = report.markdown(figures())
    assert "| 5,000 | fresh | 2.00 (1.50 to 2.50) | 200 (150 to 250) | 0.010 (0.010 to 0.010) |\n" in page
    assert "| attributes kept for 1 s, stale pid files | 200 (200 to 200) | 190 | 500 (500 to 500) | 179 | 0.40 (0.40 to 0.40) |\n" in page
    assert "a machine" in page and "hermes-init 0" in page
    without = report.markdown(figures(reference=()))
    assert "| nothing kept, first pass | 200 (200 to 200) | 190 | - | - | - |\n" in without


def test_contenders_run_in_turn_and_the_first_round_does_not_count(place):
    def writes(word):
        return Contender(word, ["/bin/sh", "-c", f"echo {word} >>{place}/order"])

    found = in_turn([writes("a"), writes("b")], 3, place / "errors")
    assert (place / "order").read_text().split() == ["b", "a", "a", "b", "b", "a", "a", "b"]
    assert [len(found[name].seconds) for name in ("a", "b")] == [3, 3]


def test_a_contender_that_fails_is_no_fast_one(place):
    with pytest.raises(AssertionError, match="a reason"):
        in_turn([Contender("fails", ["/bin/sh", "-c", "echo a reason >&2; exit 1"])], 1, place / "errors")
