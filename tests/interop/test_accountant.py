"""The accountant, and `tandem privacy epsilon`, against Google's dp-accounting.

Unit: one client. Adjacency: add or remove one. Sampling: Poisson.
"""

import itertools
import json
import math

import dp_accounting
import mpmath
import pytest
from dp_accounting import pld
from dp_accounting import rdp

# What privacy/rdp_accountant.h documents as DefaultOrders().
ORDERS = list(range(2, 64)) + [64, 128, 256, 512, 1024]

NOISE = [0.3, 0.5, 0.8, 1.0, 1.5, 3.0, 10.0, 50.0]
RATE = [1e-4, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.9999, 1.0]
STEPS = [1, 10, 300, 10000]
DELTA = [1e-10, 1e-6, 1e-5, 1e-3]


def event(noise, rate, steps):
    one = dp_accounting.GaussianDpEvent(noise)
    if rate < 1:
        one = dp_accounting.PoissonSampledDpEvent(rate, one)
    return dp_accounting.SelfComposedDpEvent(one, steps)


@pytest.fixture(scope="module")
def grid(program):
    """grid(questions): our epsilon for every (noise, rate, steps, delta)."""
    def run(questions):
        lines = [" ".join(map(repr, question)) for question in questions]
        return list(map(float, program("epsilon_lines", "\n".join(lines)).split()))

    return run


@pytest.fixture(scope="module")
def ours(grid):
    return lambda *question: grid([question])[0]


def test_the_command_prints_what_the_library_computes(tandem, ours):
    for noise, rate, steps, delta in [
            (0.8, 0.001, 1000, 1e-6), (1.0, 1.0, 1, 1e-5), (50.0, 0.5, 7, 1e-3)]:
        printed = json.loads(tandem(
            "privacy", "epsilon", "--noise-multiplier", repr(noise),
            "--sampling-rate", repr(rate), "--steps", steps,
            "--delta", repr(delta)))
        assert printed["epsilon"] == ours(noise, rate, steps, delta)
        assert printed["delta"] == delta
        assert printed["order"] in ORDERS
        assert "rdp" in printed["accountant"].lower()


@pytest.mark.parametrize("noise", NOISE)
def test_equals_the_rdp_accountant(grid, noise):
    questions = list(itertools.product([noise], RATE, STEPS, DELTA))
    for (_, rate, steps, delta), epsilon in zip(
            questions, grid(questions), strict=True):
        reference = rdp.RdpAccountant(ORDERS)
        reference.compose(event(noise, rate, steps))
        # Where the divergence of one step is far below 1, the reference
        # takes the logarithm of a sum that is 1 in all but its last digits.
        assert math.isclose(
            epsilon, reference.get_epsilon(delta), rel_tol=1e-9,
            abs_tol=1e-15 * steps), (noise, rate, steps, delta)


def exact_epsilon(noise, rate, steps, delta):
    """The documented formulas in 60 digits."""
    with mpmath.workdps(60):
        z, q, d = mpmath.mpf(noise), mpmath.mpf(rate), mpmath.mpf(delta)
        best = mpmath.inf
        for a in ORDERS:
            total = mpmath.fsum(
                mpmath.binomial(a, k) * (1 - q) ** (a - k) * q ** k
                * mpmath.exp((k * k - k) / (2 * z * z)) for k in range(a + 1))
            divergence = steps * mpmath.log(total) / (a - 1)
            epsilon = (divergence + mpmath.log(mpmath.mpf(a - 1) / a)
                       - mpmath.log(d * a) / (a - 1))
            if d * d + mpmath.expm1(-divergence) > 0:
                epsilon = mpmath.mpf(0)  # total variation is below delta
            best = min(best, max(epsilon, mpmath.mpf(0)))
        return float(best)


@pytest.mark.parametrize("noise,rate,steps,delta", [
    (50.0, 0.001, 10000, 1e-3), (50.0, 1e-4, 10000, 1e-5),
    (10.0, 1e-4, 10000, 1e-3), (300.0, 0.01, 100000, 1e-4),
    (1.5, 0.04, 2250, 1e-5), (1.0, 1 - 1e-12, 10, 1e-5),
    (1e-4, 0.3, 7, 1e-8),
])
def test_equals_the_formula_in_60_digits(ours, noise, rate, steps, delta):
    expected = exact_epsilon(noise, rate, steps, delta)
    assert math.isclose(ours(noise, rate, steps, delta), expected,
                        rel_tol=1e-9), expected


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.1])
@pytest.mark.parametrize("rate", [1e-4, 0.5, 1 - 1e-12, 1.0])
def test_equals_the_rdp_accountant_at_tiny_noise(ours, noise, rate):
    """Epsilon is huge, and must be neither infinite nor NaN."""
    reference = rdp.RdpAccountant(ORDERS)
    reference.compose(event(noise, rate, 3))
    expected = reference.get_epsilon(1e-5)
    assert math.isfinite(expected)
    assert math.isclose(ours(noise, rate, 3, 1e-5), expected, rel_tol=1e-9)


@pytest.mark.parametrize("noise,rate,steps", [
    (0.8, 0.001, 1000), (1.0, 0.01, 300), (1.5, 0.05, 100), (1.5, 0.04, 2250),
    (2.0, 0.2, 30), (3.0, 0.9, 10), (1.0, 1.0, 1), (5.0, 1.0, 50),
])
def test_is_never_below_the_privacy_loss_distribution(ours, noise, rate, steps):
    """The PLD accountant is tight, and pessimistic: its discretisation only adds.

    An RDP bound must therefore be above it.
    """
    tight = pld.PLDAccountant(value_discretization_interval=1e-4)
    tight.compose(event(noise, rate, steps))
    for delta in (1e-6, 1e-5, 1e-3):
        epsilon = ours(noise, rate, steps, delta)
        assert epsilon >= tight.get_epsilon(delta), (noise, rate, steps, delta)
