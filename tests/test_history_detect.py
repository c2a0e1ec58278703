"""Change detection on simulated series: what is planted is found where it was planted, and its absence is told too."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from pytest_dlcheck.history.detect import RULES, _beyond_the_usual, changes, noise_floor, suspicion
from pytest_dlcheck.history.divisive import Split, best_splits, change_points, t_test
from pytest_dlcheck.history.robust import autocorrelation, hampel_clip, robust_sd
from pytest_dlcheck.history.votes import ENOUGH, votes


def nights(count: int = 60, sd: float = 0.01, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, sd, count))


def stepped(at: int = 40, effect: float = 0.05, **options: float) -> np.ndarray:
    values = nights(**options)  # type: ignore[arg-type]
    values[at:] *= 1 + effect
    return values


class TestRobust:
    def test_the_clip_pulls_one_night_back_and_leaves_a_step(self) -> None:
        values = np.tile([0.0, 0.01, -0.01], 10)
        wild = values.copy()
        wild[15] = 1.0
        assert abs(hampel_clip(wild)[15]) < 0.1
        step = values.copy()
        step[15:] += 1.0
        assert np.array_equal(hampel_clip(step), step)

    def test_several_series_are_clipped_as_each_alone(self) -> None:
        both = np.stack([nights(seed=1), nights(seed=2)])
        both[0, 30] = 3.0
        assert np.array_equal(hampel_clip(both), np.stack([hampel_clip(each) for each in both]))

    @pytest.mark.parametrize("count", [0, 1, 2, 5, 7])
    def test_short_series_are_clipped_too(self, count: int) -> None:
        assert hampel_clip(np.ones(count)).tolist() == [1.0] * count

    def test_the_robust_sd_is_that_of_a_normal_sample_whatever_an_outlier(self) -> None:
        sample = np.random.default_rng(0).normal(0, 2, 4001)
        sample[0] = 1e9
        assert robust_sd(sample) == pytest.approx(2, rel=0.05)

    def test_autocorrelation_is_found_and_its_absence_is(self) -> None:
        noise = np.random.default_rng(0).normal(size=3000)
        alike = np.zeros(3000)
        for night in range(1, 3000):
            alike[night] = 0.6 * alike[night - 1] + noise[night]
        assert autocorrelation(alike) == pytest.approx(0.6, abs=0.08)
        assert autocorrelation(noise) < 0.05
        # A step is no likeness.
        noise[1500:] += 10
        assert autocorrelation(noise) < 0.05
        assert autocorrelation(alike[:10]) == 0.0


class TestDivisive:
    def test_the_best_split_is_the_published_statistic_s(self) -> None:
        """Q(t, k), written out as Matteson and James state it."""
        values = np.random.default_rng(0).normal(size=9)
        values[5:] += 2

        def energy(left: np.ndarray, right: np.ndarray) -> float:
            def mean_of_pairs(part: np.ndarray) -> float:
                pairs = [abs(a - b) for place, a in enumerate(part) for b in part[place + 1 :]]
                return float(np.mean(pairs)) if pairs else 0.0

            between = 2 * float(np.mean(np.abs(left[:, None] - right[None, :])))
            n, m = len(left), len(right)
            return n * m / (n + m) * (between - mean_of_pairs(left) - mean_of_pairs(right))

        known = {(t, k): energy(values[:t], values[t:k]) for t in range(1, 9) for k in range(t + 1, 10)}
        place, statistic = best_splits(values[None])
        assert place[0] == max(known, key=lambda each: known[each])[0] == 5
        assert statistic[0] == pytest.approx(max(known.values()))

    def test_the_t_test_is_student_s(self) -> None:
        from scipy import stats

        left, right = nights(12), nights(5, seed=1)
        assert t_test(left, right) == pytest.approx(stats.ttest_ind(left, right).pvalue)

    def test_nights_that_resemble_each_other_count_for_less(self) -> None:
        left, right = np.log(nights(30)), np.log(nights(10, seed=1)) + 0.02
        assert t_test(left, right, alike=0.5) > 10 * t_test(left, right)

    def test_several_steps_are_found_where_they_are(self) -> None:
        values = np.log(nights(160))
        values[40:] += 0.08
        values[90:] -= 0.2
        values[130:] += 0.05
        assert [each.index for each in change_points(values)] == [40, 90, 130]

    def test_noise_and_constants_hold_no_change(self) -> None:
        assert not any(change_points(np.log(nights(seed=seed))) for seed in range(30))
        assert change_points(np.ones(50)) == []

    def test_a_step_below_the_smallest_size_is_none(self) -> None:
        values = np.log(stepped(effect=0.02, sd=0.001))
        assert change_points(values) == []
        assert [each.index for each in change_points(values, smallest=0.01)] == [40]

    @pytest.mark.skipif(importlib.util.find_spec("otava") is None, reason="needs apache-otava (pip install --no-deps)")
    def test_clear_steps_are_otava_s(self) -> None:
        from otava.analysis import compute_change_points  # type: ignore[import-not-found]

        rng = np.random.default_rng(0)
        for _ in range(20):
            values = rng.normal(10, 0.01, 120)
            for place in sorted(rng.choice(range(15, 110, 15), 3, replace=False)):
                values[place:] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.3)
            theirs, _ = compute_change_points(list(values), max_pvalue=1e-4, min_magnitude=0.005)
            assert [each.index for each in change_points(values, smallest=0.05)] == [int(each.index) for each in theirs]


class TestVotes:
    def test_a_change_has_most_votes_and_noise_none(self) -> None:
        assert len(votes(np.log(stepped(at=30, effect=0.08)), 30)) >= ENOUGH
        assert votes(np.log(nights()), 30) == ()

    def test_nothing_to_vote_on(self) -> None:
        assert votes(np.ones(30), 15) == ()
        assert votes(np.log(nights(20)), 19) == ()


class TestChanges:
    def test_a_step_is_told_with_its_size_place_and_levels(self) -> None:
        (found,) = changes(stepped().tolist())
        assert found.kind == "step"
        assert found.earliest <= 40 <= found.latest
        assert found.latest - found.earliest <= 4
        assert found.effect == pytest.approx(0.05, abs=0.01)
        assert found.after / found.before == pytest.approx(1 + found.effect)
        assert found.agreed

    def test_a_speed_up_is_a_change_too(self) -> None:
        (found,) = changes(stepped(effect=-0.1).tolist())
        assert found.effect == pytest.approx(-0.1, abs=0.01)

    def test_noise_holds_none_and_one_wild_night_is_none(self) -> None:
        for seed in range(30):
            values = nights(seed=seed)
            values[45] *= 1.5
            assert changes(values.tolist()) == []

    def test_below_the_noise_floor_is_none(self) -> None:
        values = stepped().tolist()
        assert changes(values, floor=0.005)
        assert changes(values, floor=0.03) == []

    def test_a_drift_is_one_trend_and_no_staircase(self) -> None:
        values = nights(100) * np.exp(np.linspace(0, 0.1, 100))
        (found,) = changes(values.tolist())
        assert found.kind == "trend"
        assert found.effect == pytest.approx(0.1, abs=0.02)

    def test_a_small_drift_is_none(self) -> None:
        assert changes((nights(100) * np.exp(np.linspace(0, 0.015, 100))).tolist()) == []

    def test_a_spread_that_grows_is_told(self) -> None:
        values = np.concatenate([nights(60), nights(14, sd=0.06, seed=1)])
        (found,) = [each for each in changes(values.tolist()) if each.kind == "spread"]
        assert found.index == 60
        assert found.effect > 1
        assert not [each for each in changes(nights(74).tolist()) if each.kind == "spread"]

    def test_a_step_no_larger_than_what_came_and_went_before_is_none(self) -> None:
        level = np.zeros(40)
        level[20:26] = 0.05
        split = Split(40, 1e-6, 0.0, 0.04)
        for before, kept in ((level, []), (np.zeros(40), [split])):
            assert _beyond_the_usual([split], np.concatenate([before, np.full(6, 0.04)]), 0) == kept
        # Of a level that lasts longer than that bulge, the bulge says less.
        assert _beyond_the_usual([split], np.concatenate([level, np.full(12, 0.04)]), 0) == [split]

    @pytest.mark.parametrize("nights_in_a_row", [3, 6])
    def test_what_single_nights_were_before_takes_more_of_them_in_a_row(self, nights_in_a_row: int) -> None:
        def ends_slow(before: np.ndarray) -> list[str]:
            return [each.kind for each in changes(np.concatenate([before, 1.3 * nights(nights_in_a_row, seed=5)]).tolist())]

        # A program of two speeds, by how its memory lies: one night in seven at the other one.
        two_speeds = nights(60)
        two_speeds[2::7] *= 1.3
        assert ends_slow(nights(60)) == ["step"]
        assert ends_slow(two_speeds) == ([] if nights_in_a_row == 3 else ["step"])

    def test_more_nights_at_the_other_speed_are_no_news_where_some_were_before(self) -> None:
        two_speeds = nights(60)
        two_speeds[2::7] *= 1.3
        recent = nights(14, seed=1)
        recent[[1, 2, 5, 6, 10, 11]] *= 1.3
        assert changes(np.concatenate([two_speeds, recent]).tolist()) == []
        assert [each.kind for each in changes(np.concatenate([nights(60), recent]).tolist())] == ["spread"]

    def test_what_a_chance_step_parted_is_one_level_again(self) -> None:
        values = nights(90)
        values[5:60:7] *= 1.3
        values[60:63] *= 1.3
        assert changes(values.tolist()) == []

    def test_too_few_nights_say_nothing(self) -> None:
        assert changes([1.0, 1.0, 2.0, 2.0]) == []
        assert changes([]) == []


class TestSuspicion:
    def test_a_slow_night_is_to_be_measured_again(self) -> None:
        values = [*nights(40).tolist(), 1.1]
        assert changes(values) == []
        found = suspicion(values, ())
        assert found is not None
        assert found.nights == 1
        assert found.effect == pytest.approx(0.1, abs=0.02)

    def test_a_few_nights_that_are_a_little_slow_are_too(self) -> None:
        values = [*nights(40, sd=0.026).tolist(), 1.04, 1.04, 1.04]
        found = suspicion(values, ())
        assert found is not None
        assert found.nights > 1

    def test_an_ordinary_or_faster_night_is_not(self) -> None:
        assert suspicion([*nights(40).tolist(), 1.0], ()) is None
        assert suspicion([*nights(40).tolist(), 0.5], ()) is None

    def test_what_was_measured_again_is_not_suspected_for_the_same_nights(self) -> None:
        values = [*nights(40).tolist(), 1.1]
        assert suspicion(values, (), cleared=41) is None
        assert suspicion([*values, 1.1], (), cleared=41) is not None

    def test_where_nights_scatter_much_an_ordinary_night_is_measured_again(self) -> None:
        calm, wild = (np.exp(np.random.default_rng(3).normal(0, sd, 60)) for sd in (0.01, 0.06))
        calm[-1] = wild[-1] = 1.03
        # A tenth slower could look like that on the wild one, in one night of twenty, and not on the calm one.
        assert suspicion([*calm[:-1], 1.02], []) is None
        found = suspicion(list(wild), [])
        assert found is not None
        assert found.nights == 1

    def test_a_new_level_is_too_young(self) -> None:
        values = stepped(at=55, effect=0.2).tolist()
        found = changes(values)
        assert found
        assert suspicion([*values, 1.3], found) is None


def test_the_noise_floor_is_learnt_from_three_runs_on() -> None:
    assert noise_floor([0.01, -0.01]) is None
    floor = noise_floor(np.random.default_rng(0).normal(0, 0.02, 400).tolist())
    assert floor == pytest.approx(0.02, rel=0.1)
    # Runs that all lie off to one side are no smaller noise for it.
    assert noise_floor([0.1, 0.1, 0.1]) == pytest.approx(0.05)
    assert RULES.floors * 0.02 > RULES.smallest
