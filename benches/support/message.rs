//! The message of the seed's comparison test.
//!
//! A proto2 message of 39 fields, all of them set but a list that stays empty, so that it is 581
//! bytes long as protobuf.

/// The length of the filled message as protobuf.
pub const ENCODED_LEN: usize = 581;

/// What every text field is filled with.
pub const TEXT: &str = "许多往事在眼前一幕一幕，变的那麼模糊";

/// What every number is filled with.
const NUMBER: i32 = 100_000;

/// The message, as it was declared for the comparison.
#[derive(Clone, PartialEq, prost::Message)]
#[allow(missing_docs, reason = "the fields mean nothing")]
pub struct BenchmarkMessage {
    #[prost(string, required, tag = "1")]
    pub field1: String,
    #[prost(int32, required, tag = "2")]
    pub field2: i32,
    #[prost(int32, required, tag = "3")]
    pub field3: i32,
    #[prost(string, optional, tag = "4")]
    pub field4: Option<String>,
    #[prost(fixed64, repeated, packed = "false", tag = "5")]
    pub field5: Vec<u64>,
    #[prost(int32, optional, tag = "6")]
    pub field6: Option<i32>,
    #[prost(string, optional, tag = "7")]
    pub field7: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub field9: Option<String>,
    #[prost(bool, optional, tag = "12")]
    pub field12: Option<bool>,
    #[prost(bool, optional, tag = "13")]
    pub field13: Option<bool>,
    #[prost(bool, optional, tag = "14")]
    pub field14: Option<bool>,
    #[prost(int32, optional, tag = "16")]
    pub field16: Option<i32>,
    #[prost(bool, optional, tag = "17")]
    pub field17: Option<bool>,
    #[prost(string, optional, tag = "18")]
    pub field18: Option<String>,
    #[prost(int64, optional, tag = "22")]
    pub field22: Option<i64>,
    #[prost(int32, optional, tag = "23")]
    pub field23: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub field24: Option<bool>,
    #[prost(int32, optional, tag = "25")]
    pub field25: Option<i32>,
    #[prost(int32, optional, tag = "29")]
    pub field29: Option<i32>,
    #[prost(bool, optional, tag = "30")]
    pub field30: Option<bool>,
    #[prost(bool, optional, tag = "59")]
    pub field59: Option<bool>,
    #[prost(int32, optional, default = "-1", tag = "60")]
    pub field60: Option<i32>,
    #[prost(int32, optional, tag = "67")]
    pub field67: Option<i32>,
    #[prost(int32, optional, tag = "68")]
    pub field68: Option<i32>,
    #[prost(bool, optional, tag = "78")]
    pub field78: Option<bool>,
    #[prost(bool, optional, tag = "80")]
    pub field80: Option<bool>,
    #[prost(bool, optional, tag = "81")]
    pub field81: Option<bool>,
    #[prost(int32, optional, tag = "100")]
    pub field100: Option<i32>,
    #[prost(int32, optional, tag = "101")]
    pub field101: Option<i32>,
    #[prost(string, optional, tag = "102")]
    pub field102: Option<String>,
    #[prost(string, optional, tag = "103")]
    pub field103: Option<String>,
    #[prost(int32, optional, tag = "104")]
    pub field104: Option<i32>,
    #[prost(int32, optional, tag = "128")]
    pub field128: Option<i32>,
    #[prost(string, optional, default = "xxxxxxxxxxxxxxxxxxxxx", tag = "129")]
    pub field129: Option<String>,
    #[prost(int32, optional, tag = "130")]
    pub field130: Option<i32>,
    #[prost(int32, optional, tag = "131")]
    pub field131: Option<i32>,
    #[prost(int32, optional, tag = "150")]
    pub field150: Option<i32>,
    #[prost(int32, optional, default = "-1", tag = "271")]
    pub field271: Option<i32>,
    #[prost(int32, optional, default = "-1", tag = "272")]
    pub field272: Option<i32>,
    #[prost(int32, optional, tag = "280")]
    pub field280: Option<i32>,
}

impl BenchmarkMessage {
    /// The message that a client sends.
    #[must_use]
    pub fn filled() -> Self {
        let text = || TEXT.to_owned();
        Self {
            field1: text(),
            field2: NUMBER,
            field3: NUMBER,
            field4: Some(text()),
            field5: Vec::new(),
            field6: Some(NUMBER),
            field7: Some(text()),
            field9: Some(text()),
            field12: Some(true),
            field13: Some(true),
            field14: Some(true),
            field16: Some(NUMBER),
            field17: Some(true),
            field18: Some(text()),
            field22: Some(NUMBER.into()),
            field23: Some(NUMBER),
            field24: Some(true),
            field25: Some(NUMBER),
            field29: Some(NUMBER),
            field30: Some(true),
            field59: Some(true),
            field60: Some(NUMBER),
            field67: Some(NUMBER),
            field68: Some(NUMBER),
            field78: Some(true),
            field80: Some(true),
            field81: Some(true),
            field100: Some(NUMBER),
            field101: Some(NUMBER),
            field102: Some(text()),
            field103: Some(text()),
            field104: Some(NUMBER),
            field128: Some(NUMBER),
            field129: Some(text()),
            field130: Some(NUMBER),
            field131: Some(NUMBER),
            field150: Some(NUMBER),
            field271: Some(NUMBER),
            field272: Some(NUMBER),
            field280: Some(NUMBER),
        }
    }

    /// What a server makes of it.
    #[must_use]
    pub fn answered(mut self) -> Self {
        self.field1.clear();
        self.field1.push_str("OK");
        self.field2 = 100;
        self
    }

    /// Whether a server has had it.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.field1 == "OK"
    }
}

#[cfg(test)]
mod tests {
    use super::{BenchmarkMessage, ENCODED_LEN, TEXT};
    use prost::Message;

    #[test]
    fn the_filled_message_has_the_length_of_the_comparison() {
        let message = BenchmarkMessage::filled();
        assert_eq!(TEXT.len(), 54);
        assert_eq!(message.encoded_len(), ENCODED_LEN);
        assert_eq!(message.encode_to_vec().len(), ENCODED_LEN);
    }

    #[test]
    fn the_message_comes_back_as_it_went() {
        let message = BenchmarkMessage::filled();
        let bytes = message.encode_to_vec();
        assert_eq!(BenchmarkMessage::decode(&*bytes).unwrap(), message);
    }

    #[test]
    fn the_first_and_the_last_field_stand_where_the_declaration_puts_them() {
        let bytes = BenchmarkMessage::filled().encode_to_vec();
        assert_eq!(bytes[..2], [1 << 3 | 2, 54]);
        // Field 280, a number: its tag is 280 * 8, then 100000, each as a varint.
        assert_eq!(bytes[ENCODED_LEN - 5..], [0xc0, 0x11, 0xa0, 0x8d, 0x06]);
    }

    #[test]
    fn an_answer_is_marked_in_its_first_two_fields() {
        let answer = BenchmarkMessage::filled().answered();
        assert!(answer.is_answer() && !BenchmarkMessage::filled().is_answer());
        assert_eq!(answer.field2, 100);
    }
}
