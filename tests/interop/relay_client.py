"""A client of the relay, as PROTOCOL.md specifies it, that gives tests control over every byte.

A request is made in two steps: `Pair.seal` makes a `SealedRequest`, which a test may alter, and
`Client.send` puts it on the wire. `Pair.open` decodes the answer with the checks that section 4
asks of the project's own clients: it takes from a response only what its sealed headers announce,
and reads no outer flag. `Client.request` does all three. `Client.call` does what an application
wants: it pairs by itself, and repeats what section 5 lets a client repeat.
"""

import base64
import http.client
import json
import secrets
import threading
from dataclasses import dataclass
from typing import Iterable, Iterator
from urllib.parse import quote

import mte_open
from mte_open import KEMS, MAX_FRAME, MKE, MTE, UNKNOWN, Decoder, Encoder, place

HEADER, ENCODED_HEADERS = "x-mte-relay", "x-mte-relay-eh"
OCTETS = "application/octet-stream"
IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
ALWAYS_SEALED = {
    "accept-ranges", "age", "cache-control", "content-digest", "content-disposition", "content-encoding",
    "content-language", "content-md5", "content-range", "content-type", "digest", "etag", "expires", "last-modified",
    "repr-digest", "vary"}
"""Section 4: they describe the body."""
NEVER_SEALED = {"alt-svc", "date", "set-cookie", "strict-transport-security", "timing-allow-origin", "x-request-id"}
NEVER_SEALED_PREFIXES = ("access-control-", "cross-origin-")
OF_THE_HOP = {
    HEADER, ENCODED_HEADERS, "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


class RelayError(Exception):
    """A response of the relay itself, section 5. It is not authenticated."""

    def __init__(self, status: int, error: dict, relay_header: str | None):
        super().__init__(f"{status}: {error}")
        self.status, self.error = status, error
        self.fields = (relay_header or "").split(",")
        """Of `x-mte-relay`."""
        self.client_id = self.fields[0] or None


class NotRepeated(Exception):
    """The relay asked for a new pairing, and the request was not sent again: it may have taken effect."""


class BadResponse(Exception):
    """A response that a client must refuse, section 4. One that does not open is a `DecodeFailed`."""

    def __init__(self, code: str, text: str):
        super().__init__(f"{code}: {text}")
        self.code = code
        """The same names as in the project's other clients."""


@dataclass
class SealedRequest:
    """A request as sent, which tests can change, and the values to check the response against."""

    method: str
    target: str
    client_id: str
    pair_id: str
    type: int
    flags: list[int]
    """URL, headers and body encoded."""
    headers: list[tuple[str, str]]
    """Outer headers, without `host`, `x-mte-relay` and the body's length."""
    body: bytes | Iterable[bytes] | None
    """An iterable goes out chunked, piece by piece."""
    number: int
    """Of the first message."""
    bound: bool
    """Whether `:method` was sent, so that the response must be bound as well."""
    wanted: str | None
    """Which response headers are to be sealed, the value of `:response-headers`; None if that was not sent."""
    sealed_names: set[str]
    """Headers that were sealed: those of the response come back sealed."""
    streaming: str | None = "0"
    """The seventh field; None leaves it out."""

    @property
    def relay_header(self) -> str:
        """Section 1."""
        fields = [self.client_id, self.pair_id, "0" if self.type == MTE else "1", *(str(flag) for flag in self.flags)]
        return ",".join(fields + ([] if self.streaming is None else [self.streaming]))

    def outer(self, name: str) -> str:
        return next(value for key, value in self.headers if key == name)

    def replace_outer(self, name: str, value: str) -> None:
        self.headers = [(key, value if key == name else old) for key, old in self.headers]


@dataclass
class Response:
    """A proxied response. `headers` are the sealed ones, `clear` the outer ones as they came."""

    status: int
    headers: dict[str, str]
    clear: http.client.HTTPMessage
    usable: list[tuple[str, str]]
    """The headers that an application may use: the sealed ones, and the outer ones that the relay does not seal."""
    relay_fields: list[str]
    places: list[int]
    """Of the messages received so far."""
    frames: Iterator[bytes]
    """The body's plaintext, piece by piece as it verifies."""
    body_announced: bool

    def read(self) -> bytes:
        return b"".join(self.frames)

    def json(self):
        return json.loads(self.read())


class Pair:
    """Both directions of a pair, from the client's side: CODEC.md sections 1 to 3, PROTOCOL.md section 2."""

    def __init__(self, client_id: str, host: str, offer: dict, keys: tuple, answer: dict):
        self.client_id, self.host, self.id = client_id, host, offer["pairId"]
        encoder_keys, decoder_keys = keys
        # Each side names its own ends: the server's decoder belongs to our encoder.
        self.encoder_root = mte_open.root_secret(
            encoder_keys.entropy(base64.b64decode(answer["decoderSecret"], validate=True)),
            answer["decoderNonce"], offer["encoderPersonalizationStr"])
        self.encoder = Encoder(self.encoder_root)
        self.decoder = Decoder(mte_open.root_secret(
            decoder_keys.entropy(base64.b64decode(answer["encoderSecret"], validate=True)),
            answer["encoderNonce"], offer["decoderPersonalizationStr"]))
        self._sending, self._receiving = threading.Lock(), threading.Lock()

    def rewind(self, number: int) -> None:
        """Continue numbering from `number`, like a client whose state was restored."""
        self.encoder = Encoder(self.encoder_root, number)

    def seal(self, method: str, path: str, headers: dict[str, str] | None = None, body=None, *, type: int = MKE,
             seal_url: bool = True, seal_headers: bool = True, seal_body: bool = True, bind: bool = True,
             frame_size: int = MAX_FRAME, clear: Iterable[tuple[str, str]] = (), authority: str | None = None,
             unknown_count: bool = False, escape: bool = True,
             response_headers: str | None = "*") -> SealedRequest:
        """Section 3. `body` is bytes, or an iterable of pieces that become one frame each. `response_headers`: `*`, or
        names in lower case with commas between them. Without `bind` the request is a v4 client's."""
        sealed_headers = dict(headers or {})
        wanted = response_headers if bind and seal_headers else None
        if bind and seal_headers:
            binding = {":method": method, ":authority": authority or self.host}
            if wanted is not None:
                binding[":response-headers"] = wanted
            sealed_headers = binding | sealed_headers
        has_url = seal_url and path != "/"
        has_body = seal_body and body is not None
        present = [has_url, seal_headers, has_body]
        count, index = sum(present), 0

        def next_place(raw: bool = False) -> int:
            nonlocal index
            index += 1
            return place(index - 1, UNKNOWN if unknown_count else count - index, raw)

        target, outer, wire_body = path, list(clear), body
        with self._sending:
            number = self.encoder.next_number
            if has_url:
                url = self.encoder.encode(type, next_place(), path[1:].encode(), frame_size=frame_size)
                target = "/" + (quote(mte_open.to_text(url), safe="") if escape else mte_open.to_text(url))
            if seal_headers:
                plaintext = json.dumps(sealed_headers).encode()
                outer.append((ENCODED_HEADERS, mte_open.to_text(
                    self.encoder.encode(type, next_place(), plaintext, frame_size=frame_size))))
            else:
                outer += sealed_headers.items()
            if has_body:
                outer.append(("content-type", OCTETS))
                sealer = self.encoder.begin(type, next_place(raw=True))
                if isinstance(body, bytes):
                    wire_body = sealer.whole(body, frame_size=frame_size)
                else:
                    wire_body = _frames(sealer, body)
        sealed_names = {name.lower() for name in sealed_headers} if seal_headers else set()
        return SealedRequest(method, target, self.client_id, self.id, type, [int(flag) for flag in present],
                             outer, wire_body, number, bind and seal_headers, wanted, sealed_names)

    def open(self, request: SealedRequest, answer: http.client.HTTPResponse) -> Response:
        """Section 4: headers first, then the body as the sealed headers announce it."""
        raise_relay_error(answer)
        sealed = answer.headers.get_all(ENCODED_HEADERS, [])
        if len(sealed) != 1 or not sealed[0]:
            raise BadResponse("not-sealed", f"{len(sealed)} values of {ENCODED_HEADERS}")
        message = mte_open.from_text(sealed[0])
        with self._receiving:
            opener = self.decoder.begin(request.type, place(0, 0), place(0, 1), place(0, UNKNOWN))
            plaintext = b"".join(opener.feed(message)) + opener.finish()
        headers = json.loads(plaintext)
        if request.bound:
            for name, expected in {":status": str(answer.status), ":request": str(request.number)}.items():
                if name not in headers:
                    raise BadResponse("not-bound", f"no {name}")
                if headers[name] != expected:
                    raise BadResponse("other-exchange", f"{name} is {headers[name]}, expected {expected}")
        announced = opener.header.place & 15
        if announced == UNKNOWN:
            raise BadResponse("unknown-body", "the sealed headers do not say whether a body follows")
        places = [opener.header.place]
        if announced:
            frames = self._body(request.type, opener.header.number + 1, answer, places)
        else:
            if answer.read():
                raise BadResponse("clear-body", "the sealed headers announce no body")
            frames = iter(())
        fields = (answer.getheader(HEADER) or "").split(",")
        usable = usable_headers(request, headers, answer.headers, announced != 0)
        return Response(answer.status, headers, answer.headers, usable, fields, places, frames, announced != 0)

    def _body(self, type, number, answer, places) -> Iterator[bytes]:
        opener, seen = self.decoder.begin(type, place(1, 0, raw=True)), False
        while data := answer.read1(65_536):
            seen = True
            with self._receiving:
                pieces = opener.feed(data)
            if opener.header and len(places) == 1:
                places.append(opener.header.place)
                if opener.header.number != number:
                    raise BadResponse("changed-body", "the body does not follow its headers")
            yield from pieces
        if not seen:
            raise BadResponse("missing-body", "the sealed headers announce a body")
        if rest := opener.finish():
            yield rest


def usable_headers(request: SealedRequest, sealed: dict[str, str], clear: http.client.HTTPMessage,
                   has_body: bool) -> list[tuple[str, str]]:
    """Section 4: headers that are or would have been sealed count only if they are sealed."""
    of_connection = {name.strip().lower() for name in (clear.get("connection") or "").split(",")}
    wanted = (request.wanted or "").split(",")

    def counts(name: str) -> bool:
        if name in OF_THE_HOP | of_connection:
            return False
        if name in NEVER_SEALED or name.startswith(NEVER_SEALED_PREFIXES):
            return True
        if request.wanted == "*" or name in ALWAYS_SEALED:
            return False
        if name == "content-length":
            return not has_body
        return name not in wanted and name not in request.sealed_names

    outer = [(name.lower(), value) for name, value in clear.items() if counts(name.lower())]
    inner = [(name, value) for name, value in sealed.items() if not name.startswith(":") and name not in OF_THE_HOP]
    names = {name for name, _ in inner}
    return inner + [(name, value) for name, value in outer if name not in names]


def _frames(sealer: mte_open.Sealer, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield sealer.header
    for piece in pieces:
        yield sealer.frame(piece)
    yield sealer.frame(b"", final=True)


def raise_relay_error(answer: http.client.HTTPResponse) -> None:
    """Section 5: an error of the relay itself carries no sealed headers."""
    if answer.status < 400 or answer.getheader(ENCODED_HEADERS) is not None:
        return
    body = answer.read()
    try:
        error = json.loads(body) if body else {}
    except ValueError:
        error = {"error": body.decode("latin-1")}
    raise RelayError(answer.status, error, answer.getheader(HEADER))


@dataclass
class Client:
    """One client id at one tenant of one relay."""

    address: tuple[str, int]
    host: str
    client_id: str | None = None
    timeout: float = 10.0
    current: Pair | None = None
    """The pair that `call` uses."""

    def raw(self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body=None,
            host: str | None = None) -> http.client.HTTPResponse:
        """One HTTP request with exactly these headers, on a new connection."""
        connection = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", host or self.host)
        for name, value in headers:
            connection.putheader(name, value)
        try:
            if body is None:
                connection.endheaders()
            elif isinstance(body, bytes):
                connection.putheader("content-length", str(len(body)))
                connection.endheaders(body)
            else:
                connection.putheader("transfer-encoding", "chunked")
                connection.endheaders()
                for piece in body:
                    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # The relay may answer, and close, before it has read everything.
        return connection.getresponse()

    def hello(self, method: str = "HEAD") -> str:
        """Section 2: request a signed client id, or our own one again."""
        headers = [(HEADER, self.client_id)] if self.client_id else []
        answer = self.raw(method, "/api/mte-relay", headers)
        raise_relay_error(answer)
        answer.read()
        self.client_id = answer.getheader(HEADER)
        return self.client_id

    def offer(self, kem_id: int = 2, pair_id: str | None = None) -> tuple[dict, tuple]:
        """Section 2: one entry of a pairing request, and the two key pairs behind it."""
        keys = KEMS[kem_id].generate(), KEMS[kem_id].generate()
        return {
            "pairId": pair_id or secrets.token_hex(16),
            "encoderPublicKey": base64.b64encode(keys[0].encapsulation_key).decode(),
            "encoderPersonalizationStr": base64.b64encode(secrets.token_bytes(24)).decode(),
            "decoderPublicKey": base64.b64encode(keys[1].encapsulation_key).decode(),
            "decoderPersonalizationStr": secrets.token_hex(16),
        }, keys

    def post_pairing(self, body: bytes, client_id: str | None = None) -> http.client.HTTPResponse:
        client_id = client_id or self.client_id
        headers = [("content-type", "application/json")] + ([(HEADER, client_id)] if client_id else [])
        return self.raw("POST", "/api/mte-pair", headers, body)

    def pair(self, kem_id: int = 2, count: int = 1, offers: list | None = None) -> list[Pair]:
        """Section 2, pairing."""
        if self.client_id is None:
            self.hello()
        offers = offers or [self.offer(kem_id) for _ in range(count)]
        answer = self.post_pairing(json.dumps([offer for offer, _ in offers]).encode())
        raise_relay_error(answer)
        answers = json.load(answer)
        if [entry["pairId"] for entry in answers] != [offer["pairId"] for offer, _ in offers]:
            raise BadResponse("pairs answered in another order")
        return [Pair(self.client_id, self.host, offer, keys, entry) for (offer, keys), entry in zip(offers, answers)]

    def send(self, request: SealedRequest, host: str | None = None) -> http.client.HTTPResponse:
        return self.raw(request.method, request.target, [(HEADER, request.relay_header), *request.headers],
                        request.body, host)

    def request(self, pair: Pair, method: str, path: str, headers: dict[str, str] | None = None, body=None,
                **how) -> Response:
        """Seal, send, open."""
        request = pair.seal(method, path, headers, body, **how)
        return pair.open(request, self.send(request))

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, body=None, *,
             resend: str = "idempotent", kem_id: int = 2, **how) -> Response:
        """Pair if there is no pair, and repeat once where section 5 says so. `resend`: "idempotent" methods,
        "always" or "never"."""
        for attempt in (1, 2):
            if self.current is None:
                (self.current,) = self.pair(kem_id)
            try:
                return self.request(self.current, method, path, headers, body, **how)
            except RelayError as error:
                if not 559 <= error.status <= 568:
                    raise
                self.current = None
                if error.status == 566:
                    self.client_id = None
                allowed = resend == "always" or resend == "idempotent" and method in IDEMPOTENT
                repeatable = body is None or isinstance(body, bytes)
                if attempt == 2 or not allowed or not repeatable:
                    raise NotRepeated(f"{method} {path} may have taken effect: find out before it is sent again, "
                                      'or call with resend="always" if it may happen twice') from error


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description="Send one encrypted request through a relay.")
    parser.add_argument("relay", help="HOST:PORT of the relay, plain HTTP")
    parser.add_argument("path", help="path and query at the upstream, such as /items?id=1")
    parser.add_argument("--host", help="the tenant's host, if it is not the relay's")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="sent sealed")
    parser.add_argument("--body", help="text of the body")
    parser.add_argument("--type", choices=["MKE", "MTE"], default="MKE")
    parser.add_argument("--kem", type=int, choices=KEMS, default=2, help="id of CODEC.md section 2")
    args = parser.parse_args()

    host, _, port = args.relay.rpartition(":")
    client = Client((host, int(port)), args.host or args.relay)
    headers = dict(header.split(":", 1) for header in args.header)
    body = None if args.body is None else args.body.encode()
    encode_type = MTE if args.type == "MTE" else MKE
    response = client.call(args.method, args.path, headers, body, kem_id=args.kem, type=encode_type)
    print(response.status, json.dumps(response.usable, indent=2))
    for piece in response.frames:
        print(piece.decode("utf-8", "replace"), end="", flush=True)
    print()


if __name__ == "__main__":
    main()
