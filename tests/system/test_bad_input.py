"""Hostile and mistaken input, by tables: every line gets its exact, documented answer; the good events
of the same connection and of everybody else are intact; and every received event ends in exactly one
counter, which is looked at behind every line."""

import pytest

import bad_input_events as events
import bad_input_http as http
import bad_input_stream as stream
from bad_input_case import run_case
from bad_input_shop import Shop

HTTP_CLASSES = {
    "method-and-path": http.METHOD_AND_PATH,
    "json": events.JSON,
    "types": events.TYPES,
    "sizes": events.SIZES,
    "encodings": events.ENCODINGS,
    "truncation": http.TRUNCATION,
    "pipelined-garbage": http.PIPELINED_GARBAGE,
    "length-and-coding": http.LENGTH_AND_CODING,
    "nesting": events.NESTING,
    "timestamps": events.TIMESTAMPS,
    "compression": events.COMPRESSION,
    "versions": http.VERSIONS,
}


STREAM_CLASSES = {
    "frames": stream.FRAMES,
    "messages": stream.MESSAGES,
    "versions": stream.STREAM_VERSIONS,
    "events": stream.EVENTS,
}


@pytest.fixture(scope="module")
def shop():
    with Shop("bad") as served:
        yield served


@pytest.fixture(scope="module")
def keyed_shop():
    with Shop("keyed", key=http.KEY) as served:
        yield served


def run_table(shop, cases, run=run_case):
    faults = []
    for case in cases:
        try:
            run(shop, case)
        except (AssertionError, OSError) as fault:
            faults.append(f"{case.name}: {fault!r}")
            shop.start_the_books_again()
    assert not faults, "\n".join(faults)
    shop.expect_profiles()


@pytest.mark.parametrize("name", HTTP_CLASSES)
def test_bad_requests_are_refused_and_hurt_nobody(shop, name):
    assert len(HTTP_CLASSES[name]) >= 5
    run_table(shop, HTTP_CLASSES[name])


def test_wrong_keys_are_refused_and_hurt_nobody(keyed_shop):
    run_table(keyed_shop, http.KEYS)
    run_table(keyed_shop, stream.STREAM_KEYS, stream.run_stream_case)


@pytest.mark.parametrize("name", STREAM_CLASSES)
def test_bad_frames_are_refused_and_hurt_nobody(shop, name):
    assert len(STREAM_CLASSES[name]) >= 5
    run_table(shop, STREAM_CLASSES[name], stream.run_stream_case)
