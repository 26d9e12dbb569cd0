//! A slot's `env`: one file a variable, as s6-envdir(1) keeps environments.

use super::layout::{ENV, Policy};
use crate::error::Reason;
use crate::sys::keep::{self, Bytes};
use crate::sys::{Chowner, Dir, Errno, Name, file};

/// A variable: its key, which [`key`] took, and its file's content, see [`encode`] and [`decode`].
pub type Variable = (Name, Bytes);

/// Largest value that is read, in bytes: what Linux takes for one string of an environment.
const VALUE_CAP: u64 = 128 << 10;

/// What is kept of a slot's environment, in bytes: a registration has it on its command line, and Linux takes no longer one.
const KEPT_CAP: u64 = 2 << 20;

/// Whether a file's name can be a variable's: no `=`, and no leading dot, which s6-envdir passes over.
fn is_key(name: &[u8]) -> bool {
    !name.starts_with(b".") && !name.contains(&b'=')
}

/// A key that a registration takes: a name as POSIX has it for environment variables, `[A-Za-z_][A-Za-z0-9_]*`, that fits a
/// file's name.
pub fn new_key(bytes: &[u8]) -> Option<Name> {
    let starts = bytes.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_');
    let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if starts && plain && bytes.len() <= 255 { Name::new(bytes) } else { None }
}

/// What a file of an environment directory holds for a value: `s6-envdir -f` takes the whole file but for one newline at its
/// end, and reads NUL as newline. An empty file is `None`: the variable is to be unset.
pub fn decode(mut content: Vec<u8>) -> Option<Vec<u8>> {
    if content.is_empty() {
        return None;
    }
    if content.last() == Some(&b'\n') {
        content.pop();
    }
    for byte in &mut content {
        if *byte == 0 {
            *byte = b'\n';
        }
    }
    Some(content)
}

/// The file's content for a value; the inverse of [`decode`].
pub fn encode(value: &[u8]) -> Bytes {
    keep::bytes(&[value, b"\n"])
}

/// Calls `each` with the key and the file's content, or why it cannot be read, of every variable of an environment directory, in
/// byte order of the keys. What is no variable (a dot-name, a key with `=`) is passed over.
pub fn read(dir: &Dir, each: &mut dyn FnMut(Name, Result<Vec<u8>, Reason>)) -> Result<(), Errno> {
    for name in dir.names()?.into_iter().filter(|name| is_key(name.bytes())) {
        each(name, file::read(dir, &name, VALUE_CAP));
    }
    Ok(())
}

/// What a slot keeps in `env`, for its successor. What no registration can have put there is not taken along: what is no
/// regular file or cannot be read, a file that has another name (it could be root's), and what is beyond the cap.
pub fn kept(slot: &Dir) -> Vec<Variable> {
    let (mut kept, mut room) = (Vec::new(), KEPT_CAP);
    let Ok(dir) = slot.dir(&ENV) else { return kept };
    let names = dir.names().unwrap_or_default();
    for key in names.into_iter().filter(|name| is_key(name.bytes())) {
        if let Ok((content, meta)) = file::read_meta(&dir, &key, VALUE_CAP.min(room))
            && meta.links == 1
        {
            room -= content.len() as u64;
            kept.push((key, content.leak() as Bytes));
        }
    }
    kept
}

/// Writes variables into a new environment directory and gives it and them to who may read them.
pub fn write(dir: &Dir, vars: &[Variable], policy: &Policy, chowner: &Chowner) -> Result<(), Errno> {
    let (mode, file_mode) = policy.env;
    for (key, content) in vars {
        let made = file::create(dir, key, file_mode, content)?;
        chowner.give(&made, policy.skeleton)?;
    }
    dir.chmod(mode)?;
    chowner.give(dir, policy.skeleton)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_its_file() {
        for value in [&b""[..], b"x", b"a\nb", b"\n", b"x\n\n", b" \t\"'$\\", b"\xff\x01"] {
            assert_eq!(decode(encode(value).to_vec()), Some(value.to_vec()));
        }
        assert_eq!(decode(Vec::new()), None);
        assert_eq!(decode(b"a\0b".to_vec()), Some(b"a\nb".to_vec()));
    }

    #[test]
    fn keys_that_s6_envdir_would_pass_over_are_none() {
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
