"""The open MTE codec, "mte-open/1", as CODEC.md specifies it.

Written from that page alone, to show that the page is enough. It favours reading over speed: nothing
here is constant-time and Python cannot wipe memory, so it belongs in tests and not in a product.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from functools import partial
from typing import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from kyber_py.ml_kem import ML_KEM_512, ML_KEM_768, ML_KEM_1024

MKE, MTE = 1, 2
RAW = 0x80  # section 4, place: raw bytes on the wire, not base64 text
UNKNOWN = 15  # section 4, place: the sender cannot know how many messages follow

HEADER_SIZE, HEAD_SIZE, TAG_SIZE = 26, 4, 16
FINAL = 1 << 31
MAX_FRAME = 65_536
MAX_NUMBER = 1 << 32
EPOCH_MESSAGES = 32
WINDOW_BACK, WINDOW_AHEAD = 511, 4_096
MTE_BLOCK = 64


class DecodeFailed(Exception):
    """Section 8. The text is for the reader of the test; the reason is never sent to a peer."""


class NumbersUsedUp(Exception):
    """Section 6: a direction ends at number 2^32."""


# --- HKDF, RFC 5869 with SHA-256 ------------------------------------------------------------------


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, ikm, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
        counter += 1
    return out[:length]


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(hkdf_extract(salt, ikm), info, length)


# --- Section 2: KEM and entropy -------------------------------------------------------------------


@dataclass(frozen=True)
class Kem:
    """One line of section 2's table."""

    id: int
    name: str
    key_size: int
    ciphertext_size: int
    seed_size: int
    from_seed: Callable[[bytes], "KeyPair"]
    encapsulate: Callable[..., tuple[bytes, bytes]]
    """Encapsulation key (and, for vectors, the randomness to use) -> (shared secret, ciphertext)."""

    def generate(self) -> "KeyPair":
        return self.from_seed(os.urandom(self.seed_size))


@dataclass(frozen=True)
class KeyPair:
    kem_id: int
    encapsulation_key: bytes
    decapsulate: Callable[[bytes], bytes]
    """Ciphertext -> shared secret."""

    def entropy(self, ciphertext: bytes) -> bytes:
        """Section 2, on the side that holds the decapsulation key."""
        if len(ciphertext) != KEMS[self.kem_id].ciphertext_size:
            raise ValueError("a KEM ciphertext of the wrong size")
        return entropy(self.kem_id, self.decapsulate(ciphertext), self.encapsulation_key, ciphertext)


def _ml_kem_encapsulate(algorithm, key: bytes, randomness: bytes | None = None) -> tuple[bytes, bytes]:
    return algorithm._encaps_internal(key, os.urandom(32) if randomness is None else randomness)


def _ml_kem(id: int, algorithm, key_size: int, ciphertext_size: int) -> Kem:
    def from_seed(seed: bytes) -> KeyPair:
        key, secret = algorithm.key_derive(seed)
        return KeyPair(id, key, lambda ciphertext: algorithm.decaps(secret, ciphertext))

    return Kem(id, f"ML-KEM-{algorithm.k * 256}", key_size, ciphertext_size, 64, from_seed,
               partial(_ml_kem_encapsulate, algorithm))


XWING_LABEL = rb"\.//^" + b"\\"


def xwing_combine(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    """X-Wing's combiner: SHA3-256 over the two secrets, the X25519 ciphertext and key, and the label."""
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + XWING_LABEL).digest()


def xwing_from_seed(seed: bytes) -> KeyPair:
    """An X-Wing key pair from its 32-byte decapsulation key: SHAKE-256 gives d || z || the X25519 key."""
    expanded = hashlib.shake_256(seed).digest(96)
    pk_m, dk_m = ML_KEM_768.key_derive(expanded[:64])
    dk_x = X25519PrivateKey.from_private_bytes(expanded[64:])
    pk_x = dk_x.public_key().public_bytes_raw()

    def decapsulate(ciphertext: bytes) -> bytes:
        ct_m, ct_x = ciphertext[:1088], ciphertext[1088:]
        ss_x = dk_x.exchange(X25519PublicKey.from_public_bytes(ct_x))
        return xwing_combine(ML_KEM_768.decaps(dk_m, ct_m), ss_x, ct_x, pk_x)

    return KeyPair(4, pk_m + pk_x, decapsulate)


