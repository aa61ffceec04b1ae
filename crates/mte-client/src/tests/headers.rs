//! Which headers are sealed in requests, and which are accepted in responses.

use bytes::Bytes;
use http::HeaderMap;
use mte_codec::KemId;
use mte_protocol::sealed_headers::RESPONSE_HEADERS;

use super::relay::{AUTHORITY, Opened, Relay, Reply, Wire, paired};
use crate::{
    Error, RelayClient, ResponseHeaders,
    wire::{self, EncodeHeaders, Options, Pair, ResponseOpener},
};

type Fields<'a> = &'a [(&'static str, &'static str)];

/// Response headers that describe the body, or how long it may be cached.
const REPRESENTATION: Fields<'_> = &[
    ("content-type", "text/html"),
    ("content-encoding", "gzip"),
    ("content-language", "xx"),
    ("content-range", "bytes 0-1/9"),
    ("content-disposition", "attachment"),
    ("digest", "x"),
    ("content-digest", "x"),
    ("repr-digest", "x"),
    ("content-md5", "x"),
    ("etag", "\"x\""),
    ("last-modified", "x"),
    ("accept-ranges", "bytes"),
    ("cache-control", "public, max-age=9"),
    ("cdn-cache-control", "max-age=9"),
    ("expires", "x"),
    ("age", "9"),
    ("vary", "x"),
];

/// Seals a request with these headers; the relay opens it.
fn request(
    relay: &Relay,
    pair: &std::sync::Arc<Pair>,
    options: &Options,
    headers: Fields<'_>,
) -> (Opened, HeaderMap, ResponseOpener) {
    let mut request = http::Request::post("/orders?id=17");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from_static(b"body")).unwrap();
    let request = wire::seal(pair, options, AUTHORITY, request).unwrap();
    let (opened, _) = relay.open(&request).unwrap();
    (opened, request.headers, request.opener)
}

/// The headers of a response, after `tamper` has changed it in transit.
fn answered(
    wanted: ResponseHeaders,
    asked: Fields<'_>,
    reply: &Reply,
    tamper: impl Fn(&mut Wire),
) -> HeaderMap {
    let (relay, pair) = paired(KemId::MlKem512);
    let options = Options { response_headers: wanted, ..Options::default() };
    let (opened, _, opener) = request(&relay, &pair, &options, asked);
    let mut wire = relay.seal(opened, reply);
    tamper(&mut wire);
    opener.open(wire.response()).unwrap().into_parts().0.headers
}

fn named(names: &[&str]) -> ResponseHeaders {
    ResponseHeaders::Only(names.iter().map(|name| name.parse().unwrap()).collect())
}

fn put(wire: &mut Wire, headers: Fields<'_>) {
    for (name, value) in headers {
        wire.headers.insert(*name, value.parse().unwrap());
    }
}

#[test]
fn only_what_browsers_and_proxies_add_can_stay_in_the_clear() {
    let (relay, pair) = paired(KemId::MlKem512);
    let lost: Fields<'_> = &[
        ("accept", "a/b"),
        ("authorization", "Bearer hush"),
        ("content-type", "text/plain"),
        ("if-none-match", "\"x\""),
        ("if-range", "\"x\""),
        ("prefer", "return=minimal"),
        ("range", "bytes=0-1"),
        ("x-own", "1"),
    ];
    let kept: Fields<'_> = &[("cookie", "c=1"), ("sec-fetch-site", "none"), ("user-agent", "test")];
    let all = [lost, kept].concat();
    let only = EncodeHeaders::Only(vec!["cookie".parse().unwrap()]);
    for (encode_headers, clear) in
        [(EncodeHeaders::All, vec![]), (EncodeHeaders::None, vec![0, 1, 2]), (only, vec![1, 2])]
    {
        let options = Options { encode_headers, encode_url: false, ..Options::default() };
        let (opened, outer, _) = request(&relay, &pair, &options, &all);
        for (name, value) in lost {
            assert_eq!(opened.sealed.get(name), Some(value.as_bytes()), "{name}");
            assert!(outer.get(*name).is_none_or(|outer| outer != value), "{name}");
        }
        for (index, (name, value)) in kept.iter().enumerate() {
            let is_clear = clear.contains(&index);
            assert_eq!(opened.sealed.get(name).is_none(), is_clear, "{name}");
            assert_eq!(outer.get(*name).is_some_and(|outer| outer == value), is_clear, "{name}");
        }
        assert_eq!(opened.sealed.method(), Some("POST"));
    }
}

