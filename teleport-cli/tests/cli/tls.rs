//! Unix sockets and encryption.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::{Server, run};

/// A folder with an authority, and certificates that it signed for `localhost`.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("teleport-cli-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn with_certificates(name: &str) -> Self {
        let folder = Self::new(name);
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &authority).unwrap();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("cert.pem", cert.pem()),
            ("key.pem", key.serialize_pem()),
        ] {
            std::fs::write(folder.0.join(name), text).unwrap();
        }
        folder
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_addresses() {
    let folder = Folder::new("unix");
    let networks = ["unix", "unixpacket"];
    let networks = &networks[..if cfg!(target_os = "linux") { 2 } else { 1 }];
    for network in networks {
        let address = format!("{network}:{}", folder.file(network));
        let mut server = Server::with(&["--listen", &address]);
        assert_eq!(server.address, address);
        server.call(&[], &["/a", "ping"]).succeeded("ping");
        assert_eq!(run(["push", &address, "/note", "hello"]).code, 0);
        assert!(server.line().contains("/a"));
        assert!(server.line().contains("/note"));
        let second = run(["serve", "--listen", &address]);
        assert!(
            second.stderr.join("\n").contains("somebody listens at"),
            "{second:?}"
        );
    }
    let absent = format!("unix:{}", folder.file("absent"));
    let (_, reason) = run(["call", &absent, "/a"]).failed(3, 105);
    assert!(reason.contains("absent"), "{reason}");
    run(["call", "/run/x.sock", "/a"]).misused("write `unix:/run/x.sock`");
}

#[test]
fn connections_are_encrypted_and_verified() {
    let folder = Folder::with_certificates("tls");
    let (ca, cert, key) = (
        folder.file("ca.pem"),
        folder.file("cert.pem"),
        folder.file("key.pem"),
    );
    let server = Server::with(&["--tls-cert", &cert, "--tls-key", &key]);
    let named = ["--tls", "--tls-ca", &ca, "--tls-name", "localhost"];
    server.call(&named, &["/a", "ping"]).succeeded("ping");
    let push = [&["push"], &named[..], &[&server.address, "/note", "hello"]].concat();
    assert_eq!(run(push).code, 0);
    let insecure = ["--tls", "--tls-insecure"];
    server.call(&insecure, &["/a", "ping"]).succeeded("ping");

    // The address is not what the certificate is for.
    let (_, reason) = server
        .call(&["--tls", "--tls-ca", &ca], &["/a"])
        .failed(3, 105);
    assert!(reason.contains("set `server_name`"), "{reason}");
    let port = server.address.rsplit_once(':').unwrap().1;
    let local = format!("localhost:{port}");
    run(["call", "--tls", "--tls-ca", &ca, &local, "/a", "x"]).succeeded("x");

    let plain = server.call(&[], &["/a"]);
    assert_eq!(plain.code, 3, "{plain:?}");
    server
        .call(&["--tls", "--tls-ca", &key], &["/a"])
        .misused("no certificate is in");
    server.call(&["--tls-ca", &ca], &["/a"]).misused("--tls");
    server
        .call(&["--tls", "--tls-cert", &cert], &["/a"])
        .misused("--tls-key");
}

#[test]
fn clients_show_certificates_where_they_are_asked() {
    let folder = Folder::with_certificates("mutual");
    let (ca, cert, key) = (
        folder.file("ca.pem"),
        folder.file("cert.pem"),
        folder.file("key.pem"),
    );
    let server = Server::with(&[
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ]);
    let named = ["--tls", "--tls-ca", &ca, "--tls-name", "localhost"];
    let (_, reason) = server.call(&named, &["/a"]).failed(3, 105);
    assert!(reason.contains("asks for a certificate"), "{reason}");
    let shown = [&named[..], &["--tls-cert", &cert, "--tls-key", &key]].concat();
    server.call(&shown, &["/a", "ping"]).succeeded("ping");
}
