//! What can go wrong, each with what to do about it where the user can do something.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no control plane, or why it did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binaries are missing, and so is the Go that would build them.
    #[error(
        "{found}: install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, \
         kube-controller-manager and kubectl"
    )]
    NoGo {
        /// What was found instead.
        found: String,
    },

    /// The folder that `KUBEBUILDER_ASSETS` names does not hold everything.
    #[error(
        "KUBEBUILDER_ASSETS is {}, where {missing} cannot be found: add it there, or unset KUBEBUILDER_ASSETS, so that \
         the control plane is built with Go",
        .folder.display()
    )]
    Assets {
        /// The folder.
        folder: PathBuf,
        /// The names of the missing binaries, separated by commas.
        missing: String,
    },

    /// No folder to keep the built binaries in.
    #[error(
        "no cache folder for the control plane: set HOME or XDG_CACHE_HOME, or set KUBEBUILDER_ASSETS to a folder with \
         etcd, kube-apiserver, kube-controller-manager and kubectl"
    )]
    NoCache,

    /// Go refused to build a binary.
    #[error("building {name} with Go failed:\n{output}")]
    Build {
        /// The binary.
        name: &'static str,
        /// The last lines that Go printed.
        output: String,
    },

    /// Another program took a port between its choice and its use. Starting again helps.
    #[error("{name} found its port taken by another program")]
    PortTaken {
        /// The process that ended for it.
        name: &'static str,
    },

    /// A process ended that should run.
    #[error("{name} ended by itself; the last lines of its log:\n{log}")]
    Ended {
        /// The process.
        name: &'static str,
        /// The last lines of its log.
        log: String,
    },

    /// The control plane runs, but did not become ready in time.
    #[error("{what} was not ready after {seconds} s: {last}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
        /// The last answer.
        last: String,
    },

    /// `kubectl` ended with an error.
    #[error("kubectl {arguments}: {stderr}")]
    Kubectl {
        /// Its arguments, separated by spaces.
        arguments: String,
        /// What it said.
        stderr: String,
    },

    /// A name that cannot become a file name of its own.
    #[error("{name:?} cannot name a kubeconfig: use letters, digits, \"-\" and \"_\", and not \"admin\"")]
    Name {
        /// The refused name.
        name: String,
    },

    /// A line of the audit log could not be read.
    #[error("the audit log cannot be read: {0}")]
    Audit(#[from] serde_json::Error),

    /// A certificate or key could not be made.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),

    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        source: io::Error,
    },
}

/// Says what was tried when the operating system refuses it.
pub(crate) trait Context<T> {
    /// `what` begins with "cannot".
    fn context(self, what: fmt::Arguments<'_>) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: fmt::Arguments<'_>) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what.to_string(), source })
    }
}

/// The last `count` lines of `text`, without the white space around them.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
