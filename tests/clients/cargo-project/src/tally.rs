//! Counts letters.

use std::collections::BTreeMap;

#[derive(serde::Serialize, serde::Deserialize)]
pub struct Tally {
    pub letters: BTreeMap<char, u32>,
}

impl Tally {
    pub fn of(text: &str) -> Self {
        let mut letters = BTreeMap::new();
        for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
            *letters.entry(letter).or_insert(0) += 1;
        }
        Self { letters }
    }
}
