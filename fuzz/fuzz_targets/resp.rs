//! The parser of the example `kv`: requests are the same however they are cut.

#![no_main]

// What the fuzzer does not use of the example.
#[allow(dead_code, unused_imports)]
#[path = "../../examples/kv/protocol/mod.rs"]
mod protocol;

use protocol::{Limits, Parser};

const LIMITS: Limits = Limits { arguments: 20, request: 200, inline: 100 };

/// The requests of some bytes, of which `arrived` says how many there are at each step, and whether
/// the end was a fault.
fn requests(bytes: &[u8], arrived: impl Iterator<Item = usize>) -> (Vec<Vec<Vec<u8>>>, bool) {
    let mut parser = Parser::new(LIMITS);
    let (mut requests, mut start) = (Vec::new(), 0);
    for end in arrived {
        loop {
            let received = &bytes[start..end.max(start)];
            match parser.parse(received) {
                Err(_) => return (requests, true),
                Ok(None) => break,
                Ok(Some(length)) => {
                    assert!(length > 0 && length <= received.len(), "a request of {length} bytes");
                    let request = parser.request(received);
                    requests.push(request.from(0).map(<[u8]>::to_vec).collect());
                    start += length;
                }
            }
        }
    }
    (requests, false)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = requests(bytes, std::iter::once(bytes.len()));
    let cut = requests(bytes, 0..=bytes.len());
    assert_eq!(whole.0, cut.0, "requests that arrive as a whole, and byte by byte");
    assert_eq!(whole.1, cut.1, "faults of what arrives as a whole, and byte by byte");
});
