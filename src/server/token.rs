//! Tokens of writes: where a command's records stand, as an offset vector. Whoever reads a view can
//! give the token back and wait until the view reflects it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// By topic, one past the offset of what was written last, for each partition; 0 where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(BTreeMap<String, Vec<i64>>);

impl Token {
    /// The token of writes to one topic.
    pub fn of(topic: &str, offsets: Vec<i64>) -> Self {
        Self(BTreeMap::from([(topic.to_string(), offsets)]))
    }

    /// Whether whoever has read each partition up to these offsets has read what was written.
    /// `position` gives the next offset to read, 0 for a partition that is yet to join in; `None`
    /// for a topic that is not read counts as reached, since nothing of it can be waited for.
    pub fn is_reached(&self, position: impl Fn(&str, u32) -> Option<i64>) -> bool {
        self.0.iter().all(|(topic, offsets)| {
            let reached = |(partition, &offset): (usize, &i64)| {
                position(topic, partition as u32).is_none_or(|at| at >= offset)
            };
            offsets.iter().enumerate().all(reached)
        })
    }

    /// Reads the text of a token.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let told = "this is no token of a write";
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| told)?;
        serde_json::from_slice(&bytes).map_err(|_| told.to_string())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(&self.0).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_through_text_and_nothing_else_is_one() {
        let token = Token::of("orders", vec![0, 7]);
        assert_eq!(Token::parse(&token.to_string()), Ok(token));
        for bad in ["", "x", "e30=", &URL_SAFE_NO_PAD.encode("[1]")] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_reached_when_every_partition_is() {
        let token = Token::of("orders", vec![0, 7]);
        let at = |second: i64| move |_: &str, p: u32| Some(if p == 1 { second } else { 0 });
        assert!(!token.is_reached(at(6)));
        assert!(token.is_reached(at(7)));
        assert!(token.is_reached(|_, _| None));
    }
}
