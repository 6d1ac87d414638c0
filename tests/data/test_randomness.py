"""Streams of random numbers are fixed for ever and keep their parts apart."""

from gradprom.randomness import stream


def test_stream_is_a_63_bit_number_fixed_for_ever() -> None:
    assert stream(0, "augment", 7) == stream(0, "augment", 7) == 137718535763351472
    assert all(0 <= stream(i) < 2**63 for i in range(100))
    assert max(stream(i) for i in range(100)) > 2**62


def test_stream_keeps_its_parts_apart() -> None:
    assert len({stream("a", "b"), stream("ab"), stream("b", "a"), stream("a", "b", "")}) == 4
    assert stream(1, 23) != stream(12, 3)
