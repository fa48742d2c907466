//! Checksums that a client sends along: `Content-MD5` and `x-amz-checksum-*`, in a header or in a trailer.
//!
//! Owns which of them are known and how they are compared. It must not read a body.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};

use crate::protocol::error::{ErrorCode, Refusal};

/// The header's prefix; what follows names the algorithm.
const PREFIX: &str = "x-amz-checksum-";
/// The header with the body's MD5.
const MD5: &str = "content-md5";
/// What starts like a checksum's header and is none.
const NOT_CHECKSUMS: &[&str] = &["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// What the checksums of a request are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// The body.
    Body,
    /// The body, where the `x-amz-` checksums are those of an object that it tells of.
    Xml,
    /// The object that the body tells of.
    Object,
}

/// The checksums that a body must turn out to have.
#[derive(Default)]
pub(super) struct Checksums {
    wanted: Vec<Wanted>,
}

struct Wanted {
    header: String,
    /// `None` while it is to come in a trailer.
    value: Option<Vec<u8>>,
    running: Running,
}

enum Running {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
    Md5(Md5),
}

impl Checksums {
    /// The checksums that the headers of a request name for `subject`.
    ///
    /// # Errors
    /// A [`Refusal`] for an algorithm that is not known, which must not be taken for checked, or for a value that is
    /// none of its algorithm's.
    pub(super) fn promised(headers: &HeaderMap, subject: Subject) -> Result<Self, Refusal> {
        let mut wanted = Vec::new();
        for (name, value) in headers {
            let name = name.as_str();
            let is_checksum = name.starts_with(PREFIX) && !NOT_CHECKSUMS.contains(&name);
            let concerns = match subject {
                Subject::Body => is_checksum || name == MD5,
                Subject::Xml => name == MD5,
                Subject::Object => is_checksum,
            };
            if concerns {
                let value = digest(name, value.to_str().unwrap_or_default())?;
                want(&mut wanted, Wanted::new(name, Some(value))?)?;
            }
        }
        Ok(Self { wanted })
    }

    /// The same with those that are to come in trailers.
    ///
    /// # Errors
    /// As [`Checksums::promised`].
    pub(super) fn and_in_trailers(mut self, headers: &HeaderMap) -> Result<Self, Refusal> {
        for names in headers.get_all("x-amz-trailer") {
            for name in names.to_str().unwrap_or_default().split(',').map(str::trim) {
                if name.starts_with(PREFIX) {
                    want(&mut self.wanted, Wanted::new(name, None)?)?;
                }
            }
        }
        Ok(self)
    }

    /// Takes the next bytes of the body into account.
    pub(super) fn update(&mut self, data: &[u8]) {
        for wanted in &mut self.wanted {
            wanted.running.update(data);
        }
    }

    /// Compares, once the body and its trailers are there.
    ///
    /// # Errors
    /// A [`Refusal`] that names the checksum that is wrong or missing.
    pub(super) fn finish(self, trailers: &[(String, String)]) -> Result<(), Refusal> {
        let is_wanted = |name: &str| self.wanted.iter().any(|wanted| wanted.header == name);
        if let Some((name, _)) =
            trailers.iter().find(|(name, _)| name.starts_with(PREFIX) && !is_wanted(name))
        {
            let text =
                format!("the trailer {name} was not announced in x-amz-trailer, so it was not checked");
            return Err(Refusal::new(ErrorCode::BadHeader, text));
        }
        for Wanted { header, value, running } in self.wanted {
            let value = match value {
                Some(value) => value,
                None => match trailers.iter().find(|(name, _)| *name == header) {
                    Some((_, text)) => digest(&header, text)?,
                    None => {
                        let text = format!("the body ends without the trailer {header} that was announced");
                        return Err(Refusal::new(ErrorCode::IncompleteBody, text));
                    }
                },
            };
            if running.finalize() != value {
                let text =
                    format!("the body does not have the {header} that was sent: it changed on the way");
                return Err(Refusal::new(ErrorCode::BadDigest, text));
            }
        }
        Ok(())
    }
}

impl Wanted {
    fn new(header: &str, value: Option<Vec<u8>>) -> Result<Self, Refusal> {
        let running = match header.strip_prefix(PREFIX).unwrap_or(header) {
            "crc32" => Running::Crc32(Crc32::new()),
            "crc32c" => Running::Crc32c(Crc32c::new()),
            "crc64nvme" => Running::Crc64(Crc64Nvme::new()),
            "sha1" => Running::Sha1(Sha1::new()),
            "sha256" => Running::Sha256(Sha256::new()),
            MD5 => Running::Md5(Md5::new()),
            _ => {
                let text =
                    format!("{header} is not implemented: use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256");
                return Err(Refusal::new(ErrorCode::NotImplemented, text));
            }
        };
        let fits = value.as_ref().is_none_or(|value| value.len() == running.length());
        if !fits {
            return Err(bad_value(header));
        }
        Ok(Self { header: header.to_owned(), value, running })
    }
}

