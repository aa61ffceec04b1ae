use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn parse(json: &str) -> Result<SealedHeaders, SealedHeadersError> {
    SealedHeaders::parse(json.as_bytes())
}

fn pairs(json: &str) -> Vec<(String, Vec<u8>)> {
    parse(json).unwrap().iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

#[test]
fn names_come_in_lower_case_and_in_order() {
    let headers = parse(r#" {"X-B":"2","Accept":"text/*" , "a":""} "#).unwrap();
    assert!(headers.iter().eq([("a", &b""[..]), ("accept", b"text/*"), ("x-b", b"2")]));
    assert_eq!(headers.get("x-b"), Some(&b"2"[..]));
    assert_eq!((headers.get("x-c"), headers.len(), headers.is_empty()), (None, 3, false));
    assert!(parse("{}").unwrap().is_empty());
}

#[test]
fn a_character_is_a_byte() {
    assert_eq!(
        pairs("{\"a\":\"\u{ff}\\u00e9\\u00FF\u{80}\"}"),
        [("a".to_owned(), vec![0xff, 0xe9, 0xff, 0x80])]
    );
    assert_eq!(parse(r#"{"a":"\u0100"}"#).unwrap_err(), SealedHeadersError::NotAByte);
    assert_eq!(parse(r#"{"a":"€"}"#).unwrap_err(), SealedHeadersError::NotAByte);
}

#[test]
fn of_names_that_differ_only_in_case_the_last_wins() {
    assert_eq!(
        pairs(r#"{"A":"1","b":"x","a":"2"}"#),
        [("a".to_owned(), b"2".to_vec()), ("b".to_owned(), b"x".to_vec())]
    );
    assert_eq!(pairs(r#"{"a":"1","A":"2","a":"3"}"#), [("a".to_owned(), b"3".to_vec())]);
    assert_eq!(parse(r#"{":method":"GET",":Method":"PUT"}"#).unwrap().method(), Some("PUT"));
}

#[test]
fn bindings_are_no_headers() {
    let headers =
        parse(r#"{":method":"GET",":authority":"a.example:8443",":status":"404",":request":"17","z":"1"}"#)
            .unwrap();
    assert_eq!(headers.method(), Some("GET"));
    assert_eq!(headers.authority(), Some("a.example:8443"));
    assert_eq!(headers.status(), Some(404));
    assert_eq!(headers.request(), Some(17));
    assert!(headers.iter().eq([("z", &b"1"[..])]));
    assert_eq!(parse("{}").unwrap().method(), None);
}

#[test]
fn an_authority_has_one_normal_form() {
    for (authority, normal) in [
        ("API.Example.com", "api.example.com"),
        ("a.example:443", "a.example"),
        ("a.example:80", "a.example"),
        ("a.example:8443", "a.example:8443"),
        ("a.example:44380", "a.example:44380"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::80]", "[2001:db8::80]"),
        ("2001:db8::1:80", "2001:db8::1:80"),
        ("", ""),
    ] {
        assert_eq!(normal_authority(authority), normal, "{authority}");
    }
}

#[test]
fn unknown_bindings_are_refused() {
    for json in [r#"{":path":"/"}"#, r#"{":x":""}"#, r#"{":methods":"GET"}"#, r#"{":scheme":"https"}"#] {
        assert_eq!(parse(json).unwrap_err(), SealedHeadersError::UnknownBinding, "{json}");
    }
}

#[test]
fn bindings_with_malformed_values_are_refused() {
    for (json, name) in [
        (r#"{":method":""}"#, METHOD),
        (r#"{":method":"GE T"}"#, METHOD),
        (r#"{":authority":""}"#, AUTHORITY),
        (r#"{":authority":"é"}"#, AUTHORITY),
        (r#"{":status":"20"}"#, STATUS),
        (r#"{":status":"+20"}"#, STATUS),
        (r#"{":status":"0200"}"#, STATUS),
        (r#"{":request":"01"}"#, REQUEST),
        (r#"{":request":""}"#, REQUEST),
        (r#"{":request":"-1"}"#, REQUEST),
        (r#"{":request":"18446744073709551616"}"#, REQUEST),
        (r#"{":response-headers":""}"#, RESPONSE_HEADERS),
        (r#"{":response-headers":"ETag"}"#, RESPONSE_HEADERS),
    ] {
        assert_eq!(parse(json).unwrap_err(), SealedHeadersError::Binding(name), "{json}");
    }
}

#[test]
fn the_response_headers_to_seal_are_asked_for_by_a_pseudo_name() {
    let headers = parse(r#"{":response-headers":"*","a":"b"}"#).unwrap();
    assert_eq!((headers.response_headers(), headers.len()), (ResponseHeaders::All, 1));
    let named = parse(r#"{":response-headers":"etag,x-total"}"#).unwrap().response_headers();
    assert!(named.wants("x-total") && !named.wants("a"));
    assert_eq!(parse("{}").unwrap().response_headers(), ResponseHeaders::Asked);
}

#[test]
fn a_map_has_no_more_names_than_its_reader_allows() {
    let json = |names: usize| {
        let fields: Vec<_> = (0..names).map(|index| format!(r#""x-{index}":"""#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    let at_most = |names, max| SealedHeaders::parse_at_most(json(names).as_bytes(), max).map(drop);
    assert_eq!(at_most(200, 200), Ok(()));
    assert_eq!(at_most(201, 200), Err(SealedHeadersError::TooMany(200)));
    // The `http` crate panics above 24,576.
    assert_eq!(at_most(30_000, usize::MAX), Err(SealedHeadersError::TooMany(10_000)));
    assert_eq!(parse(&json(30_000)).unwrap_err(), SealedHeadersError::TooMany(10_000));
    let twice = SealedHeaders::parse_at_most(br#"{"a":"1","A":"2"}"#, 1);
    assert_eq!(twice.unwrap_err(), SealedHeadersError::TooMany(1));
}

#[test]
fn names_are_tokens() {
    for json in [
        r#"{"":"x"}"#,
        r#"{"a b":""}"#,
        r#"{"a:b":""}"#,
        r#"{"é":""}"#,
        r#"{"a\n":""}"#,
        r#"{":":""}"#,
        r#"{"::a":""}"#,
    ] {
        assert_eq!(parse(json).unwrap_err(), SealedHeadersError::Name, "{json}");
    }
}

#[test]
fn values_have_no_control_characters() {
    for json in [
        r#"{"a":"x\r\ny: z"}"#,
        r#"{"a":"\n"}"#,
        r#"{"a":"\u0000"}"#,
        r#"{"a":"\u007f"}"#,
        r#"{"a":"\n","a":"ok"}"#,
    ] {
        assert_eq!(parse(json).unwrap_err(), SealedHeadersError::Value("a".into()), "{json}");
    }
    assert_eq!(pairs(r#"{"a":"\t x\ty "}"#), [("a".to_owned(), b"x\ty".to_vec())]);
}

#[test]
fn only_a_flat_object_of_strings_is_a_map() {
    for json in [
        "",
        "null",
        "[]",
        r#""a""#,
        "{",
        r#"{"a"}"#,
        r#"{"a":1}"#,
        r#"{"a":null}"#,
        r#"{"a":true}"#,
        r#"{"a":["x"]}"#,
        r#"{"a":{"b":"c"}}"#,
        r#"{"a":"b",}"#,
        r#"{"a":"b"}x"#,
        r#"{"a":"b"}{}"#,
        r#"{"a":"\ud800"}"#,
        r#"{'a':'b'}"#,
    ] {
        assert!(matches!(parse(json), Err(SealedHeadersError::Json(_))), "{json}");
    }
    assert!(matches!(SealedHeaders::parse(b"{\"a\":\"\xff\"}"), Err(SealedHeadersError::Json(_))));
}

#[test]
fn maps_as_clients_write_them_take_the_fast_path() {
    let mut map = SealedHeadersWriter::new();
    map.method("POST");
    map.authority("api.example:8443");
    map.header("Content-Type", b"application/json; charset=\x20utf-8");
    let json = map.finish();
    assert_eq!(compact::read(&json, 3).unwrap().entries.len(), 3);
    assert!(compact::read(b"{}", 0).is_some());
    for left_to_the_parser in [
        "",
        "{",
        "{}}",
        "{} ",
        r#"{"a":"b",}"#,
        r#"{"a": "b"}"#,
        r#"{"a":"\n"}"#,
        r#"{"a":"\u0041"}"#,
        r#"{"":"b"}"#,
        r#"{"a b":"c"}"#,
        r#"{"a":1}"#,
        r#"{"a":"b""#,
        r#"{"a":"b"#,
        "{\"a\":\"\u{e9}\"}",
        "{\"a\":\"\t\"}",
        r#"{"a":"b"}x"#,
    ] {
        assert!(compact::read(left_to_the_parser.as_bytes(), 3).is_none(), "{left_to_the_parser}");
    }
    assert!(compact::read(&json, 2).is_none(), "more names than are allowed");
}

#[test]
fn values_are_not_printed() {
    let headers = parse(r#"{"authorization":"Bearer xyzzy"}"#).unwrap();
    assert_eq!(format!("{headers:?}"), r#"{"authorization"}"#);
}

#[test]
fn a_map_is_written_in_lower_case_and_escaped() {
    let mut writer = SealedHeadersWriter::new();
    writer.method("GET");
    writer.authority("a.example");
    writer.status(200);
    writer.request(7);
    writer.header("Content-Type", b"a\"b\\c\t\xe9");
    writer.joined("vary", [&b"a"[..], b"b"]);
    let json = writer.finish();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        r#"{":method":"GET",":authority":"a.example",":status":"200",":request":"7","#.to_owned()
            + r#""content-type":"a\"b\\c\u0009é","vary":"a, b"}"#
    );
    assert_eq!(SealedHeadersWriter::new().finish(), b"{}");
    assert_eq!(SealedHeadersWriter::in_buffer(b"x".to_vec()).finish(), b"x{}");
}

#[test]
fn a_map_of_very_many_names_is_read_quickly() {
    let mut writer = SealedHeadersWriter::new();
    for index in (0..10_000).rev() {
        writer.header(&format!("x-{}", index % 5_000), index.to_string().as_bytes());
    }
    let headers = SealedHeaders::parse(&writer.finish()).unwrap();
    assert_eq!((headers.len(), headers.get("x-77")), (5_000, Some(&b"77"[..])));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        map in proptest::collection::btree_map(
            "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}",
            proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7eu8, 0x80..=0xffu8], 0..20),
            0..12,
        ),
    ) {
        let mut writer = SealedHeadersWriter::new();
        let mut expected = BTreeMap::new();
        for (name, value) in &map {
            writer.header(name, value);
            expected.insert(name.to_lowercase(), value.trim_ascii().to_vec());
        }
        let json = writer.finish();
        prop_assert!(serde_json::from_slice::<BTreeMap<String, String>>(&json).is_ok());
        let headers = SealedHeaders::parse(&json).unwrap();
        let read: BTreeMap<_, _> =
            headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn the_fast_path_reads_what_the_json_parser_reads(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "{", "}", "\"", ":", ",", "a", "B", "x-y", " ", "\t", "\\\"", "\\u0041", "1", "null", "[", "]", "\u{e9}", "\u{7f}",
                "{\"a\":\"b\"", "\"A\":\" v \"", "\",\"", "\":\"", "{\":method\":\"GET\",", "\"}",
            ]),
            0..12,
        ),
        max_names in 0..4_usize,
    ) {
        let json = parts.concat();
        if let Some(fast) = compact::read(json.as_bytes(), max_names) {
            let slow = SealedHeaders::read_json(json.as_bytes(), max_names).unwrap();
            let entries = |headers: &SealedHeaders| -> Vec<_> {
                let entries = headers.entries.iter();
                entries.map(|entry| (entry.name(&headers.bytes).to_vec(), entry.value(&headers.bytes).to_vec())).collect()
            };
            prop_assert_eq!(entries(&fast), entries(&slow));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let _ = SealedHeaders::parse(&bytes);
    }

    #[test]
    fn whatever_is_written_is_json(name in ".*", value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut writer = SealedHeadersWriter::new();
        writer.header(&name, &value);
        prop_assert!(serde_json::from_slice::<BTreeMap<String, String>>(&writer.finish()).is_ok());
    }
}
