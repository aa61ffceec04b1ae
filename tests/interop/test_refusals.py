"""Requests that the relay must refuse, without a byte reaching the upstream, and without affecting later requests."""

import base64
import json
import os
import re
from urllib.parse import quote, unquote

import pytest

import mte_open
from mte_open import KEMS, MKE, MTE, place
from relay_client import ENCODED_HEADERS, HEADER, RelayError, raise_relay_error
from upstream import pattern

TYPES = pytest.mark.parametrize("type", [MKE, MTE], ids=["MKE", "MTE"])


def refusal(client, request, **how) -> RelayError:
    """The relay's error response, in the form of section 5."""
    with pytest.raises(RelayError) as caught:
        answer = client.send(request, **how)
        assert answer.getheader(ENCODED_HEADERS) is None, f"proxied: {answer.status}"
        raise_relay_error(answer)
    error = caught.value
    if error.error:
        assert error.error["status"] == error.status
        assert error.error["error"] and error.error["request_id"]
    return error


def assert_refused(relay, session, request, status, mark, **how):
    """Refused with `status`, nothing reached an upstream, and a good request still works."""
    client, pair = session
    before = len(relay.a.about(mark)), len(relay.b.about(mark))
    error = refusal(client, request, **how)
    assert error.status in ((status,) if isinstance(status, int) else status)
    assert (len(relay.a.about(mark)), len(relay.b.about(mark))) == before
    if error.status == 562:
        assert error.client_id == client.client_id
    assert client.request(pair, "GET", f"/echo/still-works?{mark}").json()["target"] == f"/echo/still-works?{mark}"


def whole(pair, mark, type=MKE, **how):
    return pair.seal("POST", f"/echo/{mark}", {"x-sealed": "1"}, b"body", type=type, **how)


# --- 562 ---


@TYPES
@pytest.mark.parametrize("seal_url", [True, False], ids=["URL encoded", "URL clear"])
def test_a_replayed_request_is_562(relay, session, mark, type, seal_url):
    client, pair = session
    request = whole(pair, mark, type, seal_url=seal_url)
    assert pair.open(request, client.send(request)).status == 200
    assert_refused(relay, session, request, 562, mark)
    assert len(relay.a.about(f"/echo/{mark}")) == 1


def test_a_message_of_an_earlier_request_cannot_serve_in_a_new_one(relay, session, mark):
    client, pair = session
    first, second = whole(pair, mark), whole(pair, mark)
    assert pair.open(first, client.send(first)).status == 200
    second.replace_outer(ENCODED_HEADERS, first.outer(ENCODED_HEADERS))
    assert_refused(relay, session, second, 562, mark)


@pytest.mark.parametrize("part", ["headers", "body", "target"])
def test_parts_of_two_new_requests_cannot_be_mixed(relay, session, mark, part):
    client, pair = session
    one, two = whole(pair, mark), whole(pair, mark)
    setattr(one, part, getattr(two, part))
    assert_refused(relay, session, one, 562, mark)


@TYPES
def test_a_tampered_byte_anywhere_is_562(relay, session, mark, type):
    client, pair = session
    for part in ("url", "headers", "body"):
        for at in (0, 1, 9, 20, 29, 31, -1):
            request = whole(pair, mark, type)
            if part == "body":
                request.body = flip(request.body, at)
            elif part == "headers":
                request.replace_outer(ENCODED_HEADERS, flip_text(request.outer(ENCODED_HEADERS), at))
            else:
                request.target = "/" + quote(flip_text(unquote(request.target[1:]), at), safe="")
            assert refusal(client, request).status == 562, (part, at)
    assert not relay.a.about(mark)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


@TYPES
def test_a_cut_or_extended_body_is_562(relay, session, mark, type):
    client, pair = session
    for change in (lambda b: b[:-1], lambda b: b[:26], lambda b: b[:10], lambda b: b + b"\0", lambda b: b + b):
        request = whole(pair, mark, type)
        request.body = change(request.body)
        assert refusal(client, request).status == 562
    assert not relay.a.about(mark)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


def test_a_type_flipped_in_transit_is_562(relay, session, mark):
    client, pair = session
    for type, other in [(MKE, MTE), (MTE, MKE)]:
        request = whole(pair, mark, type)
        request.type = other
        assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("flag", [0, 1, 2], ids=["url", "headers", "body"])
