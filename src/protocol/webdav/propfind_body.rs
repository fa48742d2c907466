//! The XML body of a PROPFIND (RFC 4918, 14.20), read into the properties it asks for.
//!
//! The body comes from anyone: it is small, DOCTYPE is refused and no entity is expanded. It must not know
//! what values properties have.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// Largest body in bytes.
pub(super) const MAX_BODY: usize = 64 << 10;
/// Most properties in one request, and most bytes of their names and namespaces together. Unknown ones come
/// back once for every row of a listing.
const MAX_PROPERTIES: usize = 64;
const MAX_NAME_BYTES: usize = 4 << 10;

const DAV: Namespace<'static> = Namespace("DAV:");

/// Which properties a PROPFIND asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// `allprop`, or no body at all.
    All,
    /// `propname`: names without values.
    Names,
    /// `prop`: these.
    These(Vec<PropertyName>),
}

/// A property's name as a client wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PropertyName {
    /// The URI of its XML namespace; empty for none.
    pub(super) namespace: String,
    /// Its name in that namespace.
    pub(super) local: String,
}

/// Why a body was refused. The text is fit for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not well-formed XML: {0}")]
    Xml(#[from] quick_xml::Error),
    #[error("the body ends before its XML does")]
    Unclosed,
    #[error("a DOCTYPE is not allowed in the body")]
    Doctype,
    #[error("the body's root is not 'propfind' in the namespace 'DAV:'")]
    NoPropfind,
    #[error("the body asks for none of 'allprop', 'propname' and 'prop'")]
    NothingAsked,
    #[error("the body has an element whose namespace prefix is not declared")]
    UnknownPrefix,
    #[error("the body names a property with characters outside letters, digits, '-', '_' and '.'")]
    BadName,
    #[error(
        "the body asks for more than {MAX_PROPERTIES} properties, or their names pass {MAX_NAME_BYTES} bytes"
    )]
    TooMany,
}

/// Reads a body. What the RFC calls unexpected elements is skipped.
///
/// # Errors
/// [`BodyError`].
pub(super) fn parse(body: &[u8]) -> Result<Asked, BodyError> {
    let text = std::str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Asked::All);
    }
    let mut reader = NsReader::from_str(text);
    let (mut asked, mut depth, mut in_prop) = (None, 0_usize, false);
    let (mut saw_root, mut name_bytes) = (false, 0);
    loop {
        let (namespace, event) = reader.read_resolved_event()?;
        let (element, is_empty) = match event {
            Event::Start(element) => (element, false),
            Event::Empty(element) => (element, true),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                in_prop &= depth > 1;
                continue;
            }
            Event::DocType(_) => return Err(BodyError::Doctype),
            Event::Eof => break,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => continue,
        };
        let name = property_name(&namespace, &element)?;
        match depth {
            0 if saw_root || !name.is_dav("propfind") => return Err(BodyError::NoPropfind),
            0 => saw_root = true,
            1 if name.is_dav("allprop") => asked = Some(Asked::All),
            1 if name.is_dav("propname") => asked = Some(Asked::Names),
            1 if name.is_dav("prop") => {
                asked.get_or_insert(Asked::These(Vec::new()));
                in_prop = !is_empty;
            }
            2 if in_prop => match &mut asked {
                Some(Asked::These(names)) => {
                    name_bytes += name.namespace.len() + name.local.len();
                    if names.len() == MAX_PROPERTIES || name_bytes > MAX_NAME_BYTES {
                        return Err(BodyError::TooMany);
                    }
                    names.push(name);
                }
                Some(Asked::All | Asked::Names) | None => {}
            },
            _ => {}
        }
        if !is_empty {
            depth += 1;
        }
    }
    if depth > 0 {
        return Err(BodyError::Unclosed);
    }
    if !saw_root {
        return Err(BodyError::NoPropfind);
    }
    asked.ok_or(BodyError::NothingAsked)
}

impl PropertyName {
    /// Whether this is RFC 4918's own property or element `local`.
    pub(super) fn is_dav(&self, local: &str) -> bool {
        self.namespace == DAV.0 && self.local == local
    }
}

/// Names come back in the answer, so only those are taken that need no escaping there.
fn property_name(namespace: &ResolveResult<'_>, element: &BytesStart<'_>) -> Result<PropertyName, BodyError> {
    let local = element.local_name();
    let local: &str = local.as_ref();
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = local.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !starts_well || !local.chars().all(allowed) {
        return Err(BodyError::BadName);
    }
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => namespace.0.to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => return Err(BodyError::UnknownPrefix),
    };
    Ok(PropertyName { namespace, local: local.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(body: &str) -> Vec<(String, String)> {
        match parse(body.as_bytes()) {
            Ok(Asked::These(names)) => names.into_iter().map(|name| (name.namespace, name.local)).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn pair(namespace: &str, local: &str) -> (String, String) {
        (namespace.to_owned(), local.to_owned())
    }

    #[test]
    fn the_forms_that_clients_send() {
        for body in [
            "",
            " \r\n",
            r#"<?xml version="1.0" encoding="utf-8" ?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>"#,
            r#"<propfind xmlns="DAV:"><allprop></allprop><include><x/></include></propfind>"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap(), Asked::All, "{body}");
        }
        let body = r#"<a:propfind xmlns:a="DAV:"><a:propname/></a:propfind>"#;
        assert_eq!(parse(body.as_bytes()).unwrap(), Asked::Names);
        let body = r#"<propfind xmlns="DAV:"><!-- c --><prop><getetag/><x:color xmlns:x="urn:x">
            <getetag/></x:color><plain xmlns=""/></prop></propfind>"#;
        assert_eq!(names(body), [pair("DAV:", "getetag"), pair("urn:x", "color"), pair("", "plain")]);
        assert_eq!(names(r#"<propfind xmlns="DAV:"><prop/></propfind>"#), []);
    }

    #[test]
    fn what_is_no_propfind_is_refused() {
        let many = format!(r#"<propfind xmlns="DAV:"><prop>{}</prop></propfind>"#, "<a/>".repeat(65));
        let long =
            format!(r#"<propfind xmlns="DAV:"><prop><a xmlns="{}"/></prop></propfind>"#, "u".repeat(4096));
        for body in [
            "nonsense",
            "<",
            "<propfind",
            r#"<propfind xmlns="DAV:">"#,
            r#"<propfind xmlns="DAV:"><prop></propfind>"#,
            r#"<propfind xmlns="DAV:"/>"#,
            "<propfind><allprop/></propfind>",
            r#"<D:propfind><D:allprop/></D:propfind>"#,
            r#"<propfind xmlns="DAV:"><prop><x:a/></prop></propfind>"#,
            r#"<propfind xmlns="DAV:"><prop><a"b/></prop></propfind>"#,
            r#"<other xmlns="DAV:"><allprop/></other>"#,
            r#"<!DOCTYPE x [<!ENTITY e "eee">]><propfind xmlns="DAV:"><allprop/></propfind>"#,
            &many,
            &long,
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(matches!(parse(b"\xff"), Err(BodyError::NotUtf8)));
    }

    proptest! {
        #[test]
        fn any_body_parses_or_is_refused(body in "(<|>|/|propfind|prop| xmlns=\"DAV:\"|a|&x;|\"|<!--|-->|\\PC){0,30}") {
            let _ = parse(body.as_bytes());
        }
    }
}
