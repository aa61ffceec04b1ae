"""Which responses a client must accept and which it must refuse, with responses made here instead of a relay's."""

import email.message
import io
import json

import pytest

import mte_open
from mte_open import KEMS, MKE, MTE, DecodeFailed, Decoder, Encoder, place
from relay_client import ENCODED_HEADERS, HEADER, BadResponse, Client, NotRepeated, Pair, RelayError

TYPES = pytest.mark.parametrize("type", [MKE, MTE], ids=["MKE", "MTE"])
FORGED = {
    "content-type": "text/html", "content-encoding": "gzip", "content-language": "xx", "content-range": "bytes 0-0/9",
    "content-disposition": "attachment", "digest": "x", "content-digest": "x", "repr-digest": "x", "content-md5": "x",
    "etag": "x", "last-modified": "x", "accept-ranges": "bytes", "cache-control": "public", "expires": "x", "age": "9",
    "vary": "x"}


class Answer:
    """Like `http.client.HTTPResponse`, from bytes."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes):
        self.status, self._body = status, io.BytesIO(body)
        self.headers = email.message.Message()
        for name, value in headers:
            self.headers.add_header(name, value)

    def getheader(self, name: str) -> str | None:
        return self.headers.get(name)

    def read(self) -> bytes:
        return self._body.read()

    def read1(self, size: int) -> bytes:
        return self._body.read(size)


class Peer:
    """The relay's half of one pair."""

    def __init__(self):
        kem, keys = KEMS[2], (KEMS[2].generate(), KEMS[2].generate())
        offer = {"pairId": "pair", "encoderPersonalizationStr": "c2s", "decoderPersonalizationStr": "s2c"}
        answer, roots = {"decoderNonce": "17", "encoderNonce": "4711"}, []
        for key, secret, nonce, text in [(keys[0], "decoderSecret", "17", "c2s"), (keys[1], "encoderSecret", "4711", "s2c")]:
            shared, ciphertext = kem.encapsulate(key.encapsulation_key)
            entropy = mte_open.entropy(kem.id, shared, key.encapsulation_key, ciphertext)
            roots.append(mte_open.root_secret(entropy, nonce, text))
            answer[secret] = mte_open.to_text(ciphertext)
        self.pair = Pair("client.signature", "relay.test", offer, keys, answer)
        self.decoder, self.encoder = Decoder(roots[0]), Encoder(roots[1])

    def sealed_map(self, request) -> dict[str, str]:
        """The messages of a request without a sealed URL that the relay opens."""
        message = mte_open.from_text(request.outer(ENCODED_HEADERS))
        return json.loads(self.decoder.decode(message, request.type, place(0, 0), place(0, 1)))

    def answer(self, request, body: bytes | None = b"the body", *, status: int = 200, headers=None, binding=None,
               following: int | None = None, flags: str = "1,0,1,1,0", clear=()) -> Answer:
        if binding is None:
            binding = {":status": str(status), ":request": str(request.number)}
        if following is None:
            following = 0 if body is None else 1
        sealed = json.dumps({**(headers or {}), **binding}).encode()
        text = mte_open.to_text(self.encoder.encode(request.type, place(0, following), sealed))
        wire = b"" if body is None else self.encoder.encode(request.type, place(1, 0, raw=True), body)
        outer = [(HEADER, f"client.signature,pair,{flags}"), (ENCODED_HEADERS, text), *clear]
        return Answer(status, outer, wire)


@pytest.fixture
def peer() -> Peer:
    return Peer()


def request_of(peer, method="GET", headers=None, **how):
    return peer.pair.seal(method, "/x", headers, seal_url=False, **how)


def changed(answer: Answer, body: bytes) -> Answer:
    answer._body = io.BytesIO(body)
    return answer


@TYPES
def test_a_response_opens(peer, type):
    request = request_of(peer, type=type)
    response = peer.pair.open(request, peer.answer(request, headers={"etag": "1"}, clear=[("Date", "today")]))
    assert response.read() == b"the body" and response.usable == [("etag", "1"), ("date", "today")]
    request = request_of(peer, type=type)
    assert peer.pair.open(request, peer.answer(request, None, status=204)).read() == b""


@TYPES
@pytest.mark.parametrize("flags", ["1,0,1,1,0", "1,0,1,0,0", "1,0,0,0,0"])
def test_an_announced_body_that_is_missing_is_refused_whatever_the_flags_say(peer, type, flags):
    request = request_of(peer, type=type)
    answer = changed(peer.answer(request, flags=flags, clear=[("content-length", "0")]), b"")
    response = peer.pair.open(request, answer)
    with pytest.raises(BadResponse) as caught:
        response.read()
    assert caught.value.code == "missing-body"


@TYPES
@pytest.mark.parametrize("body", [None, b"the body"])
def test_a_response_that_does_not_say_whether_a_body_follows_is_refused(peer, type, body):
    request = request_of(peer, type=type)
    with pytest.raises(BadResponse) as caught:
        peer.pair.open(request, peer.answer(request, body, following=15))
    assert caught.value.code == "unknown-body"


@TYPES
@pytest.mark.parametrize("flags", ["1,0,1,1,0", "1,0,1,0,0", "1,0,0,0,0"])
def test_a_body_in_the_clear_is_refused_whatever_the_flags_say(peer, type, flags):
    request = request_of(peer, type=type)
    with pytest.raises(BadResponse) as caught:
        peer.pair.open(request, changed(peer.answer(request, None, flags=flags), b"forged"))
    assert caught.value.code == "clear-body"
    request = request_of(peer, type=type)
    response = peer.pair.open(request, changed(peer.answer(request, flags=flags), b"a body in the clear, and long"))
    with pytest.raises(DecodeFailed):
        response.read()