def test_a_flag_cleared_in_transit_is_562(relay, session, mark, flag):
    client, pair = session
    request = whole(pair, mark)
    request.flags[flag] = 0
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("seal_url, seal_headers, body, flag", [
    (False, True, b"body", 0), (True, False, b"body", 1), (True, True, None, 2), (True, False, None, 2),
    (False, True, None, 2),
])
def test_a_flag_set_in_transit_is_562(relay, session, mark, seal_url, seal_headers, body, flag):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", None, body, seal_url=seal_url, seal_headers=seal_headers)
    request.flags[flag] = 1
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("unknown_count", [False, True], ids=["counted", "count unknown"])
def test_a_clear_body_beside_sealed_headers_is_562(relay, session, mark, unknown_count):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", unknown_count=unknown_count)
    request.body = b"not sealed"
    assert_refused(relay, session, request, 562, mark)


def test_a_body_dropped_in_transit_is_562(relay, session, mark):
    client, pair = session
    for flag in (0, 1):
        request = whole(pair, mark)
        request.body, request.flags[2] = None, flag
        assert_refused(relay, session, request, 562, mark)


def test_headers_dropped_in_transit_are_562(relay, session, mark):
    client, pair = session
    for flag in (0, 1):
        request = whole(pair, mark)
        request.headers, request.flags[1] = [("content-type", "application/octet-stream")], flag
        assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("wrong", [place(0, 0), place(0, 2), place(1, 1), place(0, 1, raw=True)],
                         ids=lambda wrong: f"{wrong:#04x}")
def test_headers_at_another_place_are_562(relay, session, mark, wrong):
    client, pair = session
    plaintext = json.dumps({"x-sealed": "1"}).encode()
    request = pair.seal("POST", f"/echo/{mark}", None, b"body", seal_url=False)
    pair.rewind(0)
    request.replace_outer(ENCODED_HEADERS, mte_open.to_text(pair.encoder.encode(MKE, wrong, plaintext)))
    request.body = pair.encoder.encode(MKE, place(1, 0, raw=True), b"body")
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("wrong", [place(1, 0), place(0, 0, raw=True), place(2, 0, raw=True), place(1, 1, raw=True)],
                         ids=lambda wrong: f"{wrong:#04x}")
def test_a_body_at_another_place_is_562(relay, session, mark, wrong):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", None, b"body", seal_url=False)
    pair.rewind(1)
    request.body = pair.encoder.encode(MKE, wrong, b"body")
    assert_refused(relay, session, request, 562, mark)


def test_headers_moved_into_the_path_are_562(relay, session, mark):
    client, pair = session
    request = pair.seal("GET", f"/echo/{mark}", seal_url=False)
    request.target, request.flags = "/" + quote(request.outer(ENCODED_HEADERS), safe=""), [1, 0, 0]
    request.headers = []
    assert_refused(relay, session, request, 562, mark)


def test_a_gap_within_one_request_is_562(relay, session, mark):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", None, b"body", seal_url=False)
    request.body = pair.encoder.encode(MKE, place(1, 0, raw=True), b"body")
    assert_refused(relay, session, request, 562, mark)


def test_numbers_out_of_the_window_are_562(relay, session, mark):
    client, pair = session
    early = pair.seal("GET", f"/echo/{mark}", seal_headers=False)
    pair.encoder.skip(511)
    ahead = pair.seal("GET", f"/echo/{mark}", seal_headers=False)
    assert (early.number, ahead.number) == (0, 512)
    assert pair.open(ahead, client.send(ahead)).status == 200
    assert refusal(client, early).status == 562
    pair.encoder.skip(4096)
    far = pair.seal("GET", f"/echo/{mark}", seal_headers=False)
    assert far.number == 512 + 4097
    assert refusal(client, far).status == 562
    pair.rewind(513)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


