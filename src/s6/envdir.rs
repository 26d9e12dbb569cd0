//! A slot's `env`: one file for each variable, as s6-envdir(1) reads environments.

use super::Policy;
use super::servicedir::ENV;
use crate::sys::{Dir, Errno, Name, Ownership, Reason, file, present};

/// A variable: its key and the content of its file, see [`encode`] and [`decode`].
pub type Variable = (Name, Vec<u8>);

/// Largest value that is read, in bytes: Linux's limit for one string of an environment.
const VALUE_CAP: u64 = 128 << 10;

/// Largest environment that a slot's successor takes over, in bytes: Linux's limit for the command line of a registration.
const SLOT_CAP: u64 = 2 << 20;

/// Returns whether a file's name can be a key: it has no `=`, and no leading dot, which s6-envdir skips.
fn is_key(name: &[u8]) -> bool {
    !name.starts_with(b".") && !name.contains(&b'=')
}

/// Parses a key that a registration accepts: a POSIX name, `[A-Za-z_][A-Za-z0-9_]*`, of at most 255 bytes.
pub fn new_key(bytes: &[u8]) -> Option<Name> {
    let starts = bytes.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_');
    let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if starts && plain && bytes.len() <= 255 { Name::new(bytes) } else { None }
}

/// Returns the value in a file of an environment directory. `s6-envdir -f` takes the whole file without one newline at its end,
/// and reads NUL as newline. An empty file is `None`: the variable is removed.
pub fn decode(mut content: Vec<u8>) -> Option<Vec<u8>> {
    if content.is_empty() {
        return None;
    }
    if content.last() == Some(&b'\n') {
        content.pop();
    }
    Some(content.into_iter().map(|byte| if byte == 0 { b'\n' } else { byte }).collect())
}

/// Returns the content of a file for a value; the inverse of [`decode`].
pub fn encode(value: &[u8]) -> Vec<u8> {
    [value, b"\n"].concat()
}

/// Adds a variable `KEY=VALUE`; one that has the key already is replaced. The error says what is wrong with the text.
pub fn add(variables: &mut Vec<Variable>, text: &[u8]) -> Result<(), &'static str> {
    let equals = text.iter().position(|byte| *byte == b'=').ok_or("it is not of the form KEY=VALUE")?;
    let (key, value) = text.split_at(equals);
    let key = new_key(key).ok_or("the key is not [A-Za-z_][A-Za-z0-9_]*, at most 255 bytes")?;
    variables.retain(|(present, _)| *present != key);
    variables.push((key, encode(value.get(1..).unwrap_or_default())));
    Ok(())
}

/// Returns the keys in an environment directory, in byte order. Skips other entries (a leading dot, a `=` in the name).
fn keys(dir: &Dir) -> Result<impl Iterator<Item = Name> + use<>, Errno> {
    Ok(dir.names()?.into_iter().filter(|name| is_key(name.bytes())))
}

/// Returns an iterator over the variables of an environment directory, in byte order of the keys: each with the content of its file, or
/// the reason why that cannot be read.
pub fn read(dir: &Dir) -> Result<impl Iterator<Item = (Name, Result<Vec<u8>, Reason>)>, Errno> {
    Ok(keys(dir)?.map(|key| {
        let content = file::read(dir, &key, VALUE_CAP);
        (key, content)
    }))
}

/// Returns the variables in a slot's `env` that its successor takes over. Skips what no registration can have put there: what is not
/// a regular file, a file with another hard link (it could be root's), and what exceeds the limit. Fails if a variable cannot be read.
pub fn of_slot(slot: &Dir) -> Result<Vec<Variable>, Reason> {
    let (mut variables, mut room) = (Vec::new(), SLOT_CAP);
    let Some(dir) = present(slot.dir(&ENV))? else { return Ok(variables) };
    for key in keys(&dir)? {
        match file::read_meta(&dir, &key, VALUE_CAP.min(room)) {
            Ok((content, meta)) if meta.links == 1 => {
                room -= content.len() as u64;
                variables.push((key, content));
            }
            Ok(_) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT)) => (),
            Err(reason) => return Err(reason),
        }
    }
    Ok(variables)
}

/// Writes variables into a new environment directory, with the owner and modes of the policy.
pub fn write(dir: &Dir, vars: &[Variable], policy: &Policy, ownership: &Ownership) -> Result<(), Errno> {
    for (key, content) in vars {
        let variable = file::create(dir, key, policy.variable, content)?;
        ownership.change(&variable, policy.supervise_owner)?;
    }
    dir.chmod(policy.env)?;
    ownership.change(dir, policy.supervise_owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_its_file() {
        for value in [&b""[..], b"x", b"a\nb", b"\n", b"x\n\n", b" \t\"'$\\", b"\xff\x01"] {
            assert_eq!(decode(encode(value)), Some(value.to_vec()));
        }
        assert_eq!(decode(Vec::new()), None);
        assert_eq!(decode(b"a\0b".to_vec()), Some(b"a\nb".to_vec()));
    }

    #[test]
    fn a_name_that_s6_envdir_skips_is_not_a_key() {
        for bad in [".x", "a=b", "..", "="] {
            assert!(!is_key(bad.as_bytes()), "{bad:?}");
        }
        for bad in ["", "1A", "A-B", "A B", "A.B", "é"] {
            assert!(new_key(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(new_key(b"_a9Z").is_some());
        for good in ["A", "a.b", "A B", "é"] {
            assert!(is_key(good.as_bytes()), "{good:?}");
        }
    }
}