def xwing_encapsulate(key: bytes, randomness: bytes | None = None) -> tuple[bytes, bytes]:
    """`randomness`: ML-KEM's 32 bytes and the ephemeral X25519 key; only vectors give them."""
    randomness = os.urandom(64) if randomness is None else randomness
    pk_m, pk_x = key[:1184], key[1184:]
    ephemeral = X25519PrivateKey.from_private_bytes(randomness[32:])
    ct_x = ephemeral.public_key().public_bytes_raw()
    ss_m, ct_m = _ml_kem_encapsulate(ML_KEM_768, pk_m, randomness[:32])
    ss_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(pk_x))
    return xwing_combine(ss_m, ss_x, ct_x, pk_x), ct_m + ct_x


KEMS = {
    kem.id: kem
    for kem in (
        _ml_kem(1, ML_KEM_512, 800, 768),
        _ml_kem(2, ML_KEM_768, 1184, 1088),
        _ml_kem(3, ML_KEM_1024, 1568, 1568),
        Kem(4, "X-Wing", 1216, 1120, 32, xwing_from_seed, xwing_encapsulate),
    )
}


def kem_of_key(encapsulation_key: bytes) -> Kem:
    """Section 2: the key's size identifies the algorithm."""
    for kem in KEMS.values():
        if kem.key_size == len(encapsulation_key):
            return kem
    raise ValueError(f"no KEM has keys of {len(encapsulation_key)} bytes")


def entropy(kem_id: int, shared_secret: bytes, encapsulation_key: bytes, ciphertext: bytes) -> bytes:
    """Section 2: binds the shared secret to the algorithm, the key and the ciphertext."""
    info = struct.pack(">H", kem_id)
    info += hashlib.sha256(encapsulation_key).digest() + hashlib.sha256(ciphertext).digest()
    return hkdf(shared_secret, b"mte-open/1 kem", info, 32)


# --- Section 3: direction secret and epochs -------------------------------------------------------


def root_secret(entropy: bytes, nonce: str, personalization: str, auth: bytes = b"", context: bytes = b"") -> bytes:
    """Section 3: root = E_0 of one direction."""
    text = personalization.encode()
    info = b"mte-open/1 root" + struct.pack(">H", len(text)) + text + struct.pack(">H", len(context)) + context
    return hkdf(entropy + auth, nonce.encode("ascii"), info, 32)


def next_epoch(secret: bytes) -> bytes:
    """Section 3: E_e -> E_e+1."""
    return hkdf_expand(secret, b"mte-open/1 epoch", 32)


def epoch_secret(secret: bytes, steps: int) -> bytes:
    for _ in range(steps):
        secret = next_epoch(secret)
    return secret


# --- Section 4: message ---------------------------------------------------------------------------


def place(index: int, following: int, raw: bool = False) -> int:
    """Section 4: where a message belongs in its request or response."""
    return (RAW if raw else 0) | index << 4 | following


@dataclass(frozen=True)
class Header:
    type: int
    place: int
    number: int
    salt: bytes

    def pack(self) -> bytes:
        return struct.pack(">BBQ16s", self.type, self.place, self.number, self.salt)

    @classmethod
    def unpack(cls, data: bytes) -> "Header":
        return cls(*struct.unpack(">BBQ16s", data))


class _MessageKeys:
    """Section 4: K_n, and T_n for MTE; one object serves one message."""

    def __init__(self, epoch: bytes, header: Header):
        size = 64 if header.type == MTE else 32
        keys = hkdf_expand(epoch, b"mte-open/1 message" + header.pack(), size)
        self._aead, self._token_key = AESGCM(keys[:32]), keys[32:]

    def seal_frame(self, index: int, head: bytes, data: bytes) -> bytes:
        return self._aead.encrypt(struct.pack(">IQ", 0, index), data, head)

    def open_frame(self, index: int, head: bytes, data: bytes) -> bytes:
        try:
            return self._aead.decrypt(struct.pack(">IQ", 0, index), data, head)
        except InvalidTag:
            raise DecodeFailed(f"frame {index} does not verify") from None

    def xor_tokens(self, data: bytes) -> bytes:
        """Section 5: XOR with ChaCha20 under T_n, nonce zero, counter 0."""
        return Cipher(ChaCha20(self._token_key, bytes(16)), mode=None).encryptor().update(data)


# --- Section 5: tokens ----------------------------------------------------------------------------


def mte_pad(plaintext: bytes) -> bytes:
    padded = struct.pack(">I", len(plaintext)) + plaintext
    return padded + bytes(-len(padded) % MTE_BLOCK)