@pytest.mark.parametrize("text", ["", "!!!!", "AAAA", "AAA"])
def test_headers_that_are_not_a_message_are_562(relay, session, mark, text):
    client, pair = session
    request = whole(pair, mark)
    request.replace_outer(ENCODED_HEADERS, text)
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("plaintext", [b"", b"no json", b"[]", b'{"a": 1}', b'{"a": {"b": "c"}}', b'{"a": "b"} x', b"\xff"])
def test_sealed_headers_that_are_not_a_flat_map_of_strings_are_refused(relay, session, mark, plaintext):
    client, pair = session
    request = pair.seal("GET", f"/echo/{mark}", seal_url=False)
    pair.rewind(0)
    request.replace_outer(ENCODED_HEADERS, mte_open.to_text(pair.encoder.encode(MKE, place(0, 0), plaintext)))
    assert_refused(relay, session, request, (400, 562), mark)


def test_another_pair_of_the_same_client_is_562(relay, mark):
    client = relay.client()
    one, two = client.pair(count=2)
    request = whole(one, mark)
    request.pair_id = two.id
    assert_refused(relay, (client, two), request, 562, mark)
    assert client.request(one, "GET", f"/echo/{mark}").status == 200


def test_a_url_from_one_tenant_does_not_work_at_another_even_with_the_same_secret(relay, mark):
    client, pair = relay.pair("tenant-a.test")
    other = relay.client("tenant-c.test")
    other.client_id = client.client_id
    offer, keys = other.offer(pair_id=pair.id)
    (twin,) = other.pair(offers=[(offer, keys)])
    assert refusal(client, whole(pair, mark), host="tenant-c.test").status == 562
    assert not relay.b.about(mark)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200
    assert other.request(twin, "GET", f"/echo/{mark}").status == 200


def test_an_error_names_the_pair_of_a_request_that_named_one(relay, session, mark):
    # Public v4 clients treat a missing pair id as lost state, and send the request again, even a POST.
    for client, pair, status in [(*session, 562), (*relay.pair("dead.test"), 502)]:
        request = whole(pair, mark)
        if status == 562:
            request.body = flip(request.body, -1)
        error = refusal(client, request)
        assert error.status == status
        assert error.fields[:6] == [client.client_id, pair.id, "1", "0", "0", "0"]


# --- Binding ---


def test_a_method_changed_in_transit_is_562(relay, session, mark):
    client, pair = session
    request = whole(pair, mark)
    request.method = "PUT"
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("name, value", [(":authority", "tenant-b.test"), (":method", "DELETE"), (":unknown", "x"),
                                         (":response-headers", ""), (":response-headers", "ETag"),
                                         (":response-headers", "a b"), (":status", "2000")])
def test_a_pseudo_header_that_does_not_fit_is_562(relay, session, mark, name, value):
    client, pair = session
    request = pair.seal("GET", f"/echo/{mark}", {name: value})
    assert_refused(relay, session, request, 562, mark)


@pytest.mark.parametrize("how", [dict(bind=False), dict(seal_headers=False)], ids=["headers unbound", "URL alone"])
def test_a_tenant_that_demands_binding_refuses_requests_without(relay, mark, how):
    client, pair = relay.pair("strict.test")
    assert_refused(relay, (client, pair), pair.seal("GET", f"/echo/{mark}", **how), 562, mark)


@pytest.mark.parametrize("length", ["3", "5", "-4", "x"])
def test_a_sealed_content_length_that_is_wrong_is_refused(relay, session, mark, length):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", {"content-length": length}, b"body")
    assert_refused(relay, session, request, (400, 562), mark)


# --- Bodies that fail late ---


def test_a_body_that_fails_after_the_upstream_was_contacted_aborts_it_and_is_400(relay, session, mark):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", body=pattern(2_000_000))
    request.body = flip(request.body, -1)
    assert refusal(client, request).status == 400
    assert not relay.a.about(mark)
    assert client.request(pair, "GET", "/echo").status == 200


def test_an_mte_body_is_refused_before_the_upstream_is_contacted(relay, session, mark):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", body=pattern(300_000), type=MTE)
    request.body = flip(request.body, -1)
    assert refusal(client, request).status == 562
    assert not [target for target in relay.a.started if mark in target]


def test_an_mte_body_above_the_limit_is_413(relay, session, mark):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", body=bytes(3 << 20), type=MTE)
    assert_refused(relay, session, request, 413, mark)


