//! Scenes of bodies that are sealed and opened as they pass.

use std::time::{Duration, Instant};

use http::Request;
use mte_client::Body;

use super::{Stage, Tenant};
use crate::{
    DemoError,
    pages::{Digested, Digesting, MARK, PAGE, Pages},
    show::{Who, grouped, shorten, size, spread},
    upstream::TICKS,
    view,
};

/// 64 MiB each way.
const PAGES: u64 = (64 << 20) / PAGE;

/// A body of unknown length is sent; the upstream reports what arrived.
pub(super) async fn upload(stage: &mut Stage) -> Result<(), DemoError> {
    stage.demo.tap.look_for(&[MARK, "ledgers/2031"]);
    let (at_end, sent) = std::sync::mpsc::channel();
    // No receiver waits any more: the request has failed, and reports it itself.
    let pages = Pages::new(PAGES, move |digested| drop(at_end.send(digested)));
    let begun = Instant::now();
    let response =
        stage.client(Tenant::Shop).send(Request::put("/ledgers/2031").body(Body::wrap(pages))?).await?;
    let text = response.into_body().text(super::MAX_ANSWER).await?;
    let took = begun.elapsed();
    let sent = sent.try_recv().map_err(|_| "the body was not sent to its end")?;
    let recording = stage.demo.tap.take();
    let received = stage.upstream(Tenant::Shop).take_received();

    stage.screen.block(
        Who::Client,
        &[
            "> PUT /ledgers/2031".into(),
            spread(&format!("> {}", first_line(&sent)), &size(sent.len)),
            format!("< {text}"),
        ],
    );
    stage.screen.block(Who::Wire, &view::seen_in_short(&recording));
    let lines: Vec<String> = received
        .iter()
        .flat_map(|one| {
            [format!("> {} {}", one.method, one.target), spread(&sha256(&one.body), &size(one.body.len))]
        })
        .collect();
    stage.screen.block(Who::Upstream, &lines);
    stage.check_secrets(&recording);
    let same = matches!(received.as_slice(), [one] if one.body == sent && one.method == "PUT");
    stage.check("the upstream got every byte, in order (SHA-256)", same);
    stage.check(speed("uploaded", sent.len, took), text.contains(&sent.sha256));
    Ok(())
}

/// The upstream streams a body that it generates.
pub(super) async fn download(stage: &mut Stage) -> Result<(), DemoError> {
    stage.demo.tap.look_for(&[MARK, "ledgers/2030"]);
    let begun = Instant::now();
    let target = format!("/ledgers/2030?pages={PAGES}");
    let response = stage.client(Tenant::Shop).get(&target).await?;
    let head = begun.elapsed();
    let mut body = response.into_body();
    let mut opened = Digesting::default();
    while let Some(data) = body.data().await {
        opened.push(&data?);
    }
    let took = begun.elapsed();
    let opened = opened.finish();
    let recording = stage.demo.tap.take();
    let answered = stage.upstream(Tenant::Shop).take_answered();

    stage.screen.block(
        Who::Client,
        &[
            format!("> GET {target}"),
            format!("< 200 after {} ms", millis(head)),
            spread(&format!("< {}", first_line(&opened)), &size(opened.len)),
        ],
    );
    stage.screen.block(Who::Wire, &view::seen_in_short(&recording));
    let lines: Vec<String> = answered.iter().map(|one| spread(&sha256(one), &size(one.len))).collect();
    stage.screen.block(Who::Upstream, &lines);
    stage.check_secrets(&recording);
    stage.check("the client got every byte, in order (SHA-256)", answered == [opened.clone()]);
    stage.check(speed("downloaded", opened.len, took), opened.len == PAGES * PAGE);
    Ok(())
}

/// Events come one by one, each as soon as it is sent.
pub(super) async fn events(stage: &mut Stage) -> Result<(), DemoError> {
    stage.demo.tap.look_for(&["plum cake", "/ticker"]);
    let request = Request::get("/ticker").header("accept", "text/event-stream").body(Body::empty())?;
    let response = stage.client(Tenant::Shop).send(request).await?;
    let kind = response.headers().get("content-type").cloned();
    let mut body = response.into_body();
    let begun = stage.demo.shop.tick(0).ok_or("no event was sent")?;
    stage.screen.block(Who::Client, &["> GET /ticker".into(), "< 200 text/event-stream".into()]);
    let columns =
        |one: &str, two: &str, three: &str, four: &str| format!("{one:<26}{two:>16}{three:>22}{four:>17}");
    stage.screen.block(Who::Us, &[columns("event", "upstream sent", "on the wire", "client opened")]);
    let mut streamed = false;
    let mut count = 0;
    while let Some(event) = body.data().await {
        let (event, opened) = (event?, Instant::now());
        let sent = stage.demo.shop.tick(count).ok_or("an event that was not sent")?;
        // Not more than that: a busy machine may be late by one event.
        streamed |= count == 0 && stage.demo.shop.tick(TICKS - 1).is_none();
        let wire = stage.demo.tap.to_client_after(sent).map_or_else(String::new, |(at, len)| {
            format!("+{} ms  {len:>3} bytes", millis(at.saturating_duration_since(sent)))
        });
        let text = String::from_utf8_lossy(&event).into_owned();
        let line = columns(
            &shorten(text.lines().next().unwrap_or_default(), 26),
            &format!("{:.3} s", sent.saturating_duration_since(begun).as_secs_f64()),
            &wire,
            &format!("+{} ms", millis(opened.saturating_duration_since(sent))),
        );
        stage.screen.block(Who::Us, &[line]);
        count += 1;
    }
    let recording = stage.demo.tap.take();
    stage.screen.block(Who::Wire, &view::seen_in_short(&recording));
    stage.check_secrets(&recording);
    stage.check(
        format!("all {TICKS} events came"),
        count == TICKS && kind.is_some_and(|kind| kind == "text/event-stream"),
    );
    stage.check("the first was opened long before the last was sent", streamed);
    Ok(())
}

fn first_line(body: &Digested) -> String {
    format!("{} \u{2026}", body.text().lines().next().unwrap_or_default())
}

fn sha256(body: &Digested) -> String {
    format!("SHA-256 {}\u{2026}", body.sha256.get(..32).unwrap_or_default())
}

fn speed(what: &str, bytes: u64, took: Duration) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    let per_second = (mib / took.as_secs_f64().max(1e-6)) as u64;
    format!("{what} in {:.2} s, {} MiB/s on this machine", took.as_secs_f64(), grouped(per_second))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