def mte_unpad(padded: bytes) -> bytes:
    if len(padded) < MTE_BLOCK:
        raise DecodeFailed("an MTE message shorter than one block")
    (size,) = struct.unpack_from(">I", padded)
    plaintext = padded[4 : 4 + size]
    if mte_pad(plaintext) != padded:
        raise DecodeFailed("MTE length, zeros or total size are wrong")
    return plaintext


def interleave(data: bytes, filler: bytes) -> bytes:
    """u16(byte) << 8 | filler, big-endian: each byte followed by its filler."""
    out = bytearray(2 * len(data))
    out[0::2], out[1::2] = data, filler
    return bytes(out)


# --- Encoding -------------------------------------------------------------------------------------


class Sealer:
    """One outgoing message: its `header`, then one `frame` after the other, the last one final."""

    def __init__(self, epoch: bytes, header: Header):
        self._header, self._keys = header, _MessageKeys(epoch, header)
        self._index, self._closed = 0, False
        self.header, self.number = header.pack(), header.number

    def frame(self, data: bytes, final: bool = False) -> bytes:
        """Section 4: head || L bytes || tag. For MTE, `data` is a piece of the token string."""
        if self._closed or len(data) > MAX_FRAME or (not data and not final):
            raise ValueError("a frame that section 4 does not allow")
        head = struct.pack(">I", len(data) | (FINAL if final else 0))
        sealed = self._keys.seal_frame(self._index, head, data)
        self._index, self._closed = self._index + 1, final
        return head + sealed

    def tokens(self, plaintext: bytes, filler: bytes | None = None) -> bytes:
        """Section 5: the token string of a whole plaintext."""
        padded = mte_pad(plaintext)
        filler = os.urandom(len(padded)) if filler is None else filler
        if len(filler) != len(padded):
            raise ValueError(f"{len(padded)} filler bytes are needed, not {len(filler)}")
        return self._keys.xor_tokens(interleave(padded, filler))

    def whole(self, plaintext: bytes, frame_sizes: list[int] | None = None, frame_size: int = MAX_FRAME,
              filler: bytes | None = None) -> bytes:
        """The whole message, in frames of the given sizes or of `frame_size` bytes each."""
        data = self.tokens(plaintext, filler) if self._header.type == MTE else plaintext
        sizes = even_sizes(len(data), frame_size) if frame_sizes is None else frame_sizes
        if sum(sizes) != len(data):
            raise ValueError("frame sizes that do not add up to the data")
        out, at = [self.header], 0
        for i, size in enumerate(sizes):
            out.append(self.frame(data[at : at + size], final=i + 1 == len(sizes)))
            at += size
        return b"".join(out)


def even_sizes(total: int, frame_size: int) -> list[int]:
    """Frames of `frame_size` bytes and the rest; an empty message is one empty final frame."""
    full, rest = divmod(total, frame_size)
    return [frame_size] * full + ([rest] if rest or not full else [])


