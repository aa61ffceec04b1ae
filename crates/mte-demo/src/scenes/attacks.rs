//! What an attacker on the path can try with recorded or withheld messages, and how it fails.

use bytes::Bytes;
use http::Request;
use memchr::memmem;
use mte_client::Error;
use mte_protocol::status::ErrorBody;

use super::{Stage, Tenant, exchanges::raw};
use crate::{
    DemoError,
    demo::{BANK, SHOP},
    show::{Style, WIDTH, shorten},
    tamper::{Order, corrupt_body},
    wire,
};

/// Characters of the first two columns.
const WHAT: usize = 42;
const ANSWER: usize = 30;

pub(super) async fn attacks(stage: &mut Stage) -> Result<(), DemoError> {
    let recorded = stage.kept.take().ok_or("there is no recording of an earlier request")?;
    let withheld = withhold(stage).await?;
    stage.screen.prose(
        "He has the POST of scene 3 as he recorded it, and another one that he has just kept back, so that the relay \
         does not know it yet.",
    );
    row(stage, "he sends", "the relay answers", "upstream", None);

    let mut corrupted = withheld.clone();
    corrupt_body(&mut corrupted);
    let other_method = replaced(&withheld, "POST ", "PUT ")?;
    let other_host = replaced(&withheld, SHOP, BANK)?;
    attempt(stage, "the recorded one again, byte for byte", &recorded, 562, 0).await?;
    attempt(stage, "the other, one bit of its body flipped", &corrupted, 562, 0).await?;
    attempt(stage, "the other, as a PUT", &other_method, 562, 0).await?;
    attempt(stage, "the other, to the bank: the shop's pair", &other_host, 566, 0).await?;
    attempt(stage, "the other as it was: late, but genuine", &withheld, 201, 1).await?;
    attempt(stage, "and again", &withheld, 562, 0).await?;
    corrupt_answer(stage).await?;
    stage
        .screen
        .prose("So an attacker can delay or drop a request, but cannot change it, repeat it or send it elsewhere. He can also answer \
         with a forged error of the relay, which is not authenticated: a client that may resend then seals its request \
         again, so limit that for requests that must not happen twice. This client does not resend.");
    Ok(())
}

fn transfer() -> Result<Request<mte_client::Body>, DemoError> {
    let body = Bytes::from_static(br#"{"to":"Grace Hopper","amount":"7.00 EUR","for":"one moth"}"#);
    Ok(Request::post("/transfers").header("content-type", "application/json").body(body.into())?)
}

/// A request that the tap keeps to itself.
async fn withhold(stage: &mut Stage) -> Result<Vec<u8>, DemoError> {
    stage.demo.tap.look_for(&["Hopper", "moth"]);
    stage.demo.tap.order(Order::Withhold);
    let outcome = stage.client(Tenant::Shop).send(transfer()?).await;
    let recording = stage.demo.tap.take();
    stage.check("a client that gets no answer learns so", matches!(outcome, Err(Error::Http(_))));
    stage.check_secrets(&recording);
    Ok(recording.to_relay.start)
}

/// Sends bytes to the relay, and checks its answer and that `deliveries` requests reached an upstream.
async fn attempt(
    stage: &mut Stage,
    what: &str,
    bytes: &[u8],
    status: u16,
    deliveries: usize,
) -> Result<(), DemoError> {
    let answer = raw(stage.demo.relay, bytes).await?;
    let answer = wire::message(&answer).ok_or("the answer is not HTTP")?;
    let delivered = stage.demo.shop.take_received().len() + stage.demo.bank.take_received().len();
    let error = serde_json::from_slice::<ErrorBody<'_>>(&answer.body);
    let text = error.map_or_else(|_| "sealed".to_owned(), |error| error.error.into_owned());
    let answered = format!("{}  {text}", answer.status());
    let got = match delivered {
        0 => "nothing",
        1 => "it, once",
        _ => "it, more than once",
    };
    let held = answer.status() == status && delivered == deliveries;
    row(stage, what, &answered, got, Some(held));
    stage.count(what, held);
    Ok(())
}

/// The relay cannot know of this one: it is the client that refuses.
async fn corrupt_answer(stage: &mut Stage) -> Result<(), DemoError> {
    stage.demo.tap.order(Order::CorruptResponse);
    let request = transfer()?;
    let outcome =
        async { stage.client(Tenant::Shop).send(request).await?.into_body().bytes(1 << 20).await }.await;
    let delivered = stage.demo.shop.take_received().len();
    let (text, refused) = match &outcome {
        Err(Error::Response(error)) => (error.to_string(), true),
        Err(error) => (error.report(), false),
        Ok(_) => ("the client took it".to_owned(), false),
    };
    let held = refused && delivered == 1;
    row(
        stage,
        "an answer, one bit of its body flipped",
        "(to the client, which refuses)",
        "it, once",
        Some(held),
    );
    stage.screen.prose(&format!("(it says: {text})"));
    stage.count("an answer, one bit of its body flipped", held);
    Ok(())
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Result<Vec<u8>, DemoError> {
    let at = memmem::find(bytes, from.as_bytes()).ok_or("the kept request is not what it should be")?;
    Ok([&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat())
}

fn row(stage: &Stage, what: &str, answer: &str, got: &str, held: Option<bool>) {
    let mark = match held {
        None => String::new(),
        Some(true) => stage.screen.paint(Style::Green, "ok"),
        Some(false) => stage.screen.paint(Style::Red, "NOT OK"),
    };
    let rest = WIDTH - 4 - WHAT - ANSWER - 2 - 6;
    let (what, answer, got) = (shorten(what, WHAT - 2), shorten(answer, ANSWER), shorten(got, rest));
    let text = format!("{what:<WHAT$}{answer:<ANSWER$}  {got:<rest$}");
    let text = if held.is_none() { stage.screen.paint(Style::Dim, &text) } else { text };
    stage.screen.line(&format!("    {text}{mark}"));
}