def test_an_mte_response_above_the_limit_is_502_or_413(relay, session, mark):
    client, pair = session
    assert refusal(client, pair.seal("GET", f"/bytes/{mark}?n={3 << 20}", type=MTE)).status in (413, 502)
    assert client.request(pair, "GET", "/echo").status == 200


# --- Client ids, pairs, tenants ---


def test_an_unknown_pair_is_560(relay, session, mark):
    client, pair = session
    request = whole(pair, mark)
    request.pair_id = "0" * 32
    assert_refused(relay, session, request, 560, mark)


def test_the_pair_of_another_client_is_560(relay, session, mark):
    client, pair = session
    request = whole(pair, mark)
    request.client_id = relay.client().hello()
    assert_refused(relay, session, request, 560, mark)


def test_a_pair_of_another_tenant_with_the_same_secret_is_560(relay, session, mark):
    client, pair = session
    assert_refused(relay, session, whole(pair, mark), 560, mark, host="tenant-c.test")


def test_a_client_id_of_another_tenant_is_566(relay, session, mark):
    client, pair = session
    assert_refused(relay, session, whole(pair, mark), 566, mark, host="tenant-b.test")


@pytest.mark.parametrize("forge", [
    lambda id: id[:-1] + ("0" if id[-1] != "0" else "1"),
    lambda id: id.split(".")[0],
    lambda id: id.split(".")[0] + "." + "0" * 64,
    lambda id: id.upper(),
    lambda id: "not-a-client-id",
], ids=["last digit", "no signature", "zero signature", "upper case", "no id at all"])
def test_a_client_id_that_does_not_verify_is_566(relay, session, mark, forge):
    client, pair = session
    request = whole(pair, mark)
    request.client_id = forge(client.client_id)
    assert_refused(relay, session, request, 566, mark)
    forged = relay.client()
    forged.client_id = forge(client.client_id)
    answer = forged.post_pairing(json.dumps([forged.offer()[0]]).encode())
    assert answer.status == 566


@pytest.mark.parametrize("value", [None, "", ",,1,1,1,1,0"])
def test_a_missing_relay_header_is_569(relay, session, mark, value):
    client, pair = session
    request = whole(pair, mark)
    headers = ([] if value is None else [(HEADER, value)]) + request.headers
    answer = client.raw("POST", request.target, headers, request.body)
    assert answer.status == 569 and not relay.a.about(mark)


def test_a_missing_pair_id_is_569(relay, session, mark):
    request = whole(session[1], mark)
    request.pair_id = ""
    assert_refused(relay, session, request, 569, mark)


def test_a_request_with_neither_url_nor_headers_sealed_is_569(relay, session, mark):
    client, pair = session
    request = pair.seal("POST", f"/echo/{mark}", None, b"body", seal_url=False, seal_headers=False)
    assert_refused(relay, session, request, 569, mark)
    request = pair.seal("GET", f"/echo/{mark}", seal_url=False, seal_headers=False)
    assert_refused(relay, session, request, 569, mark)


@pytest.mark.parametrize("name", [HEADER, ENCODED_HEADERS])
def test_repeated_relay_headers_are_400(relay, session, mark, name):
    client, pair = session
    request = whole(pair, mark)
    value = request.relay_header if name == HEADER else request.outer(name)
    request.headers.append((name.upper(), value))
    assert_refused(relay, session, request, 400, mark)


def test_a_host_of_no_tenant_is_421(relay, session, mark):
    client, pair = session
    assert_refused(relay, session, whole(pair, mark), 421, mark, host="unknown.test")


def test_a_path_outside_of_the_tenants_routes_is_404(relay, mark):
    client, pair = relay.pair("routes.test")
    assert_refused(relay, (client, pair), pair.seal("GET", f"/other/{mark}"), 404, mark)


def test_an_upstream_that_does_not_answer_is_502_and_never_one_of_559_to_569(relay, mark):
    client, pair = relay.pair("dead.test")
    error = refusal(client, whole(pair, mark))
    assert error.status == 502 and error.error["status"] == 502


# --- URLs ---


@pytest.mark.parametrize("path", [
    "/../secret", "/a/../../secret", "/a/..", "/..", "/%2e%2e/secret", "/a/.%2E/secret", "/a\r\nx: y", "/a\0b",
])
@pytest.mark.parametrize("seal_headers", [True, False], ids=["headers too", "URL alone"])
def test_a_url_that_leaves_its_path_is_refused(relay, session, mark, path, seal_headers):
    client, pair = session
    request = pair.seal("GET", f"{path}?{mark}", seal_headers=seal_headers)
    assert_refused(relay, session, request, (400, 562), mark)


