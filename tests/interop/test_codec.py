"""The codec against itself: the guarantees of CODEC.md, without a relay."""

import os
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from kyber_py.ml_kem import ML_KEM_768, ML_KEM_1024

import mte_open
from mte_open import KEMS, MKE, MTE, Decoder, DecodeFailed, Encoder, Header, place

ROOT = bytes(range(32))
PLACE = place(0, 1)
TYPES = pytest.mark.parametrize("type", [MKE, MTE], ids=["MKE", "MTE"])
SIZES = [0, 1, 59, 60, 61, 124, 1000, 65_535, 65_536, 65_537, 200_000]


def message(type, plaintext=b"some plaintext of several frames", root=ROOT, **how):
    how.setdefault("frame_size", 7)
    return Encoder(root).encode(type, PLACE, plaintext, **how)


def refused(sealed, type, root=ROOT):
    with pytest.raises(DecodeFailed):
        Decoder(root).decode(sealed, type, PLACE)
    return True


# --- KEM ---


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda kem: kem.name)
def test_both_sides_of_a_kem_exchange_derive_one_entropy(kem):
    pair = kem.generate()
    shared, ciphertext = kem.encapsulate(pair.encapsulation_key)
    assert (len(pair.encapsulation_key), len(ciphertext)) == (kem.key_size, kem.ciphertext_size)
    assert mte_open.kem_of_key(pair.encapsulation_key) is kem
    assert pair.entropy(ciphertext) == mte_open.entropy(kem.id, shared, pair.encapsulation_key, ciphertext)


@pytest.mark.parametrize("ours, private, public", [
    (ML_KEM_768, mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey),
    (ML_KEM_1024, mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey),
], ids=["ML-KEM-768", "ML-KEM-1024"])
def test_another_implementation_of_fips_203_agrees_on_keys_and_secrets(ours, private, public):
    seed = os.urandom(64)
    key, secret = ours.key_derive(seed)
    theirs = private.from_seed_bytes(seed)
    assert theirs.public_key().public_bytes_raw() == key
    shared, ciphertext = public.from_public_bytes(key).encapsulate()
    assert ours.decaps(secret, ciphertext) == shared
    shared, ciphertext = ours.encaps(key)
    assert theirs.decapsulate(ciphertext) == shared


def test_xwing_gives_the_secret_of_the_drafts_first_test_vector():
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    randomness = bytes.fromhex(
        "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2"
        "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2"
    )
    pair = KEMS[4].from_seed(seed)
    shared, ciphertext = KEMS[4].encapsulate(pair.encapsulation_key, randomness)
    assert shared.hex() == "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384"
    assert pair.decapsulate(ciphertext) == shared


@pytest.mark.parametrize("kem", KEMS.values(), ids=lambda kem: kem.name)
def test_a_key_that_fails_the_modulus_check_is_refused(kem):
    key = kem.generate().encapsulation_key
    with pytest.raises(ValueError):
        kem.encapsulate(b"\xff" * 32 + key[32:])


def test_a_key_of_another_size_has_no_kem():
    with pytest.raises(ValueError):
        mte_open.kem_of_key(bytes(1000))


# --- Root and epochs ---


def test_personalization_and_context_cannot_run_into_each_other():
    roots = {mte_open.root_secret(ROOT, "7", "ab", context=b"c"), mte_open.root_secret(ROOT, "7", "a", context=b"bc")}
    assert len(roots) == 2


def test_every_input_of_the_root_changes_it():
    given = dict(entropy=ROOT, nonce="12", personalization="p", auth=b"", context=b"")
    other = dict(entropy=bytes(32), nonce="13", personalization="q", auth=b"a", context=b"c")
    roots = {mte_open.root_secret(**given)} | {mte_open.root_secret(**{**given, name: other[name]}) for name in other}
    assert len(roots) == 6


def test_hkdf_gives_the_values_of_rfc_5869():
    okm = mte_open.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


