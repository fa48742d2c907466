//! Layering: defaults, then the file, then `LARDER_*` variables, then flags; every problem is kept.
//!
//! Owns the order of the sources and what came from where. Everything is handed in as values ([`Input`]), so
//! nothing here reads the process's environment or a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::{self, File};
use super::keys::{KEYS, Key};
use super::problem::{Problem, Problems, Source, did_you_mean};
use super::{Config, NamespaceConfig, TokenConfig, TokenName, container, oidc, rules, token_secrets};
use crate::key::Namespace;

/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "LARDER_CONFIG";
/// The variable that names the server that `larder stats` and the like ask. A server itself has no use for it.
pub const URL_VARIABLE: &str = "LARDER_URL";

/// Everything a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Values of flags by key name (`data_dir`), and `config` for the file.
    pub flags: BTreeMap<String, String>,
    /// The environment; only `LARDER_*` is looked at. An empty value counts as not set.
    pub env: BTreeMap<String, OsString>,
    /// The file that [`Input::config_path`] names, when it names one.
    pub file: Option<File>,
}

/// A checked configuration, and where each of its values came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    origins: BTreeMap<String, Source>,
}

impl Input {
    /// The configuration file that flag or variable name, and which of the two did.
    #[must_use]
    pub fn config_path(&self) -> Option<(&Path, Source)> {
        let flag =
            self.flags.get("config").map(|path| (Path::new(path), Source::Flag("--config".to_owned())));
        let env = || {
            let path = self.env.get(CONFIG_VARIABLE).filter(|path| !path.is_empty())?;
            Some((Path::new(path), Source::Env(CONFIG_VARIABLE.to_owned())))
        };
        flag.or_else(env)
    }

    /// Merges all sources and checks every value and the rules between them.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(&self) -> Result<Loaded, Problems> {
        self.draft().finish()
    }

    /// As [`Input::load`], and checks that the data directory, the files of TLS and those of the bucket can be used
    /// on this machine, fits defaults to its memory, and reads the secrets of the tokens. Leaves no trace.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load_for_serving(&self) -> Result<Loaded, Problems> {
        let mut draft = self.serving_draft();
        super::tls::files(&mut draft);
        super::bucket::files(&mut draft);
        draft.finish()
    }

    /// As [`Input::load_for_serving`], for a server that runs: it has a certificate, and one that expires or is being
    /// replaced must not keep a token from being revoked.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load_for_reload(&self) -> Result<Loaded, Problems> {
        self.serving_draft().finish()
    }

    fn serving_draft(&self) -> Draft {
        let mut draft = self.draft();
        rules::data_dir(&mut draft);
        container::fit_memory(&mut draft, container::memory_limit(Path::new("/")));
        token_secrets::read(&mut draft, &self.env);
        oidc::read_token_key(&mut draft);
        draft
    }

    fn draft(&self) -> Draft {
        let mut draft = Draft::default();
        if let (Some(file), Some((_, named_by))) = (&self.file, self.config_path()) {
            file::apply(&mut draft, file, &named_by);
        }
        self.apply_env(&mut draft);
        token_secrets::apply_variable(&mut draft, &self.env);
        for key in KEYS {
            if let Some(text) = self.flags.get(key.name) {
                draft.set(key, text, Source::Flag(format!("--{}", key.flag())));
            }
        }
        rules::between_keys(&mut draft);
        draft
    }

    fn apply_env(&self, draft: &mut Draft) {
        for (variable, text) in self.env.iter().filter(|(name, _)| name.starts_with("LARDER_")) {
            if text.is_empty() || is_no_key(draft, variable) {
                continue;
            }
            let source = Source::Env(variable.clone());
            if let Some(key) = KEYS.iter().find(|key| key.variable() == *variable) {
                match text.to_str() {
                    Some(text) => draft.set(key, text, source),
                    None => draft.broken(
                        key.name,
                        source,
                        "the value is not UTF-8: use other characters".to_owned(),
                    ),
                }
                continue;
            }
            let known: Vec<_> = KEYS.iter().map(Key::variable).collect();
            let hint = did_you_mean(
                variable,
                known.iter().map(String::as_str).chain([CONFIG_VARIABLE, token_secrets::TOKEN_VARIABLE]),
            );
            draft.problem(variable, source, format!("there is no such setting{hint}: correct or unset it"));
        }
    }
}