impl Running {
    fn length(&self) -> usize {
        match self {
            Self::Crc32(_) | Self::Crc32c(_) => 4,
            Self::Crc64(_) => 8,
            Self::Sha1(_) => 20,
            Self::Sha256(_) => 32,
            Self::Md5(_) => 16,
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc32(running) => running.update(data),
            Self::Crc32c(running) => running.update(data),
            Self::Crc64(running) => running.update(data),
            Self::Sha1(running) => running.update(data),
            Self::Sha256(running) => running.update(data),
            Self::Md5(running) => running.update(data),
        }
    }

    fn finalize(self) -> Vec<u8> {
        match self {
            Self::Crc32(running) => running.finalize().to_vec(),
            Self::Crc32c(running) => running.finalize().to_vec(),
            Self::Crc64(running) => running.finalize().to_vec(),
            Self::Sha1(running) => running.finalize().to_vec(),
            Self::Sha256(running) => running.finalize().to_vec(),
            Self::Md5(running) => running.finalize().to_vec(),
        }
    }
}

/// Each once: every further one would be hashed anew, and nobody says which counts.
fn want(all: &mut Vec<Wanted>, one: Wanted) -> Result<(), Refusal> {
    if all.iter().any(|other| other.header == one.header) {
        return Err(Refusal::new(
            ErrorCode::BadHeader,
            format!("{} is there twice: send it once", one.header),
        ));
    }
    all.push(one);
    Ok(())
}

fn digest(header: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    if text.contains('-') {
        let text = format!("{header} as a checksum of the parts' checksums is not implemented: leave it out");
        return Err(Refusal::new(ErrorCode::NotImplemented, text));
    }
    BASE64_STANDARD.decode(text).map_err(|_| bad_value(header))
}

fn bad_value(header: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidDigest, format!("{header} is not a checksum of its kind in base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksums of `123456789`, as the catalogues of CRCs and the hashes' own specifications have them.
    const KNOWN: &[(&str, &str)] = &[
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ];

    fn check(headers: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]) -> Result<(), ErrorCode> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap()))
            .collect();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let trailers: Vec<_> = trailers.iter().map(own).collect();
        let mut checksums = Checksums::promised(&headers, Subject::Body)
            .and_then(|checksums| checksums.and_in_trailers(&headers))
            .map_err(|refusal| refusal.code())?;
        body.chunks(4).for_each(|part| checksums.update(part));
        checksums.finish(&trailers).map_err(|refusal| refusal.code())
    }

    #[test]
    fn every_algorithm_is_checked() {
        for &(name, value) in KNOWN {
            assert_eq!(check(&[(name, value)], b"123456789", &[]), Ok(()), "{name}");
            assert_eq!(check(&[(name, value)], b"123456780", &[]), Err(ErrorCode::BadDigest), "{name}");
            assert_eq!(check(&[(name, "AAA=")], b"123456789", &[]), Err(ErrorCode::InvalidDigest), "{name}");
            assert_eq!(check(&[(name, "?")], b"123456789", &[]), Err(ErrorCode::InvalidDigest), "{name}");
        }
        assert_eq!(check(KNOWN, b"123456789", &[]), Ok(()));
    }

    #[test]
    fn a_trailer_that_was_announced_must_come_and_be_right() {
        let announced = [("x-amz-trailer", "x-amz-checksum-crc32")];
        for (trailers, outcome) in [
            (&[("x-amz-checksum-crc32", "y/Q5Jg==")][..], Ok(())),
            (&[("x-amz-checksum-crc32", "y/Q5JQ==")], Err(ErrorCode::BadDigest)),
            (&[("x-amz-checksum-sha1", "y/Q5Jg==")], Err(ErrorCode::BadHeader)),
            (&[], Err(ErrorCode::IncompleteBody)),
        ] {
            assert_eq!(check(&announced, b"123456789", trailers), outcome);
        }
    }

    #[test]
    fn a_checksum_that_is_there_twice_is_refused() {
        let one = ("x-amz-checksum-crc32", "y/Q5Jg==");
        let announced = ("x-amz-trailer", "x-amz-checksum-crc32");
        for headers in
            [&[one, announced][..], &[("x-amz-trailer", "x-amz-checksum-sha1,x-amz-checksum-sha1")]]
        {
            assert_eq!(check(headers, b"123456789", &[]), Err(ErrorCode::BadHeader));
        }
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_checked() {
        assert_eq!(check(&[("x-amz-checksum-xxhash3", "AAAA")], b"", &[]), Err(ErrorCode::NotImplemented));
        assert_eq!(check(&[("x-amz-checksum-mode", "ENABLED")], b"", &[]), Ok(()));
    }
}
