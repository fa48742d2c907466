//! What came of it: a table for people, JSON for programs, and one sentence when something is left.

use std::fmt::Write as _;

use indicatif::{BinaryBytes, HumanCount};
use serde_json::json;

use crate::cache::{BucketFindings, VerifyReport};

/// A line: what, how many, and a remark.
type Row = (&'static str, u64, String);

/// The table of counts.
pub(super) fn table(report: &VerifyReport) -> String {
    let mut rows: Vec<Row> = Vec::new();
    let row = |what, number| (what, number, String::new());
    let done = |text: &str| if report.dry_run { String::new() } else { text.to_owned() };
    let disk = &report.disk;
    rows.push(("disk: records read", disk.checked, BinaryBytes(disk.bytes).to_string()));
    rows.push(("disk: damaged", disk.damaged, done("dropped: misses from now on")));
    if disk.in_bucket > 0 {
        rows.push(("disk: of these in the bucket", disk.in_bucket, "come back when asked for".to_owned()));
    }
    if disk.newer_files > 0 {
        rows.push(("disk: files not checked", disk.newer_files, "of a newer larder".to_owned()));
    }
    if let Some(index) = &report.index {
        rows.push(row("index: entries", index.entries));
        rows.push(row("index: objects missing", index.missing));
        let remark = if index.is_rebuilt { "written anew" } else { "" };
        rows.push(("index: wrong entries", index.stale, remark.to_owned()));
    }
    if let Some(bucket) = &report.bucket {
        bucket_rows(bucket, report.dry_run, &mut rows);
    }
    let width = rows.iter().map(|(what, ..)| what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (what, number, remark) in rows {
        let line = format!("{what:width$}  {:>12}  {remark}", HumanCount(number).to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn bucket_rows(bucket: &BucketFindings, dry_run: bool, rows: &mut Vec<Row>) {
    let done = |text: &str| if dry_run { String::new() } else { text.to_owned() };
    let mut add = |what, number, remark: String| rows.push((what, number, remark));
    add("bucket: objects", bucket.objects, BinaryBytes(bucket.bytes).to_string());
    add("bucket: nobody's objects", bucket.foreign, "left alone".to_owned());
    add("bucket: not known before", bucket.unknown, done("known now"));
    add("bucket: known and not there", bucket.vanished, done("forgotten"));
    add("bucket: on disk and not there", bucket.missing, String::new());
    add("bucket: other bodies", bucket.different, String::new());
    if bucket.read + bucket.unread > 0 {
        add("bucket: bodies read", bucket.read, String::new());
        add("bucket: damaged", bucket.damaged, String::new());
        add("bucket: without any checksum", bucket.unproven, "taken as they are".to_owned());
        add("bucket: could not be read", bucket.unread, String::new());
    }
    if !dry_run {
        add("bucket: written", bucket.uploaded, "from disk".to_owned());
        add("bucket: removed", bucket.removed, "damaged, and not on disk".to_owned());
        add("bucket: could not be repaired", bucket.unrepaired, String::new());
    }
}

/// The same, and the verdict.
pub(super) fn json(report: &VerifyReport) -> String {
    let disk = &report.disk;
    let index = report.index.as_ref().map(|index| {
        json!({
            "entries": index.entries,
            "missing": index.missing,
            "stale": index.stale,
            "rebuilt": index.is_rebuilt,
            "on_disk": index.is_on_disk,
        })
    });
    let bucket = report.bucket.as_ref().map(|bucket| {
        json!({
            "objects": bucket.objects,
            "bytes": bucket.bytes,
            "foreign": bucket.foreign,
            "unknown": bucket.unknown,
            "vanished": bucket.vanished,
            "missing": bucket.missing,
            "different": bucket.different,
            "read": bucket.read,
            "damaged": bucket.damaged,
            "unproven": bucket.unproven,
            "unread": bucket.unread,
            "uploaded": bucket.uploaded,
            "removed": bucket.removed,
            "unrepaired": bucket.unrepaired,
        })
    });
    let value = json!({
        "good": report.is_good(),
        "dry_run": report.dry_run,
        "interrupted": report.is_interrupted,
        "disk": {
            "checked": disk.checked,
            "bytes": disk.bytes,
            "damaged": disk.damaged,
            "in_bucket": disk.in_bucket,
            "newer_files": disk.newer_files,
        },
        "index": index,
        "bucket": bucket,
        "bucket_error": report.bucket_error,
        "close_error": report.close_error,
    });
    format!("{value:#}\n")
}

/// What is not as it should be; `None`: nothing.
pub(super) fn left(report: &VerifyReport) -> Option<String> {
    if report.is_good() {
        return None;
    }
    if report.is_interrupted {
        return Some("interrupted; what was repaired stays so, start it again for the rest".to_owned());
    }
    if let Some(error) = &report.bucket_error {
        return Some(format!("the bucket could not be compared: {error}"));
    }
    if let Some(error) = &report.close_error {
        return Some(format!("the store could not be brought to disk: {error}"));
    }
    Some(match report.dry_run {
        true => "see above; run it without --dry-run to repair that".to_owned(),
        false => "some of it could not be checked or repaired, see above".to_owned(),
    })
}