@TYPES
def test_a_cut_body_is_refused(peer, type):
    for size in (1, 26, 40, -1):
        request = request_of(peer, type=type)
        answer = peer.answer(request)
        with pytest.raises(DecodeFailed):
            peer.pair.open(request, changed(answer, answer.read()[:size])).read()


def test_a_response_without_sealed_headers_or_with_two_is_refused(peer):
    request = request_of(peer)
    answer = peer.answer(request)
    text = answer.getheader(ENCODED_HEADERS)
    for values in ([], [""], [text, text]):
        with pytest.raises(BadResponse) as caught:
            peer.pair.open(request, Answer(200, [(ENCODED_HEADERS, value) for value in values], b""))
        assert caught.value.code == "not-sealed"
    for status in (400, 403, 404, 502, 560):
        with pytest.raises(RelayError):
            peer.pair.open(request, Answer(status, [], b""))


@pytest.mark.parametrize("binding, code", [
    ({}, "not-bound"), ({":status": "200"}, "not-bound"), ({":status": "201", ":request": "0"}, "other-exchange"),
    ({":status": "200", ":request": "7"}, "other-exchange"),
])
def test_a_response_that_is_bound_to_nothing_or_to_something_else_is_refused(peer, binding, code):
    request = request_of(peer)
    with pytest.raises(BadResponse) as caught:
        peer.pair.open(request, peer.answer(request, binding=binding))
    assert caught.value.code == code


def test_a_recorded_response_is_not_accepted_again(peer):
    first, second = request_of(peer), request_of(peer)
    answer = peer.answer(first)
    headers = list(answer.headers.items())
    peer.pair.open(first, answer)
    with pytest.raises((BadResponse, DecodeFailed)):
        peer.pair.open(second, Answer(200, headers, b""))


# --- Headers ---


@pytest.mark.parametrize("wanted", ["*", "x-listed", None])
def test_a_request_says_which_response_headers_it_wants_sealed(peer, wanted):
    assert peer.sealed_map(request_of(peer, response_headers=wanted)).get(":response-headers") == wanted
    assert ":response-headers" not in peer.sealed_map(request_of(peer, bind=False))


def test_with_everything_sealed_no_other_header_in_the_clear_counts(peer):
    clear = {**FORGED, "location": "/x", "x-own": "1", "content-length": "51", "connection": "x-hop", "x-hop": "1"}
    visible = [("date", "today"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("access-control-max-age", "1")]
    request = request_of(peer)
    answer = peer.answer(request, headers={"etag": "mine"}, clear=[*clear.items(), *visible])
    assert peer.pair.open(request, answer).usable == [("etag", "mine"), *visible]


@pytest.mark.parametrize("wanted", ["x-listed", None])
def test_body_metadata_and_requested_headers_count_only_if_sealed(peer, wanted):
    clear = {**FORGED, "x-listed": "1", "x-asked": "1", "x-own": "1", "content-length": "51"}
    request = request_of(peer, headers={"X-Asked": "?"}, response_headers=wanted)
    usable = dict(peer.pair.open(request, peer.answer(request, clear=clear.items())).usable)
    assert usable == {"x-own": "1"} | ({} if wanted else {"x-listed": "1"})


# --- Repetition ---


class Relay(Client):
    """A client whose relay answers as the test specifies."""

    def __init__(self, statuses: list[int]):
        super().__init__(("relay.test", 0), "relay.test")
        self.statuses, self.sent, self.peers = statuses, 0, []

    def pair(self, kem_id=2, count=1, offers=None):
        self.client_id = self.client_id or "client.signature"
        self.peers.append(Peer())
        return [self.peers[-1].pair]

    def send(self, request, host=None):
        self.sent += 1
        if self.statuses and (status := self.statuses.pop(0)):
            return Answer(status, [(HEADER, "client.signature,pair,1,0,0,0")], b"")
        return self.peers[-1].answer(request)


@pytest.mark.parametrize("status", range(559, 569))
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_a_request_of_an_idempotent_method_is_sent_again_once_under_a_new_pair(method, status):
    relay = Relay([status])
    assert relay.call(method, "/x", body=b"body").read() == b"the body"
    assert (relay.sent, len(relay.peers)) == (2, 2)
    relay = Relay([status, status])
    with pytest.raises(NotRepeated):
        relay.call(method, "/x")
    assert relay.sent == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_of_another_method_is_not_sent_again_unless_allowed(method):
    relay = Relay([560])
    with pytest.raises(NotRepeated, match="may have taken effect") as caught:
        relay.call(method, "/x", body=b"body")
    assert relay.sent == 1 and caught.value.__cause__.status == 560
    assert Relay([560]).call(method, "/x", body=b"body", resend="always").read() == b"the body"


def test_streams_forbidden_requests_and_other_statuses_are_not_sent_again():
    for status, how in [(560, dict(body=iter([b"body"]))), (560, dict(resend="never"))]:
        relay = Relay([status])
        with pytest.raises(NotRepeated):
            relay.call("PUT", "/x", **how)
        assert relay.sent == 1
    for status in (502, 569):
        relay = Relay([status])
        with pytest.raises(RelayError):
            relay.call("GET", "/x")
        assert relay.sent == 1
