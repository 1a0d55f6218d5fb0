//! Certificates and keys in files, and new ones without a restart.

use std::path::PathBuf;

use teleport::tls::{TlsClient, TlsServer};
use teleport::{Error, ErrorKind, Peer};

use super::support::{Authority, Folder, base64, client_tls, exchange, peer, pem_body, server_tls};

#[test]
fn what_is_wrong_with_files_is_said_with_their_names() {
    let authority = Authority::new("tests");
    let (one, two) = (authority.signs("localhost"), authority.signs("localhost"));
    let folder = Folder::new("files");
    let cert = folder.put("cert.pem", &one.cert);
    let key = folder.put("key.pem", &one.key);
    let other_key = folder.put("other.pem", &two.key);
    let torn = folder.put("torn.pem", "-----BEGIN CERTIFICATE-----\n????\n");
    let absent = folder.0.join("absent.pem");
    let server = |cert: &PathBuf, key: &PathBuf| {
        let builder = TlsServer::builder().identity_files(cert, key);
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        format!("{error:?}")
    };
    for (text, expected) in [
        (server(&absent, &key), "absent.pem cannot be read"),
        (server(&cert, &absent), "absent.pem cannot be read"),
        (server(&key, &key), "no certificate is in"),
        (server(&cert, &cert), "no private key is in"),
        (server(&torn, &key), "torn.pem is broken"),
        (
            server(&cert, &other_key),
            "other.pem does not belong to the certificate",
        ),
    ] {
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(".pem"), "{text}");
    }
    let wrong = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let said = wrong(TlsServer::builder().build().unwrap_err());
    assert!(said.contains("identity_files"), "{said}");
    let said = wrong(TlsClient::builder().build().unwrap_err());
    assert!(said.contains("ca_file"), "{said}");
    let said = wrong(TlsClient::builder().ca_file(&key).build().unwrap_err());
    assert!(said.contains("no certificate is in"), "{said}");
    let free = TlsServer::builder().identity_files(&cert, &key);
    let said = wrong(free.client_certificate_optional().build().unwrap_err());
    assert!(said.contains("client_ca_file"), "{said}");
    let named = TlsClient::builder().ca_pem(authority.pem());
    let said = wrong(named.server_name("no name").build().unwrap_err());
    assert!(
        said.contains("no name that a certificate can be for"),
        "{said}"
    );
}

#[tokio::test]
async fn a_reload_is_for_new_connections_and_a_broken_one_changes_nothing() {
    let authority = Authority::new("tests");
    let (old, new) = (authority.signs("localhost"), authority.signs("localhost"));
    let folder = Folder::new("reload");
    let (cert, key) = (
        folder.put("cert.pem", &old.cert),
        folder.put("key.pem", &old.key),
    );
    let tls = TlsServer::builder()
        .identity_files(&cert, &key)
        .build()
        .unwrap();
    let server = peer(Peer::builder().tls_server(tls.clone()));
    let address = server.listen_on("127.0.0.1:0").await.unwrap();
    let client = peer(Peer::builder().tls_client(client_tls(&authority)));
    let shown = |session: &teleport::Session| {
        base64(session.tls().unwrap().peer_certificates()[0].as_ref())
    };
    let first = client.dial(&address).await.unwrap();
    assert_eq!(shown(&first), pem_body(&old.cert));

    folder.put("cert.pem", &new.cert);
    let error = tls.reload().unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
    let second = client.dial(&address).await.unwrap();
    assert_eq!(shown(&second), pem_body(&old.cert));

    folder.put("key.pem", &new.key);
    tls.reload().unwrap();
    let third = client.dial(&address).await.unwrap();
    assert_eq!(shown(&third), pem_body(&new.cert));
    exchange(&first).await;
    exchange(&third).await;
    let ready = server_tls(&new).reload().unwrap_err();
    assert!(ready.to_string().contains("without files"), "{ready}");
    server.close().await;
}
