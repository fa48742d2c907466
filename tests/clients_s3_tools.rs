//! What people do with everyday S3 tools, against a running larder: boto3, the aws CLI, s3cmd, rclone, curl.
//!
//! One module a client. Knows larder from outside only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

#[path = "clients_s3_tools/aws_api.rs"]
mod aws_api;
#[path = "clients_s3_tools/aws_files.rs"]
mod aws_files;
#[path = "clients_s3_tools/boto3.rs"]
mod boto3;
#[path = "clients_s3_tools/presigned.rs"]
mod presigned;
#[path = "clients_s3_tools/rclone.rs"]
mod rclone;
#[path = "clients_s3_tools/s3cmd.rs"]
mod s3cmd;

use std::process::Command;

use common::tools;

/// Bytes that no compression helps with, the same on every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// What a command wrote to stdout; fails when the command does.
fn said(command: &mut Command) -> String {
    String::from_utf8(tools::run(command).stdout).unwrap()
}

/// What a command wrote to stderr and stdout; fails when the command does not.
fn complaint(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!output.status.success(), "{command:?} was to fail:\n{text}");
    text
}
