//! A server that encrypts is replaced under load, and the new process has new certificates.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;
use teleport::session::Redial;
use teleport::tls::TlsClient;
use teleport::{Peer, Session};

use crate::load::{Seen, redial_and_call, restart, restarts};
use crate::program::{Folder, Program, signal};

/// An authority that writes certificates for this machine.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Puts a new certificate and its key into two files, each whole at any time.
    fn renew(&self, folder: &Folder) -> [String; 2] {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        [
            ("cert.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
        ]
        .map(|(name, text)| {
            let (new, path) = (folder.file("new"), folder.file(name));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
            path
        })
    }

    fn client(&self) -> TlsClient {
        TlsClient::builder().ca_pem(self.0.pem()).build().unwrap()
    }
}

/// The certificate that the server of a session showed.
fn shown(session: &Session) -> Vec<u8> {
    let tls = session
        .current()
        .tls()
        .expect("an encrypted connection")
        .clone();
    tls.peer_certificates()[0].as_ref().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_over_tls_lose_no_call_and_see_the_certificate_of_the_new_process() {
    let folder = Folder::new("tls");
    let authority = Authority::new();
    let [certificate, key] = authority.renew(&folder);
    let mut server = Program::start(&["127.0.0.1:0", "--identity", &certificate, &key]);
    let (mut pid, address) = server.listens().await;
    let client = Peer::builder().tls_client(authority.client());
    let client = client.build().unwrap();
    let seen = Arc::new(Seen::default());
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let dial = client.dial(&address).redial(Redial::forever());
        sessions.push(dial.await.unwrap());
    }
    let watched = sessions[0].clone();
    let callers: Vec<_> = (1..)
        .zip(sessions)
        .map(|(client, session)| tokio::spawn(redial_and_call(session, client, seen.clone())))
        .collect();
    let mut certificates = vec![shown(&watched)];
    let rounds = restarts(5);
    for _ in 0..rounds {
        authority.renew(&folder);
        pid = restart(&mut server, pid, 1, &seen).await;
        // A call that is answered by the new process comes over a connection of its own.
        while watched
            .call::<(u64, u32)>("/work/take", &(0, 0))
            .await
            .unwrap()
            .1
            != pid
        {}
        certificates.push(shown(&watched));
    }
    seen.stop();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    println!("over TLS: {}", seen.figures(rounds));
    certificates.sort();
    certificates.dedup();
    assert_eq!(certificates.len(), 1 + rounds);
    client.close().await;
    signal(pid, Signal::TERM);
    server.all_gone().await;
}

#[tokio::test]
async fn a_new_process_whose_certificate_cannot_be_read_changes_nothing() {
    let folder = Folder::new("bad-tls");
    let authority = Authority::new();
    let [certificate, key] = authority.renew(&folder);
    let mut server = Program::start(&["127.0.0.1:0", "--identity", &certificate, &key]);
    let (pid, address) = server.listens().await;
    std::fs::write(&certificate, "no certificate").unwrap();
    signal(pid, Signal::USR2);
    let line = server.line("there is no reboot").await;
    assert!(line.contains("ended before it was ready"), "{line}");
    let client = Peer::builder().tls_client(authority.client());
    let session = client.build().unwrap().dial(&address).await.unwrap();
    let (_, by): (u64, u32) = session.call("/work/take", &(0, 0)).await.unwrap();
    assert_eq!(by, pid);
    signal(pid, Signal::TERM);
    server.all_gone().await;
}
