"""The files of `tandem train --metrics-dir`, read by pandas, and without
TensorFlow."""

import json
import struct

import pandas
import pytest


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The payloads of a TFRecord file, their checksums checked."""
    while data:
        length, length_crc = struct.unpack_from("<QI", data)
        payload = data[12:12 + length]
        (payload_crc,) = struct.unpack_from("<I", data, 12 + length)
        assert length_crc == masked(data[:8])
        assert payload_crc == masked(payload)
        yield payload
        data = data[16 + length:]


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of the fields of a protocol buffer."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        elif kind == 5:
            (value,) = struct.unpack_from("<f", data, at)
            at += 4
        else:
            assert kind == 2
            size, at = varint(data, at)
            value = data[at:at + size]
            at += size
        yield key >> 3, value


def scalars(path):
    """(step, tag, value) of every scalar; the file's version is checked."""
    events = [dict(fields(e)) for e in records(path.read_bytes())]
    assert events[0][3] == b"brain.Event:2"
    for event in events[1:]:
        assert event[1] > 1.6e9
        for number, value in fields(event[5]):
            assert number == 1
            value = dict(fields(value))
            yield event[2], value[1].decode(), value[2]


@pytest.fixture(scope="module")
def metrics(tandem, model_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    data = folder / "data.jsonl"
    data.write_text("".join(
        json.dumps({"text": f"Line {i} of a few words."}) + "\n"
        for i in range(8)))
    tandem("train", "--model", model_path, "--data", data, "--steps", 3,
           "--rank", 2, "--target-modules", "q_proj", "--batch-size", 2,
           "--validation", data, "--max-validation-examples", 2,
           "--evaluate-every", 2, "--metrics-dir", folder / "metrics",
           "--out", folder / "adapter")
    return folder / "metrics"


def test_events_and_csv_agree(metrics):
    (events,) = metrics.glob("events.out.tfevents.*")
    table = pandas.read_csv(metrics / "metrics.csv")
    assert table["step"].tolist() == [1, 2, 3]
    assert all(pandas.api.types.is_numeric_dtype(t) for t in table.dtypes)
    found = {(step, tag): value for step, tag, value in scalars(events)}
    columns = {"train/loss": "loss", "train/learning_rate": "learning_rate",
               "data/tokens": "tokens", "validation/loss": "validation_loss"}
    for tag, column in columns.items():
        for step, cell in zip(table["step"], table[column]):
            value = found.get((step, tag))
            if pandas.isna(cell):
                assert value is None
            else:
                assert value == pytest.approx(cell, rel=1e-6)
    assert table["validation_loss"].isna().tolist() == [True, False, False]
    assert (table["loss"] > 0).all()
