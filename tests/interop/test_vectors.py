"""The repository's codec vectors, in both directions: every value is derived, every message opened and reproduced."""

import json
from pathlib import Path

import pytest

import mte_open
from mte_open import MTE, Decoder, DecodeFailed, Header, Sealer

FILE = Path(__file__).resolve().parents[2] / "crates/mte-codec/vectors/v1.json"

VECTORS = json.loads(FILE.read_text())


def cases(section):
    entries = VECTORS[section]
    return pytest.mark.parametrize("vector", entries, ids=[f"{section}-{i}" for i in range(len(entries))])


def data(vector, name):
    return bytes.fromhex(vector.get(name, ""))


def root_of(index):
    return data(VECTORS["directions"][index], "root")


@pytest.mark.parametrize("section", ["kem", "directions", "messages", "refused", "windows"])
def test_the_file_has_vectors_of_every_kind(section):
    assert VECTORS[section]


@cases("kem")
def test_keys_ciphertext_and_entropy_of_a_kem_exchange_are_reproduced(vector):
    kem = mte_open.KEMS[vector["id"]]
    pair = kem.from_seed(data(vector, "seed"))
    key, ciphertext, shared = (data(vector, name) for name in ("encapsulation_key", "ciphertext", "shared_secret"))
    assert pair.encapsulation_key == key and mte_open.kem_of_key(key) is kem
    assert kem.encapsulate(key, data(vector, "randomness")) == (shared, ciphertext)
    assert pair.decapsulate(ciphertext) == shared
    assert pair.entropy(ciphertext) == data(vector, "entropy")


def test_every_kem_has_a_vector():
    assert {vector["id"] for vector in VECTORS["kem"]} == set(mte_open.KEMS)


@cases("directions")
def test_root_and_epochs_of_a_direction_are_reproduced(vector):
    root = mte_open.root_secret(
        data(vector, "entropy"), vector["nonce"], vector["personalization"], data(vector, "auth"), data(vector, "context")
    )
    assert root == data(vector, "root")
    for epoch, secret in vector["epochs"].items():
        assert mte_open.epoch_secret(root, int(epoch)).hex() == secret


@cases("messages")
def test_a_message_is_reproduced_byte_for_byte(vector):
    header = Header(vector["type"], vector["place"], vector["n"], data(vector, "salt"))
    epoch = mte_open.epoch_secret(root_of(vector["direction"]), vector["n"] // 32)
    filler = data(vector, "filler") if vector["type"] == MTE else None
    made = Sealer(epoch, header).whole(data(vector, "plaintext"), vector["frame_sizes"], filler=filler)
    assert made.hex() == vector["message"]


@cases("messages")
def test_a_message_opens_to_its_plaintext_whole_and_byte_by_byte(vector):
    message, plaintext = data(vector, "message"), data(vector, "plaintext")
    for step in (len(message), 1):
        opener = Decoder(root_of(vector["direction"])).begin(vector["type"], vector["place"])
        pieces = [piece for at in range(0, len(message), step) for piece in opener.feed(message[at : at + step])]
        assert b"".join(pieces) + opener.finish() == plaintext
        assert opener.header.number == vector["n"]


@cases("refused")
def test_invalid_messages_are_refused_whichever_type_and_place_are_expected(vector):
    message = data(vector, "message")
    own = dict(zip(("type", "place"), message[:2]))
    for expected in (own, own | vector.get("expected", {})):
        with pytest.raises(DecodeFailed):
            Decoder(root_of(vector["direction"])).decode(message, expected.get("type"), expected.get("place"))


@cases("windows")
def test_a_window_accepts_and_refuses_the_same_numbers(vector):
    decoder = Decoder(bytes(32))
    for step in vector["steps"]:
        if step["outcome"] == "taken":
            decoder.commit(step["first"], step["count"])
        else:
            with pytest.raises(DecodeFailed):
                decoder.commit(step["first"], step["count"])
