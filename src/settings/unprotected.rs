//! Why gateways can change everything that s6 runs, whatever the mode is: sealed mode protects nothing there.

use crate::s6::Mode;

/// Why gateways can change everything that s6 runs, whatever the mode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unprotected {
    /// s6 is not root, and gateways run as its user, this one.
    LikeS6(u32),
    /// Gateways run as root.
    Root,
}

impl Unprotected {
    /// Returns what is wrong in a mode, and what helps; `None` if nothing is.
    pub fn text(self, mode: Mode) -> Option<String> {
        const ROOT: &str = "gateways run as root, because the user hermes of /etc/passwd has uid 0";
        const OTHER: &str = "HERMES_UID sets another one";
        match (self, mode) {
            (Unprotected::LikeS6(_), Mode::Delegated) => None,
            (Unprotected::LikeS6(uid), Mode::Sealed) => Some(format!(
                "sealed mode protects nothing: s6 runs as uid {uid}, and gateways as the same user, who can change every slot: start the \
                 container as root, or without sealed mode"
            )),
            (Unprotected::Root, Mode::Delegated) => Some(format!("{ROOT}: {OTHER}")),
            (Unprotected::Root, Mode::Sealed) => {
                Some(format!("sealed mode protects nothing: {ROOT}: {OTHER}, or go without sealed mode"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_is_said_of_sealed_mode_and_of_root_in_both() {
        for (why, mode, expected) in [
            (Unprotected::LikeS6(7), Mode::Delegated, None),
            (Unprotected::LikeS6(7), Mode::Sealed, Some("sealed mode protects nothing: s6 runs as uid 7,")),
            (Unprotected::Root, Mode::Delegated, Some("gateways run as root,")),
            (Unprotected::Root, Mode::Sealed, Some("sealed mode protects nothing: gateways run as root,")),
        ] {
            let text = why.text(mode);
            assert_eq!(text.is_some(), expected.is_some(), "{why:?} {mode:?}");
            assert!(text.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{why:?} {mode:?}");
        }
    }
}
