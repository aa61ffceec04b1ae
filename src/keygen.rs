//! `mte-relay keygen`: generates the secrets and certificates that a first set-up needs: a certificate authority, a
//! certificate for each host, and one for a client. For testing: in production, use certificates from a real authority.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use zeroize::Zeroizing;

use crate::exit;

/// Options of `keygen`.
#[derive(Args)]
pub(crate) struct KeygenArgs {
    /// The folder to write to; it is created if it does not exist.
    #[arg(long, short, value_name = "FOLDER", default_value = "keys")]
    out: PathBuf,
    /// Hosts to generate certificates for.
    #[arg(value_name = "HOST", default_value = "localhost")]
    hosts: Vec<String>,
    /// Replace existing files.
    #[arg(long)]
    force: bool,
}

/// Why the files were not generated, or not all of them.
enum Failure {
    Certificate(rcgen::Error),
    File(PathBuf, io::Error),
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

/// Generates the files and prints how to use them.
pub(crate) fn run(args: KeygenArgs) -> ExitCode {
    match make(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Certificate(error)) => {
            eprintln!("mte-relay: a certificate cannot be generated: {error}");
            ExitCode::from(exit::CANNOT_CREATE)
        }
        Err(Failure::File(path, error)) => {
            let hint =
                if error.kind() == io::ErrorKind::AlreadyExists { "; --force replaces it" } else { "" };
            eprintln!("mte-relay: {} cannot be written: {error}{hint}", path.display());
            ExitCode::from(exit::CANNOT_CREATE)
        }
    }
}

fn make(args: &KeygenArgs) -> Result<(), Failure> {
    let out = &args.out;
    std::fs::create_dir_all(out).map_err(|error| Failure::File(out.clone(), error))?;
    let write =
        |name: String, content: &str, secret: bool| write(&out.join(name), content, secret, args.force);

    let authority = authority()?;
    write("ca.pem".into(), &authority.pem(), false)?;
    for host in &args.hosts {
        let (certificate, key) = leaf(&authority, host, ExtendedKeyUsagePurpose::ServerAuth)?;
        let file = host.replace('*', "_");
        write(format!("{file}.pem"), &format!("{certificate}{}", authority.pem()), false)?;
        write(format!("{file}.key"), &key, true)?;
        write(format!("{file}.secret"), &secret(), true)?;
    }
    let (certificate, key) = leaf(&authority, "client", ExtendedKeyUsagePurpose::ClientAuth)?;
    write("client.pem".into(), &certificate, false)?;
    write("client.key".into(), &key, true)?;
    write("admin.token".into(), &secret(), true)?;
    explain(args);
    Ok(())
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "mte-relay keygen, for trying out");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate and its key, as PEM.
fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<(String, Zeroizing<String>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.pem(), Zeroizing::new(key.serialize_pem())))
}

/// 256 random bits as hexadecimal digits.
fn secret() -> Zeroizing<String> {
    let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in bytes.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    text.push('\n');
    text
}

fn write(path: &Path, content: &str, secret: bool, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).mode(if secret { 0o600 } else { 0o644 });
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let written = options.open(path).and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(|error| Failure::File(path.to_owned(), error))
}

fn explain(args: &KeygenArgs) {
    let out = args.out.display();
    println!(
        "Written to {out}: a certificate authority (ca.pem; its key is not kept); for each host, a certificate, a key and a"
    );
    println!(
        "client_id_secret; a client certificate; an admin token. For testing only. In the configuration:\n"
    );
    println!(
        "listeners:\n  - {{address: 127.0.0.1:8443, tls: true}}\nadmin: {{token_file: {out}/admin.token}}\ndomain_map:"
    );
    for host in &args.hosts {
        let file = host.replace('*', "_");
        println!(
            "  \"{host}\":\n    upstream: http://127.0.0.1:9000\n    client_id_secret_file: {out}/{file}.secret"
        );
        println!("    tls: {{certificate_file: {out}/{file}.pem, key_file: {out}/{file}.key}}");
    }
    let host = args.hosts.first().map_or("localhost", String::as_str);
    println!(
        "\nThen: curl --cacert {out}/ca.pem --resolve {host}:8443:127.0.0.1 https://{host}:8443/api/mte-relay -I"
    );
}