# --- Messages ---


@TYPES
@pytest.mark.parametrize("size", SIZES)
def test_a_message_opens_to_what_was_sealed(type, size):
    plaintext = random.Random(size).randbytes(size)
    sealed = Encoder(ROOT).encode(type, PLACE, plaintext)
    assert Decoder(ROOT).decode(sealed, type, PLACE) == plaintext


def test_the_smallest_message_has_46_bytes():
    assert len(Encoder(ROOT).encode(MKE, PLACE, b"")) == 46


def test_an_mte_message_shows_its_length_only_in_steps_of_64():
    lengths = [len(Encoder(ROOT).encode(MTE, PLACE, bytes(size))) for size in (0, 60, 61, 124, 125)]
    assert lengths == [46 + 128, 46 + 128, 46 + 256, 46 + 256, 46 + 384]


@TYPES
def test_thousands_of_small_frames_open(type):
    plaintext = os.urandom(12_000)
    assert Decoder(ROOT).decode(message(type, plaintext, frame_size=3), type, PLACE) == plaintext


@TYPES
def test_input_may_be_cut_at_any_byte(type):
    sealed = message(type)
    for cut in range(len(sealed) + 1):
        opener = Decoder(ROOT).begin(type, PLACE)
        plaintext = b"".join(opener.feed(sealed[:cut]) + opener.feed(sealed[cut:])) + opener.finish()
        assert plaintext == b"some plaintext of several frames"
    opener = Decoder(ROOT).begin(type, PLACE)
    plaintext = b"".join(b"".join(opener.feed(sealed[i : i + 1])) for i in range(len(sealed))) + opener.finish()
    assert plaintext == b"some plaintext of several frames"


def test_a_frame_is_released_as_soon_as_it_is_complete_and_not_before():
    sealer = Encoder(ROOT).begin(MKE, PLACE)
    opener = Decoder(ROOT).begin(MKE, PLACE)
    assert opener.feed(sealer.header) == []
    frame = sealer.frame(b"one")
    assert opener.feed(frame[:-1]) == [] and not opener.started
    assert opener.feed(frame[-1:]) == [b"one"] and opener.started
    assert opener.feed(sealer.frame(b"two", final=True)) == [b"two"]


@TYPES
def test_a_message_cut_anywhere_never_verifies(type):
    sealed = message(type)
    assert all(refused(sealed[:size], type) for size in range(len(sealed)))


@TYPES
def test_a_message_with_any_bit_changed_never_verifies(type):
    sealed = message(type, b"short")
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            assert refused(bytes(changed), type)


@TYPES
def test_extended_reordered_repeated_or_dropped_frames_never_verify(type):
    sealer = Encoder(ROOT).begin(type, PLACE)
    data = sealer.tokens(bytes(60)) if type == MTE else bytes(128)
    a, b, c = sealer.frame(data[:40]), sealer.frame(data[40:80]), sealer.frame(data[80:], final=True)
    assert Decoder(ROOT).decode(sealer.header + a + b + c, type, PLACE)
    for frames in ([a, b, c, b"\0"], [a, b, c, c], [b, a, c], [a, a, b, c], [a, c], [b, c], [c], [a, b]):
        assert refused(sealer.header + b"".join(frames), type)


def test_an_empty_frame_before_the_final_one_is_refused():
    header = Header(MKE, PLACE, 0, bytes(16))
    keys = mte_open._MessageKeys(ROOT, header)
    empty, final = bytes(4), b"\x80\0\0\0"
    sealed = header.pack() + empty + keys.seal_frame(0, empty, b"") + final + keys.seal_frame(1, final, b"")
    assert refused(sealed, MKE)


def test_a_frame_above_65536_bytes_is_refused_by_its_head_alone():
    opener = Decoder(ROOT).begin(MKE, PLACE)
    with pytest.raises(DecodeFailed):
        opener.feed(Header(MKE, PLACE, 0, bytes(16)).pack() + (65_537).to_bytes(4, "big"))


