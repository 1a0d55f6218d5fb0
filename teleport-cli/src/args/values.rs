//! The forms that values have on the command line.

use std::ffi::OsString;
use std::time::Duration;

use teleport::codec::Codecs;
use teleport::socket::{Network, Place};

use super::ProtoName;

/// A pair of metadata.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// How long to wait; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Option<Duration>);

/// The ids of transfer filters, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipe(pub(crate) Vec<u8>);

/// The longest time that can be given: more than any program runs.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

pub(super) fn proto(name: &str) -> Result<ProtoName, String> {
    match name {
        "raw" => Ok(ProtoName::Raw),
        "json" => Ok(ProtoName::Json),
        "pb" => Ok(ProtoName::Pb),
        "ws" | "ws-json" | "ws-pb" => Err(format!(
            "the protocol {name} is not built yet; write raw, json or pb"
        )),
        _ => Err("there is no protocol of this name; write raw, json or pb".to_owned()),
    }
}

pub(super) fn codec(text: &str) -> Result<u8, String> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return text
            .parse()
            .map_err(|_| "the id of a codec is from 0 to 255".to_owned());
    }
    let codecs = Codecs::default();
    codecs.id_of(text).ok_or_else(|| {
        let names: Vec<_> = codecs.iter().map(|codec| codec.name()).collect();
        format!(
            "there is no codec of this name; write {}, or an id from 0 to 255",
            names.join(", ")
        )
    })
}

pub(super) fn pipe(text: &str) -> Result<Pipe, String> {
    if text.is_empty() {
        return Ok(Pipe(Vec::new()));
    }
    let ids: Vec<u8> = text
        .split(',')
        .map(|name| match name.trim() {
            "md5" => Ok(b'm'),
            "gzip" => Ok(b'g'),
            other => Err(format!("there is no filter {other:?}; write md5 or gzip")),
        })
        .collect::<Result<_, _>>()?;
    if ids.len() > 255 {
        return Err("a message goes through at most 255 filters".to_owned());
    }
    Ok(Pipe(ids))
}

pub(super) fn pair(text: OsString) -> Result<Pair, &'static str> {
    let mut key = text.into_encoded_bytes();
    let Some(at) = key.iter().position(|byte| *byte == b'=') else {
        return Err("a pair of metadata is written key=value");
    };
    let value = key.split_off(at + 1);
    key.pop();
    Ok((key, value))
}

/// A text that others should not see, or `@` and the file that it is in.
pub(super) fn secret(text: &str) -> Result<String, String> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let mut text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    // Editors put a line end behind the last line.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

pub(super) fn address(text: &str) -> Result<String, String> {
    let place = Place::parse(text, Network::Tcp).map_err(|error| error.to_string())?;
    match place.network().missing() {
        None => Ok(text.to_owned()),
        Some(missing) => Err(missing.to_owned()),
    }
}

pub(super) fn wait(text: &str) -> Result<Wait, String> {
    let wrong = || "a time is written 500ms, 5s, 1m, 1h, or as a number of seconds".to_owned();
    let unit = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "this time is too long; write 0 for no limit".to_owned())?;
    Ok(Wait((!time.is_zero()).then_some(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_or_are_seconds() {
        for (text, ms) in [
            ("500ms", 500),
            ("5s", 5000),
            ("5", 5000),
            ("1m", 60_000),
            ("1.5s", 1500),
            (".25", 250),
            ("2h", 7_200_000),
        ] {
            assert_eq!(
                wait(text),
                Ok(Wait(Some(Duration::from_millis(ms)))),
                "{text}"
            );
        }
        assert_eq!(wait("0"), Ok(Wait(None)));
        assert_eq!(wait("0ms"), Ok(Wait(None)));
        for text in [
            "",
            "s",
            "-1",
            "+1",
            "1.2.3",
            "1e3",
            "5 s",
            "5S",
            "99999999999",
        ] {
            assert!(wait(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pair_splits_at_its_first_equals_sign() {
        let split = |text: &str| pair(text.into());
        assert_eq!(split("k=v=w"), Ok((b"k".to_vec(), b"v=w".to_vec())));
        assert_eq!(split("k="), Ok((b"k".to_vec(), Vec::new())));
        assert_eq!(split("=v"), Ok((Vec::new(), b"v".to_vec())));
        assert!(split("k").is_err());
    }

    #[test]
    fn codecs_have_names_and_ids() {
        assert_eq!(codec("json"), Ok(b'j'));
        assert_eq!(codec("protobuf"), Ok(b'p'));
        assert_eq!(codec("plain"), Ok(b's'));
        assert_eq!(codec("form"), Ok(b'f'));
        assert_eq!(codec("0"), Ok(0));
        assert_eq!(codec("255"), Ok(255));
        for text in ["256", "-1", "1x", "morse", ""] {
            assert!(codec(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pipe_keeps_the_order_of_the_wire() {
        assert_eq!(pipe("md5,gzip"), Ok(Pipe(b"mg".to_vec())));
        assert_eq!(pipe("gzip,md5,md5"), Ok(Pipe(b"gmm".to_vec())));
        assert_eq!(pipe(""), Ok(Pipe(Vec::new())));
        assert!(pipe("zip").is_err());
        assert!(pipe("md5,").is_err());
        assert!(pipe(&vec!["md5"; 256].join(",")).is_err());
    }

    #[test]
    fn protocols_of_later_are_told_from_unknown_ones() {
        assert_eq!(proto("raw"), Ok(ProtoName::Raw));
        assert_eq!(proto("json"), Ok(ProtoName::Json));
        assert_eq!(proto("pb"), Ok(ProtoName::Pb));
        for text in ["ws-json", "ws-pb"] {
            assert!(proto(text).is_err_and(|text| text.contains("not built yet")));
        }
        assert!(proto("morse").is_err_and(|text| text.contains("no protocol")));
    }
}
