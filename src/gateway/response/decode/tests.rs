use std::io::Write as _;

use super::*;

const TEXT: &[u8] = b"{\"items\": [1, 2, 3], \"text\": \"the quick brown fox jumps over the lazy dog\"}";

fn long() -> Vec<u8> {
    (0..4_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .chain(TEXT.iter().copied())
        .collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).expect("to memory");
    encoder.finish().expect("to memory")
}

fn encode(coding: Coding, data: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => gzip(data),
        Coding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(data).expect("to memory");
            encoder.finish().expect("to memory")
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
            encoder.write_all(data).expect("to memory");
            drop(encoder);
            out
        }
        Coding::Zstd => zstd::encode_all(data, 3).expect("to memory"),
    }
}

fn decode(coding: Coding, body: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding)?;
    let mut plaintext = Vec::new();
    for part in body.chunks(size) {
        plaintext.extend_from_slice(&decoder.push(part, false)?);
    }
    plaintext.extend_from_slice(&decoder.push(&[], true)?);
    Ok(plaintext)
}

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

#[test]
fn a_body_of_every_coding_is_decoded_however_it_is_cut() {
    for coding in ALL {
        for data in [Vec::new(), TEXT.to_vec(), long()] {
            let body = encode(coding, &data);
            for size in [1, 7, 4096, 1 << 20].into_iter().filter(|size| *size > 1 || data.len() < 4096) {
                assert_eq!(decode(coding, &body, size).as_deref(), Ok(&data[..]), "{coding:?} {size}");
            }
        }
    }
}

#[test]
fn what_a_part_holds_comes_out_with_that_part() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"event: one\n\n").expect("to memory");
    encoder.flush().expect("to memory");
    let mut decoder = Decoder::new(Coding::Gzip).expect("a decoder");
    let plaintext = decoder.push(encoder.get_ref(), false).expect("decodes");
    assert_eq!(&plaintext[..], b"event: one\n\n");
}

#[test]
fn raw_deflate_is_recognized() {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&long()).expect("to memory");
    let body = encoder.finish().expect("to memory");
    assert_eq!(decode(Coding::Deflate, &body, 1000), Ok(long()));
}

#[test]
fn several_members_and_frames_are_one_body() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let body = [encode(coding, b"one "), encode(coding, b"two")].concat();
        assert_eq!(decode(coding, &body, 5).as_deref(), Ok(&b"one two"[..]), "{coding:?}");
    }
}

#[test]
fn a_body_that_is_cut_anywhere_is_an_error() {
    for coding in ALL {
        let body = encode(coding, &long());
        for len in [1, 2, body.len() / 2, body.len() - 1] {
            assert!(decode(coding, &body[..len], 4096).is_err(), "{coding:?} cut at {len} of {}", body.len());
        }
    }
}

#[test]
fn a_body_that_is_none_of_the_coding_is_an_error() {
    for coding in ALL {
        assert!(decode(coding, &[0xff; 300], 100).is_err(), "{coding:?}");
    }
}

#[test]
fn a_part_that_would_become_huge_is_refused() {
    let huge = vec![0; MAX_DECODED_PART + 1];
    for coding in ALL {
        let body = encode(coding, &huge);
        let result = decode(coding, &body, 64 << 10);
        assert!(
            matches!(result, Err(DecodeError::TooLarge(_))),
            "{coding:?}: {:?}",
            result.map(|data| data.len())
        );
    }
}

#[test]
fn codings_are_named_in_any_case() {
    assert_eq!(Coding::parse("GZip"), Some(Coding::Gzip));
    assert_eq!(Coding::parse("x-gzip"), Some(Coding::Gzip));
    assert_eq!(Coding::parse("compress"), None);
}

#[test]
fn a_body_without_a_byte_is_empty_in_every_coding() {
    for coding in ALL {
        assert_eq!(decode(coding, &[], 1), Ok(Vec::new()), "{coding:?}");
    }
}