@pytest.mark.parametrize("padded", [
    b"\0\0\0\x05" + b"abcde" + bytes(54) + b"\x01",
    b"\0\0\0\x3d" + bytes(60),
    b"\0\0\0\x01" + bytes(124),
    b"\0\0\0\0" + bytes(28),
    b"",
], ids=["a zero that is not zero", "length beyond the end", "a block too many", "half a block", "nothing"])
def test_mte_length_zeros_and_total_size_are_checked(padded):
    sealer = Encoder(ROOT).begin(MTE, PLACE)
    tokens = sealer._keys.xor_tokens(mte_open.interleave(padded, bytes(len(padded))))
    assert refused(sealer.header + sealer.frame(tokens, final=True), MTE)


def test_the_same_plaintext_never_seals_alike():
    assert message(MTE) != message(MTE) and message(MKE) != message(MKE)


def test_the_other_type_another_place_and_another_root_are_refused():
    sealed = message(MKE)
    assert refused(sealed, MTE)
    assert refused(sealed, MKE, root=bytes(32))
    with pytest.raises(DecodeFailed):
        Decoder(ROOT).decode(sealed, MKE, place(0, 0))


# --- Sequence ---


def numbered(*numbers):
    """Empty MKE messages of these numbers."""
    return [Encoder(ROOT, number).encode(MKE, PLACE, b"") for number in numbers]


def test_a_number_is_accepted_once():
    (sealed,) = numbered(0)
    decoder = Decoder(ROOT)
    decoder.decode(sealed, MKE, PLACE)
    with pytest.raises(DecodeFailed):
        decoder.decode(sealed, MKE, PLACE)


def test_two_messages_of_one_number_have_two_keys_and_the_first_is_accepted():
    one, two = Encoder(ROOT).encode(MKE, PLACE, b"one"), Encoder(ROOT).encode(MKE, PLACE, b"one")
    assert one[-19:] != two[-19:]
    decoder = Decoder(ROOT)
    assert decoder.decode(two, MKE, PLACE) == b"one"
    with pytest.raises(DecodeFailed):
        decoder.decode(one, MKE, PLACE)


def test_numbers_arrive_in_any_order_within_the_window():
    numbers = list(range(500))
    random.Random(1).shuffle(numbers)
    decoder = Decoder(ROOT)
    for sealed in numbered(*numbers):
        decoder.decode(sealed, MKE, PLACE)


def test_the_window_reaches_511_back_and_4096_ahead():
    for number, fits in [(4095, True), (4096, False)]:
        (sealed,) = numbered(number)
        assert fits == (not _fails(Decoder(ROOT), sealed))
    for number, fits in [(489, True), (488, False), (5096, True), (5097, False), (1000, False)]:
        first, sealed = numbered(1000, number)
        decoder = Decoder(ROOT)
        decoder.decode(first, MKE, PLACE)
        assert fits == (not _fails(decoder, sealed))


def test_a_forged_header_changes_nothing():
    first, far = numbered(3, 4000)
    decoder = Decoder(ROOT)
    assert _fails(decoder, far[:-1] + bytes([far[-1] ^ 1]))
    assert decoder.highest == -1
    decoder.decode(first, MKE, PLACE)
    assert decoder.highest == 3


def test_a_direction_ends_at_2_to_the_32():
    encoder = Encoder(ROOT)
    encoder.skip(2**32)
    with pytest.raises(mte_open.NumbersUsedUp):
        encoder.begin(MKE, PLACE)


def _fails(decoder, sealed):
    try:
        decoder.decode(sealed, MKE, PLACE)
        return False
    except DecodeFailed:
        return True


# --- Text ---


@pytest.mark.parametrize("text", ["YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "_-8=", "YQ==YQ=="])
def test_base64_is_decoded_strictly(text):
    with pytest.raises(DecodeFailed):
        mte_open.from_text(text)
