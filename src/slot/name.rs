//! `ProfileName`: a profile's name that can be a service's.

use crate::sys::Name;

/// What precedes a profile's name in its slot's.
pub const PREFIX: &str = "gateway-";
/// Longest name, in bytes: s6-svscan refuses service names of more than 251, and the prefix takes 8.
pub const LONGEST: usize = 243;

/// The name of a profile, `[a-z0-9][a-z0-9_-]{0,242}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileName {
    /// The slot's name; the profile's is what stands behind the prefix.
    slot: Name,
}

impl ProfileName {
    /// A name from outside, or why it is none.
    pub fn parse(bytes: &[u8]) -> Result<ProfileName, &'static str> {
        if bytes.len() > LONGEST {
            return Err("name is longer than 243 bytes");
        }
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match bytes {
            [first, rest @ ..]
                if plain(first) && rest.iter().all(|byte| plain(byte) || b"_-".contains(byte)) =>
            {
                Name::new([PREFIX.as_bytes(), bytes].concat()).map(|slot| ProfileName { slot }).ok_or(RULE)
            }
            _ => Err(RULE),
        }
    }

    /// The profile whose slot has this service name, which s6-supervise gives as `gateway-coder` and, to a logger, as
    /// `gateway-coder/log`.
    pub fn of_service(service: &[u8]) -> Option<ProfileName> {
        let service = service.strip_suffix(b"/log").unwrap_or(service);
        ProfileName::parse(service.strip_prefix(PREFIX.as_bytes())?).ok()
    }

    /// The root profile.
    pub fn root() -> ProfileName {
        ProfileName { slot: ROOT }
    }

    /// Whether this is the root profile.
    pub fn is_root(&self) -> bool {
        self.slot == ROOT
    }

    /// The name.
    pub fn text(&self) -> &'static str {
        let name = self.slot.bytes().get(PREFIX.len()..).unwrap_or_default();
        // It is ASCII.
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// The name of its slot in the scan directory.
    pub fn slot(&self) -> &Name {
        &self.slot
    }
}

/// The root profile's slot.
static ROOT: Name = Name::fixed(c"gateway-default");
const RULE: &str = "name is not [a-z0-9][a-z0-9_-]*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_services() {
        for name in ["a", "0", "coder", "a-b_c", "9-", &"x".repeat(243)] {
            assert_eq!(
                ProfileName::parse(name.as_bytes()).map(|name| name.text().to_owned()),
                Ok(name.to_owned())
            );
        }
        for name in ["", "-a", "_a", "Coder", "a.b", "a b", "a\n", "a/b", "é", &"x".repeat(244)] {
            assert!(ProfileName::parse(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(ProfileName::parse(b"\xff").is_err());
    }

    #[test]
    fn a_service_name_leads_back_to_the_profile() {
        let of =
            |service: &str| ProfileName::of_service(service.as_bytes()).map(|name| name.text().to_owned());
        assert_eq!(of("gateway-coder").as_deref(), Some("coder"));
        assert_eq!(of("gateway-coder/log").as_deref(), Some("coder"));
        assert_eq!(of("coder"), None);
        assert_eq!(of("gateway-"), None);
        assert_eq!(of("gateway-a/b"), None);
    }
}
