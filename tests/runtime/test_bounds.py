import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from edge_runtime.evaluation.bounds import Rate, needed, percent, promise


@given(total=st.integers(1, 400), share=st.floats(0, 1))
def test_the_bounds_are_those_of_clopper_and_pearson(total: int, share: float) -> None:
    rate = Rate(round(total * share), total)
    expected = binomtest(rate.count, rate.total).proportion_ci(0.95, "exact")
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert rate.low <= rate.share <= rate.high
    assert rate.high >= rate.at_most >= rate.share


@given(total=st.integers(1, 300), count=st.integers(0, 299))
def test_were_there_more_misses_than_promised_so_few_would_be_seen_once_in_twenty(total: int, count: int) -> None:
    if count < total:
        assert binom.cdf(count, total, Rate(count, total).at_most) == pytest.approx(0.05, abs=1e-6)


def test_a_few_frames_promise_little_and_say_so() -> None:
    escapes, false_rejects = promise(Rate(0, 28), Rate(1, 400))
    assert escapes == (
        "0 misses in 28 defects: up to 10.2 % escapes at 95 % confidence; 299 defects without a single miss are needed for 1 %"
    )
    assert false_rejects.startswith("1 false reject in 400 good frames: up to 1.19 % false rejects")
    assert Rate(0, needed(0.01)).at_most <= 0.01 < Rate(0, needed(0.01) - 1).at_most


def test_what_is_not_zero_is_never_called_zero_and_a_bound_is_never_made_smaller() -> None:
    shown = [percent(share) for share in (0, 0.00013, 0.0333, 0.5, 0.9951, 0.99999, 1)]
    assert shown == ["0 %", "0.013 %", "3.33 %", "50 %", "99.51 %", "99.999 %", "100 %"]
    assert promise(Rate(0, 290), Rate(0, 290))[0].startswith("0 misses in 290 defects: up to 1.03 % escapes")


@given(total=st.integers(1, 2000), share=st.floats(0, 1))
def test_what_is_printed_promises_no_more_than_what_was_computed(total: int, share: float) -> None:
    rate = Rate(round(total * share), total)
    low, high = (
        float(bound.removesuffix(" %")) / 100 for bound in str(rate).split("bounds ")[1].rstrip(")").split(" to ")
    )
    assert low <= rate.low + 1e-12 and high >= rate.high - 1e-12


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3)])
def test_counts_that_can_not_be_are_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="of 3"):
        Rate(count, total)
