//! `teleport call`.

use std::io::{self, Write};
use std::process::ExitCode;

use teleport::codec::Codecs;
use teleport::message::{Message, Mtype, Seq};
use teleport::plugins::secure::SECURE;
use teleport::session::{RawReply, Request};
use teleport::{Caller, ErrorKind};
use tokio::time::timeout;

use crate::args::SendArgs;
use crate::client::{self, CLOSING, Deadline};
use crate::exit::{Failure, surroundings};
use crate::output::Lines;
use crate::show::{self, Summary};
use crate::tap::Tap;
use crate::{end, hex};

pub(crate) fn run(args: &SendArgs) -> ExitCode {
    let (lines, _) = Lines::to(io::stderr());
    let result = client::block_on(call(args, &lines)).and_then(|reply| show(args, &reply, &lines));
    end(result, &lines)
}

async fn call(args: &SendArgs, lines: &Lines) -> Result<RawReply, Failure> {
    let mut request = request(args)?;
    let deadline = Deadline::after(args.timeout);
    let tap = Tap::pushes(lines.clone(), None).secure(args.secure.shared()?, lines);
    let peer = client::peer(&args.client(), tap)?;
    let session = peer.dial(&args.addr).await?;
    request.timeout = deadline.left();
    let reply = session.call_raw(request).await;
    match &reply {
        // The other side may not let us go; what we came for is done.
        Ok(_) => drop(timeout(CLOSING, session.close()).await),
        Err(_) => session.abort(),
    }
    reply.map_err(|error| match error.kind() {
        ErrorKind::Timeout => Failure::timeout(format!(
            "{} did not reply within {:?}",
            args.addr,
            args.timeout.0.unwrap_or_default()
        )),
        _ => error.into(),
    })
}

fn request(args: &SendArgs) -> Result<Request, Failure> {
    let Message {
        mut header, body, ..
    } = args.message(Mtype::CALL)?;
    if let Some(secure) = args.secure.plugin()? {
        // The peer's plugin encrypts it; what it cannot encrypt is told before anybody is dialled.
        let mut tried = Message::new(Mtype::CALL, "", "").with_body_codec(header.body_codec);
        secure
            .encrypt_message(&Codecs::default(), &mut tried)
            .map_err(|e| Failure::cannot_encrypt(&e))?;
        if header.meta.get_bytes(SECURE).is_none() {
            header.meta.set(SECURE, "true");
        }
    }
    let mut request = Request::new(header.uri, header.body_codec, body);
    request.meta = header.meta;
    request.xfer = header.xfer.ids().to_vec();
    request.seq = args
        .seq
        .as_ref()
        .map(|seq| Seq::from(seq.as_encoded_bytes()));
    Ok(request)
}

fn show(args: &SendArgs, reply: &RawReply, lines: &Lines) -> Result<(), Failure> {
    let error = reply.rerror();
    let printed = match error {
        None => print(args, &reply.body),
        Some(_) => Ok(()),
    };
    if args.verbose {
        lines.say(show::line(&Summary {
            seq: reply.seq.as_bytes(),
            codec: reply.body_codec,
            meta: &reply.meta,
            xfer: reply.xfer.ids(),
            cost: reply.cost,
        }));
    }
    match (error, printed) {
        (Some(error), _) => Err(Failure::answered(error)),
        (None, Err(error)) => Err(surroundings("cannot write to standard output", &error)),
        (None, Ok(())) => Ok(()),
    }
}

fn print(args: &SendArgs, body: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = if args.hex {
        writeln!(out, "{}", hex::encode(body))
    } else {
        out.write_all(body)
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
