//! boto3, by scripts of `tests/clients/s3` that assert for themselves.

use crate::common::s3::S3Server;

/// Calls one function of a script against a server of its own.
fn holds(script: &str, function: &str) {
    S3Server::start().python(script, function);
}

macro_rules! scripts {
    ($($script:literal: $($function:ident)*;)*) => {
        $($(
            #[test]
            fn $function() {
                holds($script, stringify!($function));
            }
        )*)*
    };
}

scripts! {
    "objects.py":
        stored_read_and_deleted
        the_same_body_has_the_same_etag
        files_without_a_length_and_large_ones_are_stored
        ranges_are_served
        conditions_hold
        copies
        many_are_deleted_at_once;
    "listings.py":
        buckets
        prefixes_and_delimiters
        pages_cover_everything_once
        tokens_stay_valid_while_the_cache_changes;
    "checksums.py":
        in_headers
        of_content_md5
        behind_the_body
        of_a_signed_body;
    "multipart.py":
        parts_become_one_object
        parts_are_copied
        parts_with_checksums_of_their_own
        uploads_are_listed_and_aborted
        a_checksum_of_the_whole_is_verified
        what_does_not_fit_is_refused;
    "errors.py":
        keys_and_signatures
        clocks
        rights
        objects
        what_is_not_there_says_so
        every_answer_has_a_request_id;
    "hosts.py":
        a_bucket_is_a_host;
}

#[test]
fn a_wrong_signature_is_never_anonymous() {
    S3Server::start_with("anonymous = \"read-write\"").python("errors.py", "whoever_shows_something_wrong");
}

#[test]
fn a_multipart_upload_begun_before_kill_9_is_completed_after_it() {
    let mut server = S3Server::start();
    server.python("multipart.py", "begun_before_the_server_was_killed");
    server.larder.restart();
    server.python("multipart.py", "completed_after_it");
}