/// Variables of ours that set no key of the table.
fn is_no_key(draft: &Draft, variable: &str) -> bool {
    [CONFIG_VARIABLE, URL_VARIABLE, token_secrets::TOKEN_VARIABLE].contains(&variable)
        || token_secrets::names_variable(draft, variable)
        || is_service_link(variable)
}

/// Kubernetes puts `LARDER_SERVICE_HOST`, `LARDER_PORT`, `LARDER_PORT_4227_TCP_ADDR` and the like into every
/// pod beside a service named `larder`. They are no settings and no mistakes.
fn is_service_link(variable: &str) -> bool {
    let Some(rest) = variable.strip_prefix("LARDER_") else {
        return false;
    };
    let port_link =
        rest.strip_prefix("PORT_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    rest == "PORT" || port_link || rest == "SERVICE_HOST" || rest.starts_with("SERVICE_PORT")
}

impl Loaded {
    /// Where the value of `key` came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Source {
        self.origins.get(key).cloned().unwrap_or(Source::Default)
    }
}

/// A configuration while it is put together.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    origins: BTreeMap<String, Source>,
    /// Keys whose last value was refused: rules that read them would only repeat the problem.
    broken: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Draft {
    /// Reads `text` into `key`, or notes why it cannot be.
    pub(super) fn set(&mut self, key: &Key, text: &str, source: Source) {
        match key.set(&mut self.config, text) {
            Ok(()) => self.origin(key.name, source),
            Err(message) => self.broken(key.name, source, message),
        }
    }

    /// Adds a namespace.
    pub(super) fn namespace(&mut self, name: Namespace, settings: NamespaceConfig) {
        self.config.namespaces.insert(name, settings);
    }

    /// Adds a token.
    pub(super) fn token(&mut self, name: TokenName, token: TokenConfig) {
        self.config.tokens.insert(name, token);
    }

    /// Notes that `key` has a good value from `source`.
    pub(super) fn origin(&mut self, key: &str, source: Source) {
        self.broken.remove(key);
        self.origins.insert(key.to_owned(), source);
    }

    /// Notes that the value of `key` was refused.
    pub(super) fn broken(&mut self, key: &str, source: Source, message: String) {
        self.broken.insert(key.to_owned());
        self.problem(key, source, message);
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, key: &str, source: Source, message: String) {
        self.problems.push(Problem { key: key.to_owned(), source, message });
    }

    /// Notes a problem with the value that `key` has.
    pub(super) fn problem_with(&mut self, key: &str, message: String) {
        let source = self.origins.get(key).cloned().unwrap_or(Source::Default);
        self.problem(key, source, message);
    }

    /// True when `key` has a value that rules can judge.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        !self.broken.contains(key)
    }

    /// True when nobody set `key`.
    pub(super) fn is_default(&self, key: &str) -> bool {
        self.is_sound(key) && !self.origins.contains_key(key)
    }

    /// True when somebody wrote down who gets in with what, wrongly too.
    pub(super) fn names_a_token(&self) -> bool {
        self.origins.keys().any(|key| key.starts_with("tokens.") || key == "oidc")
    }

    pub(super) fn finish(self) -> Result<Loaded, Problems> {
        if self.problems.is_empty() {
            Ok(Loaded { config: self.config, origins: self.origins })
        } else {
            Err(Problems(self.problems))
        }
    }
}

impl Input {
    /// Gathers from the given flags and environment, and reads the configuration file that they name.
    #[must_use]
    pub fn gather(flags: BTreeMap<String, String>, env: BTreeMap<String, OsString>) -> Self {
        let mut input = Self { flags, env, file: None };
        let path: Option<PathBuf> = input.config_path().map(|(path, _)| path.to_owned());
        input.file = path.as_deref().map(File::read);
        input
    }
}
