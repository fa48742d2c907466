//! A larder with access keys, and the real S3 clients pointed at it.
//!
//! Knows how clients are told an endpoint and a key; nothing of what they are asked to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Larder, Options, tools};

/// Access keys of every server here: the token's name, its secret and what it may do.
const KEYS: [Key; 3] = [WRITER, READER, TEAM];

/// May do everything everywhere.
pub const WRITER: Key = Key { id: "ci", secret: "the-writers-secret-of-these-tests", rights: ALL };
/// May only read.
pub const READER: Key =
    Key { id: "reader", secret: "the-readers-secret-of-these-tests", rights: "allow = [\"read\"]" };
/// May do everything, in the namespace `team` only.
pub const TEAM: Key = Key {
    id: "team-only",
    secret: "the-teams-secret+of/these=tests",
    rights: "allow = [\"read\", \"write\", \"delete\"]\nnamespaces = [\"team\"]",
};

const ALL: &str = "allow = [\"read\", \"write\", \"delete\"]";

/// The domain below which buckets are host names.
pub const DOMAIN: &str = "s3.example.test";

/// An access key as a client is given it.
#[derive(Clone, Copy)]
pub struct Key {
    /// The access key id.
    pub id: &'static str,
    /// The secret access key.
    pub secret: &'static str,
    /// Further lines of its table.
    pub rights: &'static str,
}

/// A running server with the buckets `default`, `team` and `small` (objects up to 1 MiB), and a directory for
/// what clients read and write. Dropping it ends the one and removes the other.
pub struct S3Server {
    /// The server.
    pub larder: Larder,
    scratch: tempfile::TempDir,
}

impl S3Server {
    /// Starts one that gives callers without a key nothing.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with further top-level lines of configuration.
    pub fn start_with(config: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut text = format!("s3_domain = \"{DOMAIN}\"\n{config}\n");
        text.push_str("[namespaces.team]\n[namespaces.small]\nmax_object_size = \"1MiB\"\n");
        for key in KEYS {
            let file = scratch.path().join(format!("{}.secret", key.id));
            std::fs::write(&file, format!("{}\n", key.secret)).unwrap();
            private(&file);
            text.push_str(&format!("[tokens.{}]\nsecret_file = {file:?}\n{}\n", key.id, key.rights));
        }
        let larder = Larder::start(Options::default().config(&text));
        let server = Self { larder, scratch };
        std::fs::create_dir(server.directory()).unwrap();
        server
    }

    /// Where commands run.
    pub fn directory(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    /// Writes a file into [`Self::directory`].
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Reads a file of [`Self::directory`].
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.directory().join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A client that knows this server and this key by environment, and no settings of the machine's.
    pub fn client(&self, tool: &str, key: Key) -> Command {
        client_at(&self.larder.url(""), &self.directory(), tool, key)
    }

    /// Calls one function of a Python script of `tests/clients/s3` and returns what it printed. The script
    /// asserts for itself.
    pub fn python(&self, script: &str, function: &str) -> String {
        let mut command = python_at(&self.larder.url(""), &self.directory(), script, function);
        String::from_utf8(tools::run(&mut command).stdout).unwrap()
    }
}

/// As [`S3Server::client`], for the server at `endpoint`, run in `directory`.
pub fn client_at(endpoint: &str, directory: &Path, tool: &str, key: Key) -> Command {
    let mut command = Command::new(tools::tool(tool));
    tools::isolate(&mut command);
    command.current_dir(directory).env("HOME", directory).envs(environment(key));
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_DEFAULT_REGION", "eu-somewhere-7");
    command
}

/// The command of [`S3Server::python`], for the server at `endpoint`, run in `directory`.
pub fn python_at(endpoint: &str, directory: &Path, script: &str, function: &str) -> Command {
    let mut command = client_at(endpoint, directory, "python", WRITER);
    command.arg("-B").arg(tools::repository().join("tests/clients/s3").join(script)).arg(function);
    command.env("LARDER_ENDPOINT", endpoint).env("LARDER_DOMAIN", DOMAIN);
    for key in KEYS {
        let name = key.id.to_uppercase().replace('-', "_");
        command.env(format!("LARDER_SECRET_{name}"), key.secret);
    }
    command
}

/// The variables by which AWS's own clients, and sccache, take a key; the files they would read are empty.
pub fn environment(key: Key) -> Vec<(&'static str, &'static str)> {
    vec![
        ("AWS_ACCESS_KEY_ID", key.id),
        ("AWS_SECRET_ACCESS_KEY", key.secret),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ]
}

fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
