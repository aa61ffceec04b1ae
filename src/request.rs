//! `mte-relay request`: one request through a relay, from the command line.
//!
//! A command line for `mte-client`, with curl's flags. With `-v` it shows on standard error what is sent and received and
//! what it decodes to, so that you can see what an eavesdropper learns and what not.

mod verbose;

use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use mte_client::{
    Body, Builder, CertificateDer, EncodeHeaders, EncodeType, KemId, RelayClient, Resend, ResponseHeaders,
};
use rustls::pki_types::pem::{self, PemObject};

const EXIT_CODES: &str = "\
Exit codes:
   0  a response was received (with --fail: with a status below 400)
   7  cannot connect to the relay
  22  with --fail: the response has a status of 400 or above
  64  the command line, the URL or a header cannot be used
  66  the data to send cannot be read
  69  the relay itself responded with an error
  74  the response cannot be written
  75  the relay took too long
  76  the response does not verify, or does not follow the protocol
";

/// Send one encrypted request through a relay and print the decrypted response.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RequestArgs {
    /// URL of the relay, with the path and query to request.
    pub url: Uri,

    /// The request method. Default: POST with -d, PUT with -T, otherwise GET.
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<Method>,

    /// Data to send; @FILE sends a file unchanged, @- standard input. Held in memory.
    #[arg(short = 'd', long, value_name = "DATA", conflicts_with = "upload_file")]
    pub data: Option<String>,

    /// A file to stream as the request body; - is standard input.
    #[arg(short = 'T', long, value_name = "FILE")]
    pub upload_file: Option<PathBuf>,

    /// A request header, 'name: value'; may be repeated. 'host: NAME' is the host name sent to the relay, instead of the
    /// URL's.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = parse_header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,

    /// Write the response to this file instead of standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write the response's status and headers before its body.
    #[arg(short = 'i', long)]
    pub include: bool,

    /// Show on standard error what is sent and received, and what it decodes to.
    #[arg(short = 'v', long)]
    pub verbose: bool,

    /// On a status of 400 or above, exit with code 22 and write no body.
    #[arg(short = 'f', long)]
    pub fail: bool,

    /// Use encode type MTE, for short and highly sensitive data, instead of MKE.
    #[arg(long)]
    pub mte: bool,

    /// The key encapsulation mechanism for pairing: ml-kem-512, ml-kem-768, ml-kem-1024 or x-wing.
    #[arg(long, value_name = "KEM", default_value_t = KemId::MlKem768)]
    pub kem: KemId,

    /// Send the path and query in the clear.
    #[arg(long)]
    pub plain_url: bool,

    /// The request headers to seal: all, none, or names separated by commas. Headers that a relay does not accept in the
    /// clear are always sealed.
    #[arg(long, value_name = "WHICH", default_value = "all", value_parser = parse_encode_headers)]
    pub encode_headers: EncodeHeaders,

    /// The response headers that the relay seals: all, or names separated by commas.
    #[arg(long, value_name = "WHICH", default_value = "all", value_parser = parse_response_headers)]
    pub response_headers: ResponseHeaders,

    /// Whether to resend the request if the relay asks for a new pairing: idempotent (only idempotent methods), always or
    /// never.
    #[arg(long, value_name = "WHICH", default_value = "idempotent", value_parser = parse_resend)]
    pub resend: Resend,

    /// Connect to this address instead of the URL's host.
    #[arg(long, value_name = "HOST:PORT")]
    pub connect_to: Option<String>,

    /// Trust the certificates in this PEM file instead of the public root certificates.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// How many pairs to create.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pairs: usize,

    /// Use HTTP/1.1; do not offer HTTP/2.
    #[arg(long = "http1.1")]
    pub http1: bool,

    /// Seconds to wait for a connection.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub connect_timeout: u64,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The URL does not say where the relay is.
    #[error("{0}: give the full URL, with https:// or http://")]
    RelativeUrl(Uri),
    /// The address to connect to cannot be found.
    #[error("cannot resolve {0}: {1}")]
    Resolve(String, #[source] std::io::Error),
    /// The name to connect to has no address.
    #[error("cannot resolve {0}: no address")]
    NoAddress(String),
    /// Data cannot be read.
    #[error("cannot read {0}: {1}")]
    Input(String, #[source] std::io::Error),
    /// Certificates cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Certificates(PathBuf, #[source] pem::Error),
    /// The file has no certificates.
    #[error("cannot read {}: it has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The response cannot be written.
    #[error("cannot write {0}: {1}")]
    Output(String, #[source] std::io::Error),
    /// With `--fail`: the response has a status of 400 or above.
    #[error("the response has status {0}")]
    Status(u16),
    /// The exchange failed.
    #[error("{}", .0.report())]
    Client(#[from] mte_client::Error),
}

impl RequestError {
    /// The exit code that the help lists.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        use mte_client::Error;
        match self {
            Self::Status(_) => 22,
            Self::RelativeUrl(_) => 64,
            Self::Resolve(..) | Self::NoAddress(_) => 7,
            Self::Input(..) | Self::Certificates(..) | Self::NoCertificate(_) => 66,
            Self::Output(..) => 74,
            Self::Client(error) => match error {
                Error::Connect { .. } => 7,
                Error::Setting(_) | Error::RequestUrl { .. } | Error::Header { .. } => 64,
                Error::RequestBody(_) | Error::BodyLength { .. } | Error::TooLarge { .. } => 66,
                Error::Relay { .. } => 69,
                Error::Timeout { .. } => 75,
                Error::Http(_) | Error::Pairing(_) | Error::Response(_) => 76,
                _ => 70,
            },
        }
    }
}

/// Sends the request and writes its response.
///
/// # Errors
/// [`RequestError`], to print and to exit with.
pub(crate) async fn run(args: RequestArgs) -> Result<ExitCode, RequestError> {
    let client = client(&args).await?;
    let response = client.send(request(&args).await?).await?;
    let status = response.status().as_u16();
    if args.fail && status >= 400 {
        return Err(RequestError::Status(status));
    }
    write_response(&args, response).await?;
    Ok(ExitCode::SUCCESS)
}

async fn client(args: &RequestArgs) -> Result<RelayClient, RequestError> {
    let (Some(scheme), Some(authority)) = (args.url.scheme_str(), args.url.authority()) else {
        return Err(RequestError::RelativeUrl(args.url.clone()));
    };
    let mut builder: Builder = RelayClient::builder(format!("{scheme}://{authority}"))
        .encode_type(if args.mte { EncodeType::Mte } else { EncodeType::Mke })
        .encode_url(!args.plain_url)
        .encode_headers(args.encode_headers.clone())
        .response_headers(args.response_headers.clone())
        .resend(args.resend)
        .pairs(args.pairs)
        .kem(args.kem)
        .http2(!args.http1)
        .timeout(Duration::from_secs(args.connect_timeout));
    if let Some((_, host)) = args.headers.iter().find(|(name, _)| name == HOST) {
        builder = builder.host(String::from_utf8_lossy(host.as_bytes()));
    }
    if let Some(address) = &args.connect_to {
        let found = tokio::net::lookup_host(address).await;
        let mut found = found.map_err(|error| RequestError::Resolve(address.clone(), error))?;
        let found = found.next().ok_or_else(|| RequestError::NoAddress(address.clone()))?;
        builder = builder.connect_to(found);
    }
    if let Some(path) = &args.cacert {
        builder = builder.root_certificates(certificates(path)?);
    }
    if args.verbose {
        builder = builder.observer(Arc::new(verbose::Verbose));
    }
    Ok(builder.build()?)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RequestError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| RequestError::Certificates(path.to_owned(), error))?;
    if found.is_empty() { Err(RequestError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

async fn request(args: &RequestArgs) -> Result<Request<Body>, RequestError> {
    let (body, usual_method) = body(args).await?;
    let mut request = Request::new(body);
    *request.method_mut() = args.method.clone().unwrap_or(usual_method);
    // Only the path: the client is built with the relay's address and host name.
    *request.uri_mut() = match args.url.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
    let headers = request.headers_mut();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("mte-relay/", env!("CARGO_PKG_VERSION"))));
    if args.data.is_some() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.entry(CONTENT_TYPE).or_insert(form);
    }
    Ok(request)
}

/// The body, and the method that goes with it.
async fn body(args: &RequestArgs) -> Result<(Body, Method), RequestError> {
    if let Some(data) = &args.data {
        let bytes = match data.strip_prefix('@') {
            None => data.clone().into_bytes(),
            Some("-") => read_all(&mut std::io::stdin().lock(), "standard input")?,
            Some(path) => read_all(&mut open(Path::new(path))?, path)?,
        };
        return Ok((bytes.into(), Method::POST));
    }
    let Some(path) = &args.upload_file else { return Ok((Body::empty(), Method::GET)) };
    let (file, length) = if path.as_os_str() == "-" {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        (stdin.map_err(|error| unreadable("standard input", error))?.into(), None)
    } else {
        let file = open(path)?;
        // Only the length of a regular file is the number of bytes that can be read.
        let regular = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let length = regular.map(|metadata| metadata.len());
        (file, length)
    };
    Ok((Body::from_reader(tokio::fs::File::from_std(file), length), Method::PUT))
}

fn open(path: &Path) -> Result<File, RequestError> {
    File::open(path).map_err(|error| unreadable(&path.display().to_string(), error))
}

fn read_all(reader: &mut dyn std::io::Read, name: &str) -> Result<Vec<u8>, RequestError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| unreadable(name, error))?;
    Ok(bytes)
}

