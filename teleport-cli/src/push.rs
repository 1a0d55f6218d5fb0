//! `teleport push`.
//!
//! A push has no answer that would tell that it arrived. So this writes on the stream itself, ends
//! it, and then waits a little for the other side to end it too: an end of the program with
//! something unread would break the connection off, and could take the push with it.

use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use teleport::codec::Codecs;
use teleport::message::{Message, Mtype, Seq};
use teleport::plugins::auth;
use teleport::plugins::secure::Legacy;
use teleport::proto::Env;
use teleport::rerror::Rerror;
use teleport::socket::{self, DialOptions, Network, Place, Socket, SocketError, SocketReader};
use tokio::time::timeout;

use crate::args::SendArgs;
use crate::client::{self, CLOSING, Deadline};
use crate::end;
use crate::exit::{CONNECTION, Failure};
use crate::output::Lines;
use crate::show::{self, Arrival, Failed, Summary};

/// The pause before another attempt, as in the original.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &SendArgs) -> ExitCode {
    let (lines, _) = Lines::to(io::stderr());
    let result = message(args).and_then(|message| {
        let cost = client::block_on(push(args, &message, &lines))?;
        if args.verbose {
            let header = &message.header;
            lines.say(show::line(&Summary {
                seq: header.seq.as_bytes(),
                codec: header.body_codec,
                meta: &header.meta,
                xfer: header.xfer.ids(),
                cost,
            }));
        }
        Ok(())
    });
    end(result, &lines)
}

/// Pushes; gives how long it took until all was written.
async fn push(args: &SendArgs, message: &Message, lines: &Lines) -> Result<Duration, Failure> {
    let deadline = Deadline::after(args.timeout);
    let mut socket = connect(args, deadline).await?;
    let mut attempts = 0;
    loop {
        let failure = match write(args, message, lines, socket, deadline).await {
            Ok(ended) => return ended,
            Err(failure) => failure,
        };
        // Not all of it was written, so that nobody has it.
        socket = loop {
            if u32::try_from(args.redial).is_ok_and(|most| attempts >= most) {
                return Err(failure);
            }
            attempts += 1;
            tokio::time::sleep(PAUSE).await;
            match connect(args, deadline).await {
                Err(Failure::Error {
                    exit: CONNECTION, ..
                }) => {}
                connected => break connected?,
            }
        };
    }
}

/// Writes the message and ends the connection in order; the outer error says that the message was
/// not written whole.
async fn write(
    args: &SendArgs,
    message: &Message,
    lines: &Lines,
    socket: Socket,
    deadline: Deadline,
) -> Result<Result<Duration, Failure>, Failure> {
    let (reader, mut writer) = socket.split();
    let secure = args.secure.plugin()?;
    let started = Instant::now();
    let mut reading = pin!(read_on(reader, lines, secure.as_ref()));
    let mut writing = pin!(async {
        writer.write_message(message).await?;
        let cost = started.elapsed();
        writer.shutdown().await.map_err(SocketError::from)?;
        Ok::<_, Failure>(cost)
    });
    let mut read = None;
    let cost = loop {
        tokio::select! {
            biased;
            written = &mut writing => match written {
                Err(usage @ Failure::Usage(_)) => return Ok(Err(usage)),
                written => break written?,
            },
            end = &mut reading, if read.is_none() => read = Some(end),
            () = deadline.over() => return Ok(Err(too_slow(args, "did not read the push"))),
        }
    };
    let read = match read {
        Some(end) => end,
        None => timeout(CLOSING, reading).await.unwrap_or(Ok(())),
    };
    Ok(read.map(|()| cost))
}

fn message(args: &SendArgs) -> Result<Message, Failure> {
    let seq = match &args.seq {
        Some(seq) => Seq::from(seq.as_encoded_bytes()),
        // A proof takes the first one.
        None => Seq::from_counter(args.auth.is_some().into()),
    };
    let mut message = args.message(Mtype::PUSH)?.with_seq(seq);
    if let Some(secure) = args.secure.plugin()? {
        secure
            .encrypt_message(&Codecs::default(), &mut message)
            .map_err(|e| Failure::cannot_encrypt(&e))?;
    }
    Ok(message)
}

async fn connect(args: &SendArgs, deadline: Deadline) -> Result<Socket, Failure> {
    let place =
        Place::parse(&args.addr, Network::Tcp).map_err(|e| Failure::Usage(e.to_string()))?;
    let tls = args.tls.client()?;
    let connecting = async {
        let stream = socket::connect(&place, &DialOptions::default()).await?;
        match &tls {
            Some(tls) => tls.connect(stream, place.server_name()).await,
            None => Ok(stream),
        }
    };
    let stream = tokio::select! {
        biased;
        stream = connecting => stream,
        () = deadline.over() => return Err(too_slow(args, "did not answer")),
    };
    let stream = stream.map_err(|error| {
        let reason = format!("cannot dial {}: {error}", args.addr);
        Failure::connection(Rerror::dial_failed(reason))
    })?;
    let env = Arc::new(Env::default());
    let mut socket = Socket::new(stream, &*args.proto.proto(), env);
    if let Some(text) = &args.auth {
        tokio::select! {
            biased;
            proven = prove(&mut socket, text) => proven?,
            () = deadline.over() => return Err(too_slow(args, "did not let us in")),
        }
    }
    Ok(socket)
}

/// Proves who is there.
async fn prove(socket: &mut Socket, text: &str) -> Result<(), Failure> {
    let seq = Seq::from_counter(0);
    socket
        .write_message(&auth::proof(text, seq.clone()))
        .await?;
    let lost = |reason: String| Failure::connection(Rerror::conn_closed(reason));
    match socket.read_message().await {
        Ok(Some(answer)) => auth::verdict(&answer, &seq).map_err(Failure::answered),
        Ok(None) => Err(lost("the other side closed the connection".to_owned())),
        Err(error) => Err(lost(format!(
            "the connection with the other side broke: {error}"
        ))),
    }
}

fn too_slow(args: &SendArgs, what: &str) -> Failure {
    let time = args.timeout.0.unwrap_or_default();
    Failure::timeout(format!("{} {what} within {time:?}", args.addr))
}

/// Reads until the other side ends, and prints the pushes that come.
async fn read_on(
    mut reader: SocketReader,
    lines: &Lines,
    secure: Option<&Legacy>,
) -> Result<(), Failure> {
    let codecs = Codecs::default();
    loop {
        let mut message = match reader.read_message().await {
            Ok(Some(message)) if message.header.mtype == Mtype::PUSH => message,
            Ok(Some(_)) => continue,
            Ok(None) => return Ok(()),
            Err(error) => {
                let reason = format!("the connection with the other side broke: {error}");
                return Err(Failure::connection(Rerror::conn_closed(reason)));
            }
        };
        let opened = secure.map(|secure| secure.decrypt_message(&codecs, &mut message));
        if let Some(Err(error)) = opened {
            lines.say(show::line(&Failed(&error)));
            continue;
        }
        let header = &message.header;
        let line = show::line(&Arrival {
            kind: "push",
            uri: header.uri.as_bytes(),
            seq: header.seq.as_bytes(),
            codec: header.body_codec,
            meta: &header.meta,
            xfer: header.xfer.ids(),
            body: &message.body,
        });
        if let Some(room) = lines.put(line) {
            room.await;
        }
    }
}