#[test]
fn repeated_headers_are_joined_as_http_joins_them() {
    let (relay, pair) = paired(KemId::MlKem768);
    let headers: Fields<'_> = &[
        ("accept", "a"),
        ("accept", "b"),
        ("cookie", "c=1"),
        ("cookie", "d=2"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let (opened, _, _) = request(&relay, &pair, &Options::default(), headers);
    assert_eq!(opened.sealed.get("accept"), Some(&b"a, b"[..]));
    assert_eq!(opened.sealed.get("cookie"), Some(&b"c=1; d=2"[..]));
    assert_eq!(opened.sealed.get("x-hop"), None);
}

#[test]
fn a_request_says_which_response_headers_it_wants_sealed() {
    let (relay, pair) = paired(KemId::MlKem512);
    let wants = |response_headers: ResponseHeaders| {
        let options = Options { response_headers, ..Options::default() };
        let (opened, _, _) = request(&relay, &pair, &options, &[]);
        opened.sealed.get(RESPONSE_HEADERS).map(|value| String::from_utf8(value.into()).unwrap())
    };
    assert_eq!(wants(Options::default().response_headers).as_deref(), Some("*"));
    assert_eq!(wants(named(&["X-Total", "link"])).as_deref(), Some("x-total,link"));
    assert_eq!(wants(named(&[])), None);
}

#[test]
fn response_headers_that_cannot_be_sealed_are_refused_as_a_setting() {
    for name in ["set-cookie", "connection", "access-control-max-age", "x-mte-relay"] {
        let builder = RelayClient::builder("https://relay.example").response_headers(named(&["link", name]));
        let error = builder.build().unwrap_err();
        assert!(matches!(&error, Error::Setting(text) if text.contains(name)), "{name}");
    }
}

#[test]
fn a_response_has_the_upstreams_headers_sealed_or_not() {
    let mut reply = Reply::new(200, "yes");
    reply.headers.push(("etag", "\"1\"".into()));
    reply.headers.push(("date", "today".into()));
    for wanted in [ResponseHeaders::All, named(&["server"]), named(&[])] {
        let headers = answered(wanted, &[], &reply, |wire| {
            put(wire, &[("connection", "x-hop"), ("x-hop", "1")]);
        });
        for (name, value) in
            [("content-type", "text/plain"), ("server", "upstream"), ("etag", "\"1\""), ("date", "today")]
        {
            assert_eq!(headers[name], value);
        }
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        for name in
            ["x-mte-relay", "x-mte-relay-eh", "connection", "x-hop", "content-length", "cache-control"]
        {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[test]
fn with_all_sealed_no_other_clear_header_counts() {
    let others: Fields<'_> =
        &[("location", "/x"), ("x-own", "1"), ("link", "<x>"), ("content-length", "51"), ("server", "x")];
    let mut reply = Reply::new(200, "yes");
    reply.headers.clear();
    let headers = answered(ResponseHeaders::All, &[], &reply, |wire| {
        put(wire, REPRESENTATION);
        put(wire, others);
        put(wire, &[("date", "today"), ("access-control-allow-origin", "*")]);
    });
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access-control-allow-origin", "date"]);
}

#[test]
fn body_metadata_and_requested_headers_count_only_if_sealed() {
    let mut reply = Reply::new(200, "yes");
    reply.headers.clear();
    for wanted in [named(&["x-listed"]), named(&[])] {
        let headers = answered(wanted.clone(), &[("x-asked", "?")], &reply, |wire| {
            put(wire, REPRESENTATION);
            put(wire, &[("x-listed", "1"), ("x-asked", "1"), ("x-own", "1"), ("content-length", "51")]);
        });
        for (name, _) in REPRESENTATION {
            assert!(!headers.contains_key(*name), "{name}");
        }
        assert!(!headers.contains_key("x-asked") && !headers.contains_key("content-length"));
        assert_eq!(headers.contains_key("x-listed"), wanted == named(&[]));
        assert_eq!(headers["x-own"], "1");
    }
}

#[test]
fn the_length_of_a_body_that_is_not_sent_counts_only_sealed_if_all_is() {
    let reply = Reply::without_body(200);
    let tamper = |wire: &mut Wire| put(wire, &[("content-length", "17")]);
    assert!(!answered(ResponseHeaders::All, &[], &reply, tamper).contains_key("content-length"));
    assert_eq!(answered(named(&["link"]), &[], &reply, tamper)["content-length"], "17");
    let mut sealed = reply.clone().forged(|_| {});
    sealed.headers.push(("content-length", "5".into()));
    assert_eq!(answered(ResponseHeaders::All, &[], &sealed, tamper)["content-length"], "5");
}
