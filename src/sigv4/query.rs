//! A query string, decoded into pairs, and encoded again as signatures want it.
//!
//! It must not know what any parameter means.

use super::canonical::push_encoded;

/// The parameters of a query, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes a query string as it stands behind the `?`. `None` when an escape is broken or what it decodes to is
    /// not UTF-8, as no parameter of S3's can be.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let pairs = raw.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(name)?, decode(value)?))
        });
        Some(Self { pairs: pairs.collect::<Option<_>>()? })
    }

    /// True when there are no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The value of a parameter that is there once. Twice is as good as not at all: which one counts, server and
    /// client could disagree about.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| &**value);
        found.next().filter(|_| found.next().is_none())
    }

    /// True when a parameter of this name is there, once or more.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(own, _)| own == name)
    }

    /// The pairs, decoded.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The query without the parameters that `unwanted` names, encoded.
    #[must_use]
    pub fn without(&self, unwanted: impl Fn(&str) -> bool) -> String {
        join(self.pairs.iter().filter(|(name, _)| !unwanted(name)).map(|(name, value)| encode(name, value)))
    }

    /// The query as it is signed: encoded, sorted, without the signature itself.
    pub(super) fn canonical(&self) -> String {
        let signed = self.pairs.iter().filter(|(name, _)| name != "X-Amz-Signature");
        let mut encoded: Vec<_> = signed.map(|(name, value)| encode(name, value)).collect();
        encoded.sort_unstable();
        join(encoded.into_iter())
    }
}

fn join(pairs: impl Iterator<Item = (String, String)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
    }
    text
}

fn encode(name: &str, value: &str) -> (String, String) {
    let encoded = |text: &str| {
        let mut bytes = Vec::with_capacity(text.len());
        push_encoded(&mut bytes, text.bytes(), false);
        String::from_utf8(bytes).unwrap_or_default()
    };
    (encoded(name), encoded(value))
}

fn decode(raw: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            // Forms write a blank so; no signing client does.
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_found() {
        let query = Query::parse("prefix=a%2Fb&list-type=2&uploads&x=1&x=2&&e=").unwrap();
        assert_eq!(query.get("prefix"), Some("a/b"));
        assert_eq!((query.get("uploads"), query.get("e")), (Some(""), Some("")));
        assert_eq!((query.get("x"), query.has("x"), query.has("y")), (None, true, false));
        assert_eq!(query.iter().count(), 6);
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(Query::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_canonical_form_is_sorted_and_leaves_the_signature_out() {
        let query = Query::parse("b=2&a=%7e%20%2f&X-Amz-Signature=00&B=1&a-=&a=").unwrap();
        assert_eq!(query.canonical(), "B=1&a=&a=~%20%2F&a-=&b=2");
        assert_eq!(query.without(|name| name == "a"), "b=2&X-Amz-Signature=00&B=1&a-=");
    }
}