class Encoder:
    """The sending end of a direction. Not thread-safe: a request reserves its numbers under a lock."""

    def __init__(self, root: bytes, start: int = 0):
        """`start` is above 0 only for tests that need a particular state."""
        self._epoch, self._next = start // EPOCH_MESSAGES, start
        self._secret = epoch_secret(root, self._epoch)

    @property
    def next_number(self) -> int:
        return self._next

    def skip(self, count: int) -> None:
        """Leave numbers unused, as lost messages would."""
        self._next += count

    def begin(self, type: int, place: int, salt: bytes | None = None) -> Sealer:
        """Take the next number and start a message."""
        if self._next >= MAX_NUMBER:
            raise NumbersUsedUp
        number = self._next
        self._secret = epoch_secret(self._secret, number // EPOCH_MESSAGES - self._epoch)
        self._epoch, self._next = number // EPOCH_MESSAGES, number + 1
        return Sealer(self._secret, Header(type, place, number, os.urandom(16) if salt is None else salt))

    def encode(self, type: int, place: int, plaintext: bytes, **how) -> bytes:
        return self.begin(type, place).whole(plaintext, **how)


# --- Decoding -------------------------------------------------------------------------------------


class Decoder:
    """The receiving end of a direction: section 6's window, and the oldest epoch within it."""

    def __init__(self, root: bytes):
        self._epoch, self._secret = 0, root
        self.highest, self._taken = -1, set()

    def check(self, number: int) -> None:
        """Section 6: may this number still be accepted?"""
        if not self.highest - WINDOW_BACK <= number <= self.highest + WINDOW_AHEAD or number >= MAX_NUMBER:
            raise DecodeFailed("out of the window")
        if number in self._taken:
            raise DecodeFailed("replayed")

    def secret_for(self, number: int) -> bytes:
        """Ratchet forward tentatively; only `commit` keeps anything."""
        return epoch_secret(self._secret, number // EPOCH_MESSAGES - self._epoch)

    def commit(self, first: int, count: int = 1) -> None:
        """Section 6: take consecutive numbers, all or none; discard epochs outside of the window."""
        before = self.highest, self._taken.copy()
        try:
            for number in range(first, first + count):
                self.check(number)
                self._taken.add(number)
                self.highest = max(self.highest, number)
        except DecodeFailed:
            self.highest, self._taken = before
            raise
        lowest = max(0, self.highest - WINDOW_BACK)
        self._taken = {number for number in self._taken if number >= lowest}
        self._secret = self.secret_for(lowest)
        self._epoch = lowest // EPOCH_MESSAGES

    def begin(self, type: int, *places: int) -> "Opener":
        """Open a message that must be of this type and at one of these places."""
        return Opener(self, type, places)

    def decode(self, message: bytes, type: int, *places: int) -> bytes:
        """Open a whole message."""
        opener = self.begin(type, *places)
        return b"".join(opener.feed(message)) + opener.finish()


class Opener:
    """One incoming message, fed in arbitrary pieces. Commits its number as soon as frame 0 has verified."""

    def __init__(self, decoder: Decoder, type: int, places: tuple[int, ...]):
        self._decoder, self._type, self._places = decoder, type, places
        self._buffer, self._tokens = bytearray(), bytearray()
        self._keys: _MessageKeys | None = None
        self._index, self.final = 0, False
        self.header: Header | None = None

    @property
    def started(self) -> bool:
        """Whether frame 0 has verified."""
        return self._index > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The plaintexts of the MKE frames that these bytes complete; MTE releases nothing here."""
        self._buffer += data
        if self.header is None and len(self._buffer) >= HEADER_SIZE:
            self._start(Header.unpack(self._take(HEADER_SIZE)))
        out = []
        while self.header is not None and (frame := self._frame()) is not None:
            if self._type == MTE:
                self._tokens += frame
            else:
                out.append(frame)
        return out

    def finish(self) -> bytes:
        """Call at the end of input. The plaintext of an MTE message; empty for MKE."""
        if not self.final:
            raise DecodeFailed("cut: no final frame")
        if self._type == MKE:
            return b""
        if len(self._tokens) % 2:
            raise DecodeFailed("half a token")
        return mte_unpad(self._keys.xor_tokens(bytes(self._tokens))[0::2])

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _start(self, header: Header) -> None:
        if header.type not in (MKE, MTE) or header.type != self._type:
            raise DecodeFailed("not the expected type")
        if header.place not in self._places:
            raise DecodeFailed(f"place {header.place:#04x} is not the expected one")
        self._decoder.check(header.number)
        self.header = header
        self._keys = _MessageKeys(self._decoder.secret_for(header.number), header)

    def _frame(self) -> bytes | None:
        if self.final:
            if self._buffer:
                raise DecodeFailed("bytes after the final frame")
            return None
        if len(self._buffer) < HEAD_SIZE:
            return None
        (word,) = struct.unpack_from(">I", self._buffer)
        size, final = word & ~FINAL, bool(word & FINAL)
        if size > MAX_FRAME or (size == 0 and not final) or self._index >= 1 << 32:
            raise DecodeFailed("a frame that section 4 does not allow")
        if len(self._buffer) < HEAD_SIZE + size + TAG_SIZE:
            return None
        head = self._take(HEAD_SIZE)
        data = self._keys.open_frame(self._index, head, self._take(size + TAG_SIZE))
        if self._index == 0:
            self._decoder.commit(self.header.number)
        self._index, self.final = self._index + 1, final
        return data


# --- Section 7: text form -------------------------------------------------------------------------


def to_text(message: bytes) -> str:
    return base64.b64encode(message).decode()


def from_text(text: str) -> bytes:
    """Standard padded base64, strictly: no other alphabet, no missing padding, no stray bits."""
    try:
        message = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DecodeFailed("not base64") from None
    if to_text(message) != text:
        raise DecodeFailed("base64 that is not canonical")
    return message
