//! Writes the rows of a 207 answer (RFC 4918, 13): one resource with the properties that were asked for.
//!
//! Owns which properties there are and their text. It must not know where the rows come from.

use std::fmt::Write as _;
use std::time::SystemTime;

use quick_xml::escape::escape;

use super::propfind_body::{Asked, PropertyName};
use crate::object::ObjectSummary;
use crate::protocol::validators;

/// What the document starts with.
pub(super) const HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
/// What the document ends with.
pub(super) const TAIL: &str = "</D:multistatus>\n";

/// One resource.
pub(super) struct Row<'a> {
    /// Its path, percent-encoded; a collection's ends in a slash.
    pub(super) href: &'a str,
    /// The last segment of its path, decoded.
    pub(super) name: &'a str,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a resource is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// An object with these properties.
    Object(ObjectSummary),
    /// A collection. OpenDAL refuses an answer without `getlastmodified`, so it needs some date.
    Collection(SystemTime),
}

/// Appends a row to the document.
pub(super) fn write_row(out: &mut String, row: &Row<'_>, asked: &Asked) {
    let _ = write!(out, "<D:response><D:href>{}</D:href>", escape(row.href));
    match asked {
        Asked::All | Asked::Names => {
            let with_values = *asked == Asked::All;
            out.push_str("<D:propstat><D:prop>");
            for property in Property::ALL {
                if let Some(value) = property.value(row) {
                    write_property(out, property.name(), if with_values { &value } else { "" });
                }
            }
            out.push_str("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
        }
        Asked::These(names) => write_asked(out, row, names),
    }
    out.push_str("</D:response>\n");
}

fn write_asked(out: &mut String, row: &Row<'_>, names: &[PropertyName]) {
    let mut missing = String::new();
    let mut found = String::new();
    for name in names {
        let property = Property::ALL.iter().find(|property| name.is_dav(property.name()));
        match property.and_then(|property| property.value(row).map(|value| (property.name(), value))) {
            Some((name, value)) => write_property(&mut found, name, &value),
            None => {
                let _ = write!(missing, "<{0} xmlns=\"{1}\"/>", name.local, escape(name.namespace.as_str()));
            }
        }
    }
    // A response must have one propstat at least, even when nothing was asked for.
    if !found.is_empty() || missing.is_empty() {
        let _ = write!(
            out,
            "<D:propstat><D:prop>{found}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
        );
    }
    if !missing.is_empty() {
        let _ = write!(
            out,
            "<D:propstat><D:prop>{missing}</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>"
        );
    }
}

fn write_property(out: &mut String, name: &str, value: &str) {
    let _ = match value {
        "" => write!(out, "<D:{name}/>"),
        value => write!(out, "<D:{name}>{value}</D:{name}>"),
    };
}

#[derive(Clone, Copy)]
enum Property {
    ResourceType,
    DisplayName,
    ContentLength,
    LastModified,
    ETag,
    ContentType,
    CreationDate,
}

impl Property {
    const ALL: [Self; 7] = [
        Self::ResourceType,
        Self::DisplayName,
        Self::ContentLength,
        Self::LastModified,
        Self::ETag,
        Self::ContentType,
        Self::CreationDate,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ResourceType => "resourcetype",
            Self::DisplayName => "displayname",
            Self::ContentLength => "getcontentlength",
            Self::LastModified => "getlastmodified",
            Self::ETag => "getetag",
            Self::ContentType => "getcontenttype",
            Self::CreationDate => "creationdate",
        }
    }

    /// Its value as XML; `None` where this resource has no such property.
    fn value(self, row: &Row<'_>) -> Option<String> {
        let (info, time) = match &row.kind {
            Kind::Object(info) => (Some(info), info.modified()),
            Kind::Collection(time) => (None, *time),
        };
        match self {
            Self::ResourceType if info.is_none() => Some("<D:collection/>".to_owned()),
            Self::ResourceType => Some(String::new()),
            // Characters that XML 1.0 cannot carry at all; control bytes are in no key.
            Self::DisplayName => {
                Some(escape(row.name.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")).into_owned())
            }
            Self::ContentLength => info.map(|info| info.length.to_string()),
            Self::LastModified => Some(validators::http_date(time)),
            Self::ETag => info.and_then(|info| info.etag).map(|etag| escape(etag.to_string()).into_owned()),
            Self::ContentType => info.map(|_| "application/octet-stream".to_owned()),
            Self::CreationDate => Some(validators::rfc3339(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ETag;

    fn object() -> Kind {
        Kind::Object(ObjectSummary { length: 3, etag: Some(ETag(42)), created_ms: 784_111_777_000 })
    }

    fn row(kind: Kind, asked: &Asked) -> String {
        let mut out = String::new();
        write_row(&mut out, &Row { href: "/a&b/", name: "a&<b>", kind }, asked);
        out
    }

    #[test]
    fn an_object_has_all_its_properties_escaped() {
        let text = row(object(), &Asked::All);
        for part in [
            "<D:href>/a&amp;b/</D:href>",
            "<D:displayname>a&amp;&lt;b&gt;</D:displayname>",
            "<D:getcontentlength>3</D:getcontentlength>",
            "<D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified>",
            "<D:creationdate>1994-11-06T08:49:37Z</D:creationdate>",
            "<D:resourcetype/>",
            "xxh3-0000000000000000000000000000002a",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_collection_has_a_date_and_no_length() {
        let text = row(Kind::Collection(SystemTime::UNIX_EPOCH), &Asked::All);
        assert!(text.contains("<D:resourcetype><D:collection/></D:resourcetype>"));
        assert!(text.contains("<D:getlastmodified>Thu, 01 Jan 1970 00:00:00 GMT</D:getlastmodified>"));
        assert!(!text.contains("getcontentlength") && !text.contains("getetag"));
    }

    #[test]
    fn unknown_properties_come_back_as_not_found() {
        let name = |namespace: &str, local: &str| PropertyName {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
        };
        let asked = Asked::These(vec![name("DAV:", "getcontentlength"), name("urn:\"x", "color")]);
        let text = row(object(), &asked);
        assert!(text.contains("<D:prop><D:getcontentlength>3</D:getcontentlength></D:prop>"));
        assert!(text.contains("<color xmlns=\"urn:&quot;x\"/></D:prop><D:status>HTTP/1.1 404 Not Found"));
        let collection = row(Kind::Collection(SystemTime::UNIX_EPOCH), &asked);
        assert!(collection.contains("<getcontentlength xmlns=\"DAV:\"/><color"), "{collection}");
        assert!(!collection.contains("200 OK"));
    }

    #[test]
    fn names_come_without_values() {
        let text = row(object(), &Asked::Names);
        assert!(text.contains("<D:getetag/>") && !text.contains("octet-stream"));
    }
}