@pytest.mark.parametrize("path", ["//{b}/x", "/http://{b}/x", "/@{b}/x", "/\\\\{b}/x", "/:80@{b}/x"])
def test_no_url_reaches_another_origin(relay, session, mark, path):
    client, pair = session
    other = relay.b.url.removeprefix("http://")
    client.send(pair.seal("GET", path.format(b=other) + f"?{mark}")).read()
    assert not relay.b.about(mark)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


# --- Pairing ---


def pairing_error(client, body: bytes) -> tuple[int, str]:
    """Status and text of the relay's error response."""
    answer = client.post_pairing(body)
    error = json.load(answer)
    assert error["status"] == answer.status
    return answer.status, error["error"]


def test_pairing_under_a_live_pair_id_is_409_and_leaves_the_pair_as_it_is(relay, session, mark):
    client, pair = session
    status, _ = pairing_error(client, json.dumps([client.offer(pair_id=pair.id)[0]]).encode())
    assert status == 409
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


@pytest.mark.parametrize("name", ["encoderPublicKey", "decoderPublicKey"])
@pytest.mark.parametrize("key", [
    base64.b64encode(os.urandom(1000)).decode(), "", "not base64!",
    base64.b64encode(b"\xff" * KEMS[2].key_size).decode(),
], ids=["wrong size", "empty", "not base64", "fails the modulus check"])
def test_a_bad_key_is_400_with_its_field_and_index_and_no_pair_is_made(relay, mark, name, key):
    client = relay.client()
    client.hello()
    offers = [client.offer() for _ in range(3)]
    bad = [dict(offer) for offer, _ in offers]
    bad[2][name] = key
    status, text = pairing_error(client, json.dumps(bad).encode())
    assert status == 400 and name in text and re.search(r"\b2\b", text)
    for pair in client.pair(offers=offers):
        assert client.request(pair, "GET", f"/echo/{mark}").status == 200


@pytest.mark.parametrize("name", ["pairId", "encoderPersonalizationStr", "decoderPersonalizationStr"])
@pytest.mark.parametrize("value", [None, "", "a,b", "a b", "caf\u00e9", "x" * 257, 5],
                         ids=["absent", "empty", "comma", "space", "not ascii", "too long", "number"])
def test_a_field_that_does_not_fit_is_400_with_its_name(relay, name, value):
    client = relay.client()
    client.hello()
    offer, _ = client.offer(1)
    offer[name] = value
    if value is None:
        del offer[name]
    status, text = pairing_error(client, json.dumps([offer]).encode())
    assert status == 400 and name in text


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b"[1]", b'[{"pairId": "x"}]'])
def test_a_pairing_body_that_does_not_fit_is_400(relay, body):
    client = relay.client()
    client.hello()
    assert pairing_error(client, body)[0] == 400


def test_more_than_100_pairs_in_one_request_are_400(relay):
    client = relay.client()
    client.hello()
    offer, _ = client.offer(1)
    offers = [offer | {"pairId": f"pair-{i}"} for i in range(101)]
    assert pairing_error(client, json.dumps(offers).encode())[0] == 400


def test_the_same_pair_id_twice_in_one_request_makes_no_pair(relay):
    client = relay.client()
    client.hello()
    offers = [client.offer(1, pair_id="twice")[0] for _ in range(2)]
    assert pairing_error(client, json.dumps(offers).encode())[0] in (400, 409)
    assert client.pair(offers=[client.offer(1, pair_id="twice")])


def test_a_key_below_the_tenants_minimum_is_400(relay, mark):
    client = relay.client("large.test")
    client.hello()
    assert pairing_error(client, json.dumps([client.offer(2)[0]]).encode())[0] == 400
    (pair,) = client.pair(3)
    assert client.request(pair, "GET", f"/echo/{mark}").status == 200


# --- Helpers ---


def flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def flip_text(text: str, at: int) -> str:
    return base64.b64encode(flip(base64.b64decode(text), at)).decode()
