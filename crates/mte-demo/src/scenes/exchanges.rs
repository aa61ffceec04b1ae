//! Scenes of one request and one response each.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use mte_client::KemId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Stage, Tenant};
use crate::{
    DemoError,
    demo::SHOP,
    show::{Who, grouped, spread},
    upstream::Received,
    view,
    wire::{self, Message},
};

/// Both clients get their id and their pair.
pub(super) async fn pairing(stage: &mut Stage) -> Result<(), DemoError> {
    for tenant in [Tenant::Shop, Tenant::Bank] {
        stage.demo.tap.look_for(&[]);
        stage.client(tenant).pair().await?;
        let recording = stage.demo.tap.take();
        let requests = wire::messages(&recording.to_relay.start);
        let answers = wire::messages(&recording.to_client.start);
        let lines: Vec<String> =
            requests.iter().zip(&answers).map(|(one, other)| control_line(one, other)).collect();
        let host = requests.first().and_then(|request| request.header("host")).unwrap_or_default();
        stage.screen.block(Who::Wire, &[format!("> host: {host}")]);
        stage.screen.block(Who::Us, &lines);

        let id = stage.client(tenant).client_id().unwrap_or_default();
        let both = requests.len() == 2 && answers.iter().all(|answer| answer.status() == 200);
        stage.check(format!("a client id and a pair from {host}"), both && id.len() == 36 + 1 + 64);
    }
    let kem = KemId::MlKem768;
    stage.screen.prose(&format!(
        "Keys of {} bytes and ciphertexts of {} bytes ({kem}), two of each for a pair: reading them does not help. \
         Exchanging them would: pairing is not authenticated in this version, so TLS has to protect it.",
        grouped(kem.key_len() as u64),
        grouped(kem.ciphertext_len() as u64),
    ));
    Ok(())
}

fn control_line(request: &Message<'_>, answer: &Message<'_>) -> String {
    let sizes =
        format!("{} bytes, {} back", grouped(request.body.len() as u64), grouped(answer.body.len() as u64));
    spread(&format!("> {}   < {}", request.start.trim_end_matches(" HTTP/1.1"), answer.status()), &sizes)
}

/// Path, query and headers are sealed.
pub(super) async fn get(stage: &mut Stage) -> Result<(), DemoError> {
    let request = Request::get("/accounts/4711?iban=DE89370400440532013000")
        .header("authorization", "Bearer eyJhbGciOiJFZERTQSJ9.demo")
        .body(Bytes::new())?;
    let secrets = ["4711?", "DE8937040044", "eyJhbGci", "Ada Lovelace"];
    stage.exchange(Tenant::Shop, request, &secrets).await?;
    Ok(())
}

/// The body is sealed as well. The recording is kept: a later scene replays it.
pub(super) async fn post(stage: &mut Stage) -> Result<(), DemoError> {
    let request = Request::post("/transfers")
        .header("content-type", "application/json")
        .body(Bytes::from_static(br#"{"to":"Charles Babbage","amount":"99.50 EUR","for":"brass gears"}"#))?;
    let recording =
        stage.exchange(Tenant::Shop, request, &["Babbage", "99.50", "brass gears", "T-2031"]).await?;
    stage.kept = Some(recording.to_relay.start);
    Ok(())
}

/// The same secret twice looks like two things of one length.
pub(super) async fn short_secret(stage: &mut Stage) -> Result<(), DemoError> {
    const CARD: &str = "4556 7375 8689 9855";
    let card = || {
        Request::post("/cards").header("content-type", "text/plain").body(Bytes::from_static(CARD.as_bytes()))
    };
    let first = stage.exchange(Tenant::Bank, card()?, &[CARD]).await?;
    let body = |start: &[u8]| wire::message(start).map(|message| message.body).unwrap_or_default();
    let first = body(&first.to_relay.start);

    stage.demo.tap.look_for(&[CARD]);
    stage.bank.send(card()?.map(Into::into)).await?.into_body().bytes(super::MAX_ANSWER).await?;
    let again = stage.demo.tap.take();
    let second = wire::message(&again.to_relay.start);
    let lines: Vec<String> =
        second.iter().filter_map(|message| view::request_lines(message, 0).pop()).collect();
    stage.screen.block(Who::Us, &["and the same again:".into()]);
    stage.screen.block(Who::Wire, &lines);
    let second = second.map(|message| message.body).unwrap_or_default();
    let differ =
        first.iter().zip(&second).skip(mte_codec::HEADER_LEN).filter(|(one, other)| one != other).count();
    let differ = differ * 10 > (first.len() - mte_codec::HEADER_LEN.min(first.len())) * 9;
    stage.check("equal secrets have different ciphertexts", differ);
    stage
        .check("of one length, which shows in steps of 64", first.len() == second.len() && !first.is_empty());
    Ok(())
}

/// What a route that is not encrypted looks like. It also shows that the eavesdropper finds what is there to be found.
pub(super) async fn pass_through(stage: &mut Stage) -> Result<(), DemoError> {
    const SECRETS: [&str; 2] = ["Loyalty-Card: 88123", "plum cake"];
    stage.demo.tap.look_for(&SECRETS);
    let request = format!("GET /public/menu HTTP/1.1\r\nhost: {SHOP}\r\n{}\r\n\r\n", SECRETS[0]);
    let own =
        HeaderMap::from_iter([(HeaderName::from_static("loyalty-card"), HeaderValue::from_static("88123"))]);
    let answer = raw(stage.demo.tap.address, request.as_bytes()).await?;
    let recording = stage.demo.tap.take();
    let received = stage.demo.shop.take_received();
    let body = wire::message(&answer).map(|message| message.body).unwrap_or_default();

    stage.screen.block(Who::Client, &["> GET /public/menu".into(), format!("> {}", SECRETS[0])]);
    stage.screen.block(Who::Wire, &view::seen(&recording));
    let lines: Vec<String> = received.iter().flat_map(|one| view::received(one, &own)).collect();
    stage.screen.block(Who::Upstream, &lines);
    stage.check("the eavesdropper reads all of it, as on any other proxy", recording.found() == SECRETS);
    let same = |one: &Received| own.iter().all(|(name, value)| one.headers.get(name) == Some(value));
    let passed = matches!(received.as_slice(), [one] if one.target == "/public/menu" && same(one));
    stage.check("it passed as it was", passed && body.starts_with(b"Today:"));
    Ok(())
}

/// Sends bytes as they are, and reads one whole answer.
pub(super) async fn raw(to: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, DemoError> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    while !wire::message(&answer).is_some_and(|message| message.whole) {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(format!("the connection was closed after {} bytes of an answer", answer.len()).into());
        }
    }
    Ok(answer)
}
