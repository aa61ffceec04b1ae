//! Logs and request ids. Never logged: a secret, a key, a body, or a decoded URL's query.

use std::io::IsTerminal;
use std::io::Write as _;

use log::kv::{Key, Value, VisitSource};
use pingora_proxy::Session;

use crate::{config, gateway::RequestContext};

/// A fresh request id: 16 hexadecimal digits.
pub fn request_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Starts logging to stdout.
pub fn init(log: &config::Log) {
    let json = log.json.unwrap_or_else(|| !std::io::stdout().is_terminal());
    let mut builder = env_logger::Builder::new();
    builder.filter_level(log.level).target(env_logger::Target::Stdout);
    // Pingora's own lines are about its inner workings; what matters of them is logged here.
    builder.filter_module("pingora", log.level.min(log::LevelFilter::Warn));
    if json {
        builder.format(|out, record| {
            let line = json_line(record);
            out.write_all(&line)
        });
    }
    // A second relay in the process shares the first one's logger.
    let _ = builder.try_init();
}

/// One JSON object, with a line break.
fn json_line(record: &log::Record<'_>) -> Vec<u8> {
    struct Fields(serde_json::Map<String, serde_json::Value>);

    impl<'kvs> VisitSource<'kvs> for Fields {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            let value = if let Some(number) = value.to_u64() {
                number.into()
            } else if let Some(number) = value.to_f64() {
                serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, Into::into)
            } else if let Some(flag) = value.to_bool() {
                flag.into()
            } else {
                value.to_string().into()
            };
            self.0.insert(key.as_str().to_owned(), value);
            Ok(())
        }
    }

    let mut fields = Fields(serde_json::Map::new());
    let time = humantime_millis();
    fields.0.insert("time".into(), time.into());
    fields.0.insert("level".into(), record.level().as_str().to_ascii_lowercase().into());
    fields.0.insert("target".into(), record.target().into());
    fields.0.insert("message".into(), record.args().to_string().into());
    // Visiting only collects; it does not fail.
    let _ = record.key_values().visit(&mut fields);
    let mut line = serde_json::to_vec(&fields.0).unwrap_or_default();
    line.push(b'\n');
    line
}

fn humantime_millis() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// One line per request.
pub fn access_line(session: &Session, ctx: &RequestContext) {
    if !log::log_enabled!(target: "mte_relay::access", log::Level::Debug) {
        return;
    }
    let downstream = session.as_downstream();
    let status = downstream.response_written().map_or(0, |response| response.status.as_u16());
    log::debug!(
        target: "mte_relay::access",
        request_id = ctx.request_id.as_str(),
        tenant = ctx.tenant.as_ref().map_or("-", |tenant| &*tenant.name),
        method = downstream.req_header().method.as_str(),
        encrypted = ctx.exchange.is_some(),
        status = status,
        millis = ctx.started.elapsed().as_secs_f64() * 1e3,
        received = downstream.body_bytes_read(),
        sent = downstream.body_bytes_sent();
        "request"
    );
}