fn unreadable(name: &str, error: std::io::Error) -> RequestError {
    RequestError::Input(name.to_owned(), error)
}

/// Writes the response as it arrives.
async fn write_response(args: &RequestArgs, response: Response<Body>) -> Result<(), RequestError> {
    let (mut out, name): (Box<dyn Write + Send>, String) = match &args.output {
        None => (Box::new(std::io::stdout()), "standard output".into()),
        Some(path) => {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|error| RequestError::Output(name.clone(), error))?;
            (Box::new(file), name)
        }
    };
    let mut write = |bytes: &[u8]| {
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| RequestError::Output(name.clone(), error))
    };
    let (parts, mut body) = response.into_parts();
    if args.include {
        write(format!("{:?} {}\r\n", parts.version, parts.status).as_bytes())?;
        write(&header_lines(&parts.headers))?;
    }
    while let Some(data) = body.data().await {
        write(&data?)?;
    }
    Ok(())
}

/// Headers in HTTP/1.1 form, with the empty line at the end.
fn header_lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines.extend_from_slice(b"\r\n");
    lines
}

/// Why an option's value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum ValueError {
    #[error("write it as 'name: value'")]
    NoColon,
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    #[error("the header value contains a control character")]
    HeaderValue,
    #[error("choose idempotent, always or never")]
    Resend,
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), ValueError> {
    let (name, value) = text.split_once(':').ok_or(ValueError::NoColon)?;
    let value = HeaderValue::from_str(value.trim());
    Ok((parse_name(name)?, value.map_err(|_| ValueError::HeaderValue)?))
}

