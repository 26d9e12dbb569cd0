//! `ProfileName`: the name of a profile that can have a service.

use crate::sys::Name;

/// Prefix of the names of slots.
pub const PREFIX: &str = "gateway-";
/// Longest name, in bytes. When the container stops, s6-linux-init-shutdownd renames every service to
/// `.s6-linux-init-shutdownd:SERVICE:XXXXXX`, 32 bytes more, and waits for ever if that is no file name (255 bytes); the prefix takes 8.
pub const LONGEST: usize = 215;

/// The name of a profile, `[a-z0-9][a-z0-9_-]{0,214}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileName {
    /// The slot's name: the prefix, and the profile's name.
    slot: Name,
}

impl ProfileName {
    /// Parses a name. The error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<ProfileName, &'static str> {
        if bytes.len() > LONGEST {
            return Err("name is longer than 215 bytes");
        }
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_plain =
            bytes.first().is_some_and(plain) && bytes.iter().all(|byte| plain(byte) || b"_-".contains(byte));
        let slot = Name::new([PREFIX.as_bytes(), bytes].concat()).filter(|_| is_plain);
        slot.map(|slot| ProfileName { slot }).ok_or(RULE)
    }

    /// Returns the profile whose slot has this service name. s6-supervise passes `gateway-coder`, and `gateway-coder/log` to the
    /// logger.
    pub fn of_service(service: &[u8]) -> Option<ProfileName> {
        let service = service.strip_suffix(b"/log").unwrap_or(service);
        ProfileName::parse(service.strip_prefix(PREFIX.as_bytes())?).ok()
    }

    /// Returns the root profile, `default`.
    pub fn root() -> ProfileName {
        ProfileName { slot: ROOT.clone() }
    }

    /// Returns whether this is the root profile.
    pub fn is_root(&self) -> bool {
        self.slot == ROOT
    }

    /// Returns the name.
    pub fn text(&self) -> &str {
        let name = self.slot.bytes().get(PREFIX.len()..).unwrap_or_default();
        // It is ASCII.
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Returns the name of its slot in the scan directory.
    pub fn slot(&self) -> &Name {
        &self.slot
    }
}

/// The slot of the root profile.
static ROOT: Name = Name::fixed(c"gateway-default");
const RULE: &str = "name is not [a-z0-9][a-z0-9_-]*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_services() {
        for name in ["a", "0", "coder", "a-b_c", "9-", &"x".repeat(215)] {
            assert_eq!(
                ProfileName::parse(name.as_bytes()).map(|name| name.text().to_owned()),
                Ok(name.to_owned())
            );
        }
        for name in ["", "-a", "_a", "Coder", "aB", "a.b", "a b", "a\n", "a/b", "a\0", "é", ".", ".."] {
            assert_eq!(ProfileName::parse(name.as_bytes()), Err(RULE), "{name:?}");
        }
        let long = ProfileName::parse("x".repeat(216).as_bytes());
        assert_eq!(long, Err("name is longer than 215 bytes"));
        assert!(ProfileName::parse(b"\xff").is_err());
    }

    #[test]
    fn a_service_name_leads_back_to_the_profile() {
        let of =
            |service: &str| ProfileName::of_service(service.as_bytes()).map(|name| name.text().to_owned());
        assert_eq!(of("gateway-coder").as_deref(), Some("coder"));
        assert_eq!(of("gateway-coder/log").as_deref(), Some("coder"));
        assert_eq!(of("gateway-log").as_deref(), Some("log"));
        for service in [
            "",
            "coder",
            "gateway-",
            "gateway-/log",
            "gateway-a/b",
            "gateway-a/log/log",
            "gateway-A",
            "xgateway-a",
            ".gateway-a",
            "gateway-a.tmp",
        ] {
            assert_eq!(of(service), None, "{service:?}");
        }
        assert_eq!(of(&format!("gateway-{}", "x".repeat(216))), None);
    }

    #[test]
    fn a_profile_has_a_slot_of_its_name() {
        for name in ["a", "default", "9_-", &"x".repeat(215)] {
            let profile = ProfileName::parse(name.as_bytes());
            let slot = profile.as_ref().map(|profile| profile.slot().bytes().to_vec());
            assert_eq!(slot, Ok(format!("gateway-{name}").into_bytes()));
            assert_eq!(profile.map(|profile| profile.is_root()), Ok(name == "default"), "{name}");
        }
        assert_eq!(ProfileName::parse(b"default"), Ok(ProfileName::root()));
    }
}
