//! Keys that `object_store` cannot say, such as `a//b`: in a listing that has one, it refuses the whole page.
//!
//! They get another name on the way in, which the listing takes for what it is. Knows how listings are written in XML
//! (S3 and Google: `Key`, Azure: `Name`); nothing of who lists.

use std::borrow::Cow;

use quick_xml::escape::{escape, unescape};

use super::BucketPath;

/// What such a name begins with; the key follows in hex digits. U+FDD0 is no character, and nobody's key has it.
const MARK: &str = "\u{fdd0}odd-";
/// The elements that hold a key.
const ELEMENTS: [&str; 2] = ["Key", "Name"];

/// True for a call that lists: S3's and Google's (ListObjectsV2), Azure's (List Blobs).
pub(super) fn is_listing(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| ["list-type=2", "comp=list"].contains(&pair)))
}

/// The answer to such a call, with names that can be said.
pub(super) fn renamed(xml: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(xml);
    for element in ELEMENTS {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let mut changed = String::new();
        let mut rest: &str = &text;
        while let Some((before, behind)) = rest.split_once(&open) {
            let Some((key, after)) = behind.split_once(&close) else { break };
            changed.push_str(before);
            changed.push_str(&open);
            let read = unescape(key).unwrap_or(Cow::Borrowed(key));
            // The client takes a slash at the end away, and would then ask for another object.
            if BucketPath::parse(&read).is_ok_and(|path| path.as_ref() == read) {
                changed.push_str(key);
            } else {
                changed.push_str(&escape(name(&read)));
            }
            changed.push_str(&close);
            rest = after;
        }
        if !changed.is_empty() {
            changed.push_str(rest);
            text = Cow::Owned(changed);
        }
    }
    text
}

fn name(key: &str) -> String {
    use std::fmt::Write as _;
    key.bytes().fold(MARK.to_owned(), |mut name, byte| {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// The key that such a name stands for.
pub(super) fn key(name: &str) -> Option<String> {
    let digits = name.strip_prefix(MARK)?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    Some(String::from_utf8_lossy(&bytes?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_be_said_stay_and_others_are_told_as_they_are() {
        let xml = "<Name>bucket</Name><Contents><Key>a&amp;b/c d</Key><Size>1</Size></Contents>\
                   <Contents><Key>a//b&lt;</Key></Contents><Contents><Key>dir/</Key></Contents><Blob><Name>../x</Name></Blob>";
        let text = renamed(xml);
        assert!(text.contains("<Key>a&amp;b/c d</Key>") && text.contains("<Name>bucket</Name>"), "{text}");
        let named: Vec<String> = text.split(['<', '>']).filter_map(key).collect();
        assert_eq!(named, ["a//b<", "dir/", "../x"]);
        assert!(
            named.iter().all(|key| BucketPath::parse(name(key)).is_ok_and(|path| path.as_ref() == name(key)))
        );
        assert!(
            is_listing(Some("list-type=2&prefix=a"))
                && !is_listing(Some("prefix=list-type=2"))
                && !is_listing(None)
        );
    }
}
