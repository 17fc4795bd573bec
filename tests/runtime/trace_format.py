"""What the Perfetto UI takes of the Trace Event Format, as a check of events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

Event = dict[str, Any]


def check_format(events: Sequence[Event]) -> None:
    """Fails on an event that the UI would drop, draw on the wrong track, or draw inside another one."""
    processes = {event["pid"] for event in events if event["ph"] == "M" and event["name"] == "process_name"}
    tracks = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    slices: dict[tuple[int, int], list[tuple[int, int, Event]]] = {}
    for event in events:
        assert event["ph"] in ("M", "X", "C"), event
        assert isinstance(event["name"], str), event
        assert event["pid"] in processes, event
        if event["ph"] == "M":
            continue
        assert math.isfinite(event["ts"]), event
        assert event["ts"] >= 0, event
        if event["ph"] == "C":
            assert event["args"], event
            assert all(type(value) in (int, float) for value in event["args"].values()), event
            continue
        assert isinstance(event["cat"], str), event
        assert event["dur"] >= 0, event
        track = event["pid"], event["tid"]
        assert event["tid"] != event["pid"], "the UI calls such a track the main thread"
        assert track in tracks, event
        begin = round(1000 * event["ts"])
        slices.setdefault(track, []).append((begin, begin + round(1000 * event["dur"]), event))
    assert len({(pid, name) for (pid, _), name in tracks.items()}) == len(tracks), "two tracks of one name"
    for drawn in slices.values():
        drawn.sort(key=lambda item: item[:2])
        for (_, end, first), (begin, _, second) in pairwise(drawn):
            assert end <= begin, (first, second)
