"""Tests of the gridding check against the paper's examples and brute force (duc_hdc.md section 3.2, Fig. 2)."""

import itertools

import numpy as np
import pytest

from did_tf.analysis import gridding


def reached(rates, kernel):
    """Coordinates (y, x) around the output's own that reach it, one tap after the other."""
    points = {(0, 0)}
    for rate in rates:
        taps = [rate * (tap - kernel // 2) for tap in range(kernel)]
        points = {(y + dy, x + dx) for y, x in points for dy in taps for dx in taps}
    return points


@pytest.mark.parametrize(
    "rates, distance",
    [([1, 2, 5], 2), ([1, 2, 9], 5), ([1, 2, 5, 9], 2), ([3, 4, 5], 4), ([5, 9, 17], 9), ([1, 7], 7), ([7], 7)],
)
def test_max_distance_is_equation_2(rates, distance):
    assert gridding.max_distance(rates) == distance


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("rates", [[], [1], [4], [2, 2], [1, 2, 5], [3, 1, 2], [2, 4, 8]])
def test_coverage_is_what_brute_force_finds(rates, kernel):
    points, half = reached(rates, kernel), (kernel - 1) * sum(rates) // 2
    expected = [[(y, x) in points for x in range(-half, half + 1)] for y in range(-half, half + 1)]
    np.testing.assert_array_equal(gridding.coverage(rates, kernel), expected)
    assert gridding.increase(rates, kernel) == 2 * half


def test_figure_2():
    """Rates 2, 2, 2 see every other pixel of every other row of 13x13; 1, 2, 3 see all of them."""
    holes, full = gridding.coverage([2, 2, 2]), gridding.coverage([1, 2, 3])
    assert holes.shape == full.shape == (13, 13)
    assert holes.sum() == 49 and holes[::2, ::2].all()
    assert full.all()


def test_chains_that_begin_with_1_and_pass_have_no_holes():
    """And a chain with holes doesn't pass."""
    chains = [(1, *rest) for n in (1, 2, 3) for rest in itertools.product(range(1, 8), repeat=n)]
    passing = [chain for chain in chains if gridding.max_distance(chain) <= 3]
    assert 0 < len(passing) < len(chains)
    assert all(gridding.coverage(chain).all() for chain in passing)
    assert any(gridding.max_distance(chain) > 3 and not gridding.coverage(chain).all() for chain in chains)


@pytest.mark.parametrize(
    "rates, expected",
    [
        ([1, 2, 5], gridding.Report(2, True, 1, 16, 1.0)),
        ([1, 2, 9], gridding.Report(5, False, 1, 24, 21**2 / 25**2)),
        # Equation 2 lets it pass; the common factor and the coverage don't.
        ([2, 2, 2], gridding.Report(2, True, 2, 12, 49 / 169)),
        ([2, 4, 8], gridding.Report(4, False, 2, 28, 15**2 / 29**2)),
    ],
)
def test_check_reports_all_of_it(rates, expected):
    assert gridding.check(rates) == expected


@pytest.mark.parametrize(
    "rates, groups",
    [
        ([1, 2, 5, 9] * 5 + [1, 2, 5], [[1, 2, 5, 9], [1, 2, 5]]),
        ([1, 2, 3] * 7 + [2, 2], [[1, 2, 3], [2, 2]]),
        ([2, 1] * 11 + [2], [[2, 1], [2]]),
        ([2] * 23, [[2]]),
        ([5, 9, 17], [[5, 9, 17]]),
        ([1, 1, 2, 2], [[1, 1, 2, 2]]),
        ([1, 2, 1], [[1, 2, 1]]),
    ],
)
def test_groups_are_what_a_chain_repeats(rates, groups):
    """Those of section 4.1.3; two rates in a row alike are no group of one."""
    assert gridding.groups(rates) == groups


def test_equation_2_is_of_the_group_and_all_else_of_the_chain():
    """res4b of "dilation bigger", and four groups of section 3.2's example that doesn't work."""
    rates = [1, 2, 5, 9] * 5 + [1, 2, 5]
    assert gridding.max_distance(rates) == 3
    assert gridding.check(rates) == gridding.Report(2, True, 1, 2 * sum(rates), 1.0)
    assert gridding.check([1, 2, 9] * 4).max_distance == 5 < gridding.max_distance([1, 2, 9] * 4)


def test_check_measures_the_distance_with_the_kernel():
    assert not gridding.check([1, 4], kernel=3).passes
    assert gridding.check([1, 4], kernel=5).passes


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gridding.max_distance([]), "needs at least one"),
        (lambda: gridding.check([]), "needs at least one"),
        (lambda: gridding.increase([1, 0]), r"positive whole numbers, got 0 in \[1, 0\]"),
        (lambda: gridding.max_distance([1.5]), "positive whole numbers, got 1.5"),
        (lambda: gridding.coverage([-1]), "positive whole numbers, got -1"),
        (lambda: gridding.coverage([1], kernel=4), "must be odd, got 4"),
    ],
)
def test_bad_chains_are_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()
