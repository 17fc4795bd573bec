"""The AXI monitor accepts good traces and names the rule that a broken one breaks."""

import pytest

from tests.gateware.axi_monitor import AXIChecker, ProtocolError

SIZE, INCR = 4, 1


def address(channel, where, beats, identity=0, size=SIZE, burst=INCR):
    return (channel, 1, 1, (identity, where, beats - 1, size, burst))


def data(last, *, valid=1, ready=1, value=0):
    return ("w", valid, ready, (value, 0xFFFF, last))


def read_beat(last, identity=0):
    return ("r", 1, 1, (identity, 0, 0, last))


def response(identity=0):
    return ("b", 1, 1, (identity, 0))


def idle(channel):
    return (channel, 0, 0, ())


GOOD = {
    "write": [address("aw", 0xFE0, 2), data(0), data(1), response()],
    "data before its address": [data(0), data(1), address("aw", 0, 2), response()],
    "read": [address("ar", 0, 2), read_beat(0), read_beat(1)],
    "reads out of order": [address("ar", 0, 1, 1), address("ar", 0, 2, 2), read_beat(0, 2), read_beat(1, 1), read_beat(1, 2)],
    "stalled": [address("aw", 0, 1), data(1, ready=0), data(1), response(), idle("w")],
    "whole page": [address("ar", 0x1000, 256), *[read_beat(0)] * 255, read_beat(1)],
}

BROKEN = {
    "cross a 4 KB boundary": [address("aw", 0xFF0, 2)],
    "17 beats at 0x0; 16 are allowed": [address("ar", 0, 17)],
    "is not INCR": [address("ar", 0, 1, burst=2)],
    "is not that of a whole word": [address("ar", 0, 1, size=3)],
    "is not that of a word": [address("ar", 8, 1)],
    "WLAST after 1 beats of a burst of 2": [address("aw", 0, 2), data(1)],
    "no WLAST after 2 beats": [address("aw", 0, 2), data(0), data(0)],
    "WLAST after 2 beats of a burst of 1": [data(0), data(1), address("aw", 0, 1)],
    "RLAST is 1 with 1 beats to go": [address("ar", 0, 2), read_beat(1)],
    "RLAST is 0 with 0 beats to go": [address("ar", 0, 1), read_beat(0)],
    "a beat with id 3": [address("ar", 0, 1), read_beat(1, 3)],
    "a response with id 1": [address("aw", 0, 1), data(1), response(1)],
    "withdrew VALID": [data(1, ready=0), idle("w")],
    "changed": [data(1, ready=0), data(1, value=1)],
    "3 bursts on the bus": [address("ar", 0, 1)] * 3,
}


def play(checker, trace):
    for event in trace:
        checker.cycle(*event)


@pytest.mark.parametrize("name", GOOD)
def test_good_traces_pass(name):
    checker = AXIChecker()
    play(checker, GOOD[name])
    assert checker.quiet


@pytest.mark.parametrize("message", BROKEN)
def test_broken_traces_are_named(message):
    checker = AXIChecker(max_beats=16, max_outstanding=2)
    with pytest.raises(ProtocolError, match=message):
        play(checker, BROKEN[message])


def test_an_unfinished_burst_is_not_quiet():
    checker = AXIChecker()
    for event in [address("aw", 0, 1), data(1)]:
        checker.cycle(*event)
        assert not checker.quiet
    checker.cycle(*response())
    assert checker.quiet
