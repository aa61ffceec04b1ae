/** A test certificate for `localhost`, which only the test's browser trusts. */

import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  certificateFile: string;
  keyFile: string;
  /** The argument that makes a Chromium trust this key, and no other. */
  chromiumArgument: string;
  remove(): void;
}

/** Makes one with openssl. */
export function makeCertificate(): Certificate {
  const directory = mkdtempSync(join(tmpdir(), "mte-certificate-"));
  const [certificateFile, keyFile] = [join(directory, "localhost.crt"), join(directory, "localhost.key")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", keyFile];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", ...key, ...names, "-days", "2", "-out", certificateFile], {
    stdio: "pipe",
  });
  const { publicKey } = new X509Certificate(readFileSync(certificateFile));
  const spki = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" }));
  return {
    certificateFile,
    keyFile,
    chromiumArgument: `--ignore-certificate-errors-spki-list=${spki.digest("base64")}`,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
