//! A setting: a value and its source.

use crate::s6::Mode;

/// The source of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Option,
    /// This process's environment.
    Environment,
    /// The container environment.
    Container,
    /// The user as whom s6-svscan runs, who is not root.
    Svscan,
    /// /etc/passwd.
    Passwd,
    /// The mode of the live scan directory.
    ScanDirectory,
    /// That root lacks a capability.
    Capabilities,
    /// The default.
    Default,
}

impl Source {
    /// Returns the name that `--explain` prints.
    pub fn text(self) -> &'static str {
        match self {
            Source::Option => "option",
            Source::Environment => "environment",
            Source::Container => "container environment",
            Source::Svscan => "s6-svscan runs as this user",
            Source::Passwd => "/etc/passwd",
            Source::ScanDirectory => "the scan directory is sealed",
            Source::Capabilities => "root lacks the capability DAC_OVERRIDE, or that is not known",
            Source::Default => "default",
        }
    }
}

/// A value and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

impl Setting<Mode> {
    /// Returns sealed mode instead of delegated mode, because root lacks a capability.
    #[must_use]
    pub fn at_least_sealed(self) -> Setting<Mode> {
        match self.value {
            Mode::Sealed => self,
            Mode::Delegated => Setting { value: Mode::Sealed, source: Source::Capabilities },
        }
    }
}

impl<T> Setting<T> {
    /// Converts the value, and keeps the source.
    pub fn map<U>(self, value: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: value(self.value), source: self.source }
    }
}
