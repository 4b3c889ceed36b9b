//! Bytes that arrive in any division become text: a character is given out when its last byte is there.

/// Joins byte chunks to text. All texts it gives out, joined, are what `String::from_utf8_lossy` makes of all bytes.
#[derive(Debug, Clone, Default)]
pub struct Utf8Decoder {
    /// The beginning of a character, at most three bytes.
    pending: Vec<u8>,
}

impl Utf8Decoder {
    /// The text that `bytes` completes. Bytes that can be no part of a character become U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut kept = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            let broken = chunk.invalid();
            let last = chunk.valid().len() + broken.len();
            kept += last;
            if broken.is_empty() {
                continue;
            }
            if kept == self.pending.len() && is_beginning(broken) {
                kept -= broken.len();
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
        }
        self.pending.drain(..kept);
        text
    }

    /// What is left when no more bytes come: nothing, or U+FFFD for a character that was cut off.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8], chunk: usize) -> String {
        let mut decoder = Utf8Decoder::default();
        let mut text: String = bytes.chunks(chunk).map(|part| decoder.push(part)).collect();
        text += &decoder.finish();
        text
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let mut decoder = Utf8Decoder::default();
        let leaf = "🍃".as_bytes();
        assert_eq!(decoder.push(&leaf[..3]), "");
        assert_eq!(decoder.push(&leaf[3..]), "🍃");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn any_division_of_any_bytes_is_the_lossy_whole(bytes: Vec<u8>, chunk in 1usize..7) {
            prop_assert_eq!(decode(&bytes, chunk), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_division_of_text_is_the_text(text: String, chunk in 1usize..7) {
            prop_assert_eq!(decode(text.as_bytes(), chunk), text);
        }
    }
}
