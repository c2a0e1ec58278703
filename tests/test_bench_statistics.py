"""The statistics of a paired comparison, on samples of which the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_dlcheck.benchmark.simulation import NOISES, rates
from pytest_dlcheck.benchmark.statistics import (
    FEWEST_PAIRS,
    INCONCLUSIVE,
    LEVEL,
    LOOKS,
    OK,
    REGRESSED,
    SMALLEST_EFFECT,
    Round,
    effect,
    judge_round,
    judge_rounds,
    judge_starts,
    log_ratios,
    noise_sd,
    round_is_done,
)

FIVE, TEN, TWENTY = math.log(1.05), math.log(1.10), math.log(1.20)


def drawn(centre: float, sd: float = 0.01, pairs: int = 40, seed: int = 0) -> list[float]:
    """Log-ratios about a centre, a number of them on either side of it."""
    values = np.random.default_rng(seed).normal(0, sd, pairs)
    return (values - np.median(values) + centre).tolist()


def rounds(ab: list[float], aa: list[float] | None = None, **options: float) -> list[Round]:
    return [
        Round(drawn(noise, seed=2 * n), drawn(centre, seed=2 * n + 1, **options))  # type: ignore[arg-type]
        for n, (noise, centre) in enumerate(zip(aa or [0.0] * len(ab), ab, strict=True))
    ]


class TestLogRatios:
    def test_are_above_zero_where_the_candidate_takes_longer(self) -> None:
        assert log_ratios([1.0, 2.0], [2.0, 1.0]).tolist() == pytest.approx([math.log(2), -math.log(2)])

    @pytest.mark.parametrize(
        ("one", "other", "words"),
        [([1.0], [1.0, 2.0], "two rows of one length"), ([1.0], [0.0], "above zero"), ([math.nan], [1.0], "finite")],
    )
    def test_refuse_what_is_no_time(self, one: list[float], other: list[float], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            log_ratios(one, other)


class TestEffect:
    def test_holds_the_median_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(1)
        missed = 0
        for _ in range(1000):
            found = effect(rng.laplace(0.0, 1.0, 60), 0.95)
            missed += not found.low <= 0.0 <= found.high
        assert missed <= 65  # 50 expected at most, and two standard deviations of a binomial count

    def test_is_as_far_out_as_the_binomial_distribution_says(self) -> None:
        found = effect(
            np.random.default_rng(0).permutation(np.arange(1.0, 101.0)), 0.99
        )  # of 100, the 37th and the 64th are the textbook's
        assert (found.low, found.median, found.high) == (37.0, 50.5, 64.0)

    def test_is_wider_where_a_value_follows_the_one_before(self) -> None:
        rng = np.random.default_rng(2)
        independent = rng.normal(size=400)
        follows = np.empty(400)
        follows[0] = 0.0
        for n in range(1, 400):
            follows[n] = 0.9 * follows[n - 1] + math.sqrt(1 - 0.81) * independent[n]
        one, other = effect(independent), effect(follows)
        assert other.high - other.low > 1.5 * (one.high - one.low)

    def test_of_equal_values_has_no_width(self) -> None:
        found = effect([0.25] * 40)
        assert (found.low, found.median, found.high) == (0.25, 0.25, 0.25)

    def test_of_few_pairs_is_unbounded(self) -> None:
        assert (effect([1.0] * 5).low, effect([1.0] * 5).high) == (-math.inf, math.inf)
        with pytest.raises(ValueError, match="no pairs"):
            effect([])


class TestLooks:
    def test_err_by_no_more_than_the_whole_in_all(self) -> None:
        assert sum(1 - look.level for look in LOOKS) == pytest.approx(1 - LEVEL)
        assert [look.pairs for look in LOOKS] == [20, 40, 80]

    @pytest.mark.parametrize("look", LOOKS)
    def test_have_enough_pairs_for_their_level(self, look: object) -> None:
        assert isinstance(look, type(LOOKS[0]))
        assert math.isfinite(effect(drawn(0.0, pairs=look.pairs), look.level).low)

    def test_end_a_round_once_it_is_decided_and_not_before_forty_pairs(self) -> None:
        whole = rounds([0.0], pairs=80)[0]
        assert len(whole.ab) == 80

        def done(pairs: int, affordable: int = 80, spread: float = 1.0) -> bool:
            return round_is_done(Round(whole.aa[:pairs], [spread * each for each in whole.ab[:pairs]]), affordable)

        whole = Round(drawn(0.0, pairs=80), whole.ab)
        assert [done(n) for n in (1, 20, 39, 40, 79, 80)] == [False, False, False, True, False, True]
        assert not done(40, spread=20.0), "an interval that wide decides nothing"
        assert done(20, affordable=39), "the budget affords no further look"
        assert not done(19, affordable=3), "fewer than the first look's are no round"
        assert FEWEST_PAIRS == 40


class TestJudging:
    @pytest.mark.parametrize(
        ("ab", "outcome", "words"),
        [
            ([0.0, 0.0, 0.0], OK, "not slower: "),
            ([FIVE, FIVE, FIVE], REGRESSED, "3 of 3 sets of processes show it"),
            ([FIVE, FIVE, math.log(1.02)], REGRESSED, "2 of 3 sets of processes show it"),
            ([TEN], INCONCLUSIVE, "1 of 1 sets of processes show it: not confirmed"),
            ([-FIVE, -FIVE, -FIVE], OK, "faster: "),
        ],
    )
    def test_gives_one_of_three_verdicts(self, ab: list[float], outcome: str, words: str) -> None:
        found = judge_rounds(rounds(ab))
        assert (found.outcome, words in found.why) == (outcome, True), found.why
        assert found.improved is (outcome == OK and ab[0] < 0)

    def test_lets_the_smallest_effect_that_counts_be(self) -> None:
        assert judge_rounds(rounds([math.log(1.01)] * 3)).outcome == OK
        near = judge_rounds(rounds([math.log(1.028)] * 3, sd=0.02))
        assert (near.outcome, "cannot be excluded" in near.why) == (INCONCLUSIVE, True), near.why

    def test_asks_more_where_the_same_code_differs_from_itself(self) -> None:
        noisy = [0.025, -0.025, 0.02]
        found = judge_rounds(rounds([FIVE] * 3, noisy))
        assert found.outcome == INCONCLUSIVE
        assert "within what noise does here" in found.why
        assert found.threshold == pytest.approx(3 * math.sqrt(np.mean(np.square(noisy))))
        assert judge_rounds(rounds([TEN] * 3, noisy)).outcome == REGRESSED

    @pytest.mark.parametrize(
        ("aa", "words"),
        [([0.06, 0.0, 0.0], "not clean: in round 1 the same code differs from itself by +6.2 %"), ([0.0, -0.06], "in round 2")],
    )
    def test_says_nothing_where_the_same_code_is_seen_to_differ(self, aa: list[float], words: str) -> None:
        found = judge_rounds(rounds([TWENTY] * len(aa), aa))
        assert found.outcome == INCONCLUSIVE
        assert words in found.why

    def test_says_nothing_where_the_noise_would_hide_a_tenth(self) -> None:
        wild = [Round(drawn(0.0, sd=0.4, seed=n), drawn(TWENTY, seed=n + 9)) for n in range(3)]
        found = judge_rounds(wild)
        assert (found.outcome, "too noisy" in found.why) == (INCONCLUSIVE, True)

    def test_of_the_same_twice_is_of_its_noise(self) -> None:
        same = [Round(each.aa, []) for each in rounds([0.0] * 3)]
        assert judge_rounds(same).outcome == OK
        assert judge_rounds(same).effect == judge_rounds(same).aa
        assert judge_rounds([Round(drawn(0.06), [])]).outcome == INCONCLUSIVE

    def test_of_a_round_takes_the_looks_level(self) -> None:
        each = rounds([FIVE])[0]
        assert judge_round(each, LOOKS[1].level).effect.level == LOOKS[1].level
        assert judge_round(each, LOOKS[1].level).outcome == REGRESSED

    def test_noise_is_seen_between_rounds_and_within_one(self) -> None:
        assert noise_sd([drawn(0.02), drawn(-0.02)]) == pytest.approx(0.02)
        assert noise_sd([drawn(0.0, sd=0.1)]) > 0.01
        assert math.log(1.03) == SMALLEST_EFFECT


class TestStarts:
    @pytest.mark.parametrize(
        ("again", "new", "outcome"),
        [
            ([1.01, 0.99, 1.0], [1.5, 1.5, 1.52], REGRESSED),
            ([1.01, 0.99, 1.0], [1.0, 1.02, 0.98], OK),
            ([1.01, 0.99, 1.0], [1.5, 1.5, 1.005], INCONCLUSIVE),
            ([1.3, 0.8, 1.2], [1.35, 1.4, 1.35], INCONCLUSIVE),
            ([1.01], [1.5], INCONCLUSIVE),
            ([1.01], [1.02], OK),
        ],
    )
    def test_are_judged_by_ranks_and_size(self, again: list[float], new: list[float], outcome: str) -> None:
        assert judge_starts([1.0, 0.99, 1.01][: len(new)], again, new, TEN)[0] == outcome

    def test_of_nothing_at_all_are_alike(self) -> None:
        assert judge_starts([0.0] * 3, [0.0] * 3, [0.0] * 3, TEN)[:2] == (OK, 0.0)


class TestSimulated:
    """The script docs/bench_simulation.py does the same with more comparisons, and docs/comparing.md has its table."""

    @pytest.mark.parametrize("name", NOISES)
    def test_the_same_code_is_not_called_slower(self, name: str) -> None:
        assert rates(NOISES[name], 0.0, 25, seed=0).regressed == 0.0

    @pytest.mark.parametrize("name", ["quiet", "shared machine", "drift"])
    def test_five_percent_are_found(self, name: str) -> None:
        assert rates(NOISES[name], FIVE, 25, seed=1).regressed >= 0.9

    @pytest.mark.parametrize("name", ["outliers", "autocorrelated", "processes differ", "heavy load"])
    def test_five_percent_are_never_called_nothing_much(self, name: str) -> None:
        assert rates(NOISES[name], FIVE, 25, seed=2).ok == 0.0

    def test_fewer_pairs_find_less(self) -> None:
        few, many = (rates(NOISES["autocorrelated"], FIVE, 25, seed=3, affordable=n) for n in (20, 80))
        assert few.pairs < many.pairs
        assert few.regressed <= many.regressed
