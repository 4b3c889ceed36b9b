//! Bodies of HTTP requests in OpenAI's dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serve::openai::{Fresh, parse_chat, parse_completion};

fuzz_target!(|bytes: &[u8]| {
    for asked in [
        parse_chat(bytes, Fresh::new(1)),
        parse_completion(bytes, Fresh::new(1)),
    ] {
        match asked {
            Ok(asked) => assert!(!asked.requests.is_empty()),
            Err(failure) => assert!(!failure.message.is_empty()),
        }
    }
});
