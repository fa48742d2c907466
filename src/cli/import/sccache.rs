//! How sccache keeps its entries on disk, and what it asks a server for to find the same.
//!
//! An entry lies at `a/b/KEY`, and WebDAV, S3 and the like are asked for `a/b/c/KEY`: a, b and c are the first three digits
//! of KEY, the hash of the compilation in hex. Beside the entries lie `preprocessor/`, which only the machine itself can
//! use, and files whose names begin with `.sccachetmp`, which are being written. Where there is a `preprocessor/`, the keys of
//! C and C++ are of another kind than those of an sccache that knows no disk.
//!
//! Owns these names. Knows nothing of files.

/// Where sccache keeps what lets it do without the preprocessor.
pub(super) const PREPROCESSOR: &str = "preprocessor/";
/// Shortest name of an entry. sccache's hashes have 64 digits; other lengths are let through, should they change.
const MIN_KEY_DIGITS: usize = 32;

/// `a/b/c/KEY` for an entry at `a/b/KEY`, or at `a/b/c/KEY` should sccache come to keep them so.
pub(super) fn key(path: &str) -> Option<String> {
    let (directories, key) = path.rsplit_once('/')?;
    let is_key =
        key.len() >= MIN_KEY_DIGITS && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_key {
        return None;
    }
    let (two, three) =
        (format!("{}/{}", &key[..1], &key[1..2]), format!("{}/{}/{}", &key[..1], &key[1..2], &key[2..3]));
    (directories == two || directories == three).then(|| format!("{three}/{key}"))
}

#[cfg(test)]
mod tests {
    use super::key;

    const KEY: &str = "67132a83f039617268f58b795c59428a82d087ccd33a228d5f43e210e55c70af";

    #[test]
    fn an_entry_on_disk_has_the_key_that_sccache_asks_servers_for() {
        let asked = format!("6/7/1/{KEY}");
        assert_eq!(key(&format!("6/7/{KEY}")), Some(asked.clone()));
        assert_eq!(key(&asked), Some(asked.clone()));
    }

    #[test]
    fn what_is_no_entry_is_left_alone() {
        for path in [
            format!("preprocessor/6/7/1/{KEY}"),
            ".sccachetmpAbCdEf".to_owned(),
            "6/7/.sccachetmpAbCdEf".to_owned(),
            format!("7/6/{KEY}"),
            format!("6/7/2/{KEY}"),
            KEY.to_owned(),
            format!("6/7/{}", KEY.to_uppercase()),
            "6/7/671".to_owned(),
            "6/7/".to_owned(),
        ] {
            assert_eq!(key(&path), None, "{path}");
        }
    }
}