fn parse_encode_headers(text: &str) -> Result<EncodeHeaders, ValueError> {
    match text {
        "all" => Ok(EncodeHeaders::All),
        "none" => Ok(EncodeHeaders::None),
        names => parse_names(names).map(EncodeHeaders::Only),
    }
}

fn parse_response_headers(text: &str) -> Result<ResponseHeaders, ValueError> {
    match text {
        "all" => Ok(ResponseHeaders::All),
        names => parse_names(names).map(ResponseHeaders::Only),
    }
}

fn parse_names(text: &str) -> Result<Vec<HeaderName>, ValueError> {
    text.split(',').map(parse_name).collect()
}

fn parse_name(name: &str) -> Result<HeaderName, ValueError> {
    name.trim().parse().map_err(|_| ValueError::HeaderName(name.to_owned()))
}

fn parse_resend(text: &str) -> Result<Resend, ValueError> {
    match text {
        "idempotent" => Ok(Resend::Idempotent),
        "always" => Ok(Resend::Always),
        "never" => Ok(Resend::Never),
        _ => Err(ValueError::Resend),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RequestArgs,
    }

    fn args(line: &str) -> RequestArgs {
        Cli::try_parse_from(std::iter::once("request").chain(line.split(' '))).unwrap().args
    }

    async fn sent(line: &str) -> Request<Body> {
        request(&args(line)).await.unwrap()
    }

    #[tokio::test]
    async fn the_default_method_depends_on_the_body() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (line, method) in [
            ("https://relay.example/a", "GET"),
            ("https://relay.example/a -d x", "POST"),
            (&format!("https://relay.example/a -T {file}"), "PUT"),
            ("https://relay.example/a -d x -X PATCH", "PATCH"),
        ] {
            assert_eq!(sent(line).await.method(), method, "{line}");
        }
    }

    #[tokio::test]
    async fn data_comes_from_the_command_line_or_a_file() {
        let path = std::env::temp_dir().join(format!("mte-relay-request-{}", std::process::id()));
        std::fs::write(&path, "from a file\n").unwrap();
        let line = format!("http://relay.example/?q=1 -d @{}", path.display());
        let request = sent(&line).await;
        std::fs::remove_file(&path).unwrap();
        assert_eq!(request.uri(), "/?q=1");
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(request.into_body().text(100).await.unwrap(), "from a file\n");

        let missing = args("http://relay.example/ -d @/does/not/exist");
        assert_eq!(super::request(&missing).await.unwrap_err().code(), 66);
    }

    #[test]
    fn headers_are_parsed_in_the_syntax_of_curl() {
        let (name, value) = parse_header("X-Name:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-name", &b"a: b"[..]));
        assert_eq!(parse_header("no colon"), Err(ValueError::NoColon));
        assert_eq!(parse_header("a b: c"), Err(ValueError::HeaderName("a b".into())));
        assert_eq!(parse_encode_headers("none"), Ok(EncodeHeaders::None));
        assert!(
            matches!(parse_encode_headers("accept, Cookie"), Ok(EncodeHeaders::Only(names)) if names.len() == 2)
        );
        assert_eq!(parse_response_headers("all"), Ok(ResponseHeaders::All));
        assert!(
            matches!(parse_response_headers("etag, X-Total"), Ok(ResponseHeaders::Only(names)) if names.len() == 2)
        );
        assert!(parse_response_headers("a b").is_err());
    }

    #[test]
    fn resend_policies_are_parsed_by_name() {
        assert_eq!(args("https://relay.example/").resend, Resend::Idempotent);
        assert_eq!(args("https://relay.example/ --resend always").resend, Resend::Always);
        assert_eq!(parse_resend("never"), Ok(Resend::Never));
        assert!(parse_resend("sometimes").is_err());
    }

    #[tokio::test]
    async fn failures_have_the_exit_codes_listed_in_the_help() {
        async fn failure(line: &str) -> u8 {
            run(args(line)).await.unwrap_err().code()
        }
        assert_eq!(failure("relay.example").await, 64);
        assert_eq!(failure("ftp://relay.example/").await, 64);
        assert_eq!(failure("http://127.0.0.1:1/").await, 7);
        assert_eq!(failure("http://relay.example/ --connect-to 127.0.0.1:1").await, 7);
        assert_eq!(failure("https://relay.example/ --cacert /does/not/exist").await, 66);
        let relay =
            mte_client::Error::Relay { status: 502, message: String::new(), request_id: None, note: None };
        assert_eq!(RequestError::from(relay).code(), 69);
        assert_eq!(RequestError::Status(404).code(), 22);
    }
}
