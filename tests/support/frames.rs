//! Raw frames made and read by hand, apart from the library's own protocol code.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The type byte of a CALL.
pub const CALL: u8 = 1;
/// The type byte of a REPLY.
pub const REPLY: u8 = 2;
/// The type byte of a PUSH.
pub const PUSH: u8 = 3;

/// A frame of the raw protocol without transfer filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFrame {
    pub seq: String,
    pub mtype: u8,
    pub uri: String,
    /// The urlencoded text.
    pub meta: String,
    pub codec: u8,
    pub body: Vec<u8>,
    /// Written as it is; only frames without filters are read.
    pub filters: Vec<u8>,
}

impl RawFrame {
    /// A CALL in json.
    pub fn call(seq: &str, uri: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            seq: seq.to_owned(),
            mtype: CALL,
            uri: uri.to_owned(),
            codec: b'j',
            body: body.as_ref().to_vec(),
            ..Self::default()
        }
    }

    /// A PUSH in json.
    pub fn push(seq: &str, uri: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            mtype: PUSH,
            ..Self::call(seq, uri, body)
        }
    }

    /// A REPLY in json.
    pub fn reply(seq: &str, body: impl AsRef<[u8]>) -> Self {
        Self {
            mtype: REPLY,
            ..Self::call(seq, "", body)
        }
    }

    /// Sets the codec.
    pub fn codec(mut self, codec: u8) -> Self {
        self.codec = codec;
        self
    }

    /// Sets the uri.
    pub fn with_uri(mut self, uri: &str) -> Self {
        uri.clone_into(&mut self.uri);
        self
    }

    /// Sets the metadata, urlencoded.
    pub fn meta(mut self, meta: &str) -> Self {
        meta.clone_into(&mut self.meta);
        self
    }

    /// Names filters; the bytes behind them stay as they are.
    pub fn filters(mut self, filters: &[u8]) -> Self {
        self.filters = filters.to_vec();
        self
    }

    /// All that stands behind the filter ids.
    pub fn payload(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut text = |text: &[u8]| {
            bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(text);
        };
        text(self.seq.as_bytes());
        let mut rest = vec![self.mtype];
        rest.extend_from_slice(&u16::try_from(self.uri.len()).unwrap().to_be_bytes());
        rest.extend_from_slice(self.uri.as_bytes());
        rest.extend_from_slice(&u16::try_from(self.meta.len()).unwrap().to_be_bytes());
        rest.extend_from_slice(self.meta.as_bytes());
        rest.push(self.codec);
        rest.extend_from_slice(&self.body);
        bytes.extend_from_slice(&rest);
        bytes
    }

    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        framed(&self.filters, &self.payload())
    }

    /// The value of a metadata key, its escapes undone.
    pub fn meta_value(&self, key: &str) -> Option<String> {
        let value = self
            .meta
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key))?
            .1;
        Some(unescaped(value))
    }

    /// The text of the error that a reply carries, empty without one.
    pub fn error(&self) -> String {
        self.meta_value("X-Reply-Error").unwrap_or_default()
    }
}

/// A frame around any payload.
pub fn framed(filters: &[u8], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(6 + filters.len() + payload.len()).unwrap();
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.push(b'r');
    bytes.push(u8::try_from(filters.len()).unwrap());
    bytes.extend_from_slice(filters);
    bytes.extend_from_slice(payload);
    bytes
}

/// A text of metadata, its escapes undone.
pub fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [a, b, tail @ ..]) => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = tail;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads a frame without filters; `None` at the end of the stream.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<RawFrame>> {
    Ok(read_bytes(stream).await?.map(|bytes| parse_frame(&bytes)))
}

/// Takes a whole frame without filters apart.
pub fn parse_frame(bytes: &[u8]) -> RawFrame {
    assert_eq!(bytes[4], b'r', "the version byte");
    assert_eq!(bytes[5], 0, "no filters");
    let mut rest = &bytes[6..];
    let mut text = |length: usize| {
        let (text, tail) = rest.split_at(length);
        rest = tail;
        text.to_vec()
    };
    let mut long = || {
        let length = text(2);
        text(usize::from(u16::from_be_bytes([length[0], length[1]])))
    };
    let seq = String::from_utf8(long()).unwrap();
    let mtype = text(1)[0];
    let mut long = || {
        let length = text(2);
        String::from_utf8(text(usize::from(u16::from_be_bytes([
            length[0], length[1],
        ]))))
        .unwrap()
    };
    let (uri, meta) = (long(), long());
    let codec = text(1)[0];
    RawFrame {
        seq,
        mtype,
        uri,
        meta,
        codec,
        body: rest.to_vec(),
        filters: Vec::new(),
    }
}

/// Reads the bytes of a whole frame; `None` at the end of the stream.
pub async fn read_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut size = [0; 4];
    match stream.read_exact(&mut size).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_be_bytes(size)).unwrap();
    let mut bytes = size.to_vec();
    bytes.resize(length, 0);
    stream.read_exact(&mut bytes[4..]).await?;
    Ok(Some(bytes))
}
