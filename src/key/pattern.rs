//! Names with a wildcard: [`NamespacePattern`], for namespaces that nobody lists one by one.
//!
//! Owns what a pattern may look like, what it matches and which of two goes first. It knows nothing of settings.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::sync::Arc;

use super::{KeyError, MAX_NAMESPACE_BYTES, Namespace};

/// A namespace's name in which each `*` stands for any number of characters, as in `pr-*`.
///
/// Of two patterns the longer one sorts first: it is the one that counts where both match.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NamespacePattern(Arc<str>);

impl NamespacePattern {
    /// Checks `text`: at least one `*`, and else what a namespace may have. The first character is a letter or a digit,
    /// because a pattern that matches every path would leave none to the namespace `default`.
    ///
    /// # Errors
    /// [`KeyError::Pattern`] for anything else.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        // What a pattern matches at least is a namespace itself, but for its length.
        let is_name = Namespace::new(&text.replace('*', "")).is_ok() && !text.starts_with('*');
        if !text.contains('*') || !is_name || text.len() > MAX_NAMESPACE_BYTES {
            return Err(KeyError::Pattern);
        }
        Ok(Self(Arc::from(text)))
    }

    /// True when `name` is one of its names. Whether that makes a good namespace is for [`Namespace::new`] to say.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // The first place that fits leaves most to the parts behind it.
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for NamespacePattern {
    fn cmp(&self, other: &Self) -> Ordering {
        (Reverse(self.0.len()), &self.0).cmp(&(Reverse(other.0.len()), &other.0))
    }
}

impl PartialOrd for NamespacePattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_number_of_characters() {
        for (pattern, name, matches) in [
            ("pr-*", "pr-17", true),
            ("pr-*", "pr-", true),
            ("pr-*", "pr", false),
            ("pr-*", "apr-17", false),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "a", false),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*bc*bc", "abc", false),
            ("a*bc*bc", "abcbc", true),
            ("a**", "a", true),
        ] {
            assert_eq!(NamespacePattern::new(pattern).unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn what_would_match_everything_or_nothing_is_no_pattern() {
        let long = format!("{}*", "n".repeat(MAX_NAMESPACE_BYTES));
        for text in ["", "*", "*-pr", "pr", "-*", "p/*", "p *", "ü*", &long] {
            assert_eq!(NamespacePattern::new(text), Err(KeyError::Pattern), "{text:?}");
        }
    }

    #[test]
    fn longer_patterns_go_first() {
        let mut patterns = ["a*", "b*", "pr-1*", "pr-*"].map(|text| NamespacePattern::new(text).unwrap());
        patterns.sort();
        assert_eq!(patterns.each_ref().map(NamespacePattern::as_str), ["pr-1*", "pr-*", "a*", "b*"]);
    }
}
