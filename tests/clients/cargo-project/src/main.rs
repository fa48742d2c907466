//! A program with real dependencies, for sccache to compile. What it prints shows that it was linked right.

mod tally;

use base64::Engine;

fn main() {
    let tally = tally::Tally::of("the quick brown fox jumps over the lazy dog");
    let json = serde_json::to_string(&tally).unwrap();
    println!("{}", base64::engine::general_purpose::STANDARD.encode(&json));
    println!("{}", hex::encode(json.as_bytes()));
}
