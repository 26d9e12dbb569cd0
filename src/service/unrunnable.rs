//! Why a program that is there cannot be executed: execve(2) answers ENOENT, too, if what is missing is the interpreter of its `#!` line
//! or its loader, and ENOEXEC to all that it does not recognize.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::escape::FromVolume;
use crate::sys::{Errno, Reason, file, process};

/// How much of a file the kernel looks at for a `#!` line, in bytes (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;
/// How much of a file is read, in bytes: linkers put the name of the loader behind the program headers.
const START: usize = 4096;
/// How many interpreters of interpreters the kernel follows.
const DEPTH: usize = 5;

/// What a file is to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format<'a> {
    /// A script; its interpreter.
    Script(&'a [u8]),
    /// An ELF executable of 64 bits for this machine; its loader, if it names one.
    Elf(Option<&'a [u8]>),
    /// Something that the kernel does not execute; why, for people.
    Unknown(&'static str),
}

/// Returns why execve(2) has failed with this errno, for people: with what is in the file, where that is the cause. To be called as the
/// user who executes it.
pub fn reason(program: &Path, errno: Errno) -> Reason {
    let is_about_content = matches!(errno, Errno::NOENT | Errno::ACCESS | Errno::NOEXEC);
    let why = is_about_content.then(|| explain(program, errno, DEPTH)).flatten();
    why.map_or(errno.into(), Reason::from)
}

fn explain(program: &Path, errno: Errno, depth: usize) -> Option<String> {
    // A file that cannot be read can still be executed, and nothing is known of it.
    let start = file::read_system_start(program, START).ok()?;
    match format(&start) {
        Format::Script(interpreter) => of_needed(interpreter_of(interpreter), interpreter, errno, depth),
        Format::Elf(Some(loader)) => of_needed("its loader is", loader, errno, depth),
        Format::Elf(None) => None,
        Format::Unknown(why) => (errno == Errno::NOEXEC).then(|| why.to_owned()),
    }
}

/// Returns the words before the name of the interpreter of a `#!` line.
fn interpreter_of(interpreter: &[u8]) -> &'static str {
    if interpreter.ends_with(b"\r") {
        "its #! line ends with CRLF instead of LF, so its interpreter is"
    } else {
        "the interpreter of its #! line is"
    }
}

/// Returns what is wrong with what a program needs in order to be executed, if that is the cause.
fn of_needed(what: &str, needed: &[u8], errno: Errno, depth: usize) -> Option<String> {
    let path = Path::new(OsStr::from_bytes(needed));
    let found = match process::try_access(path) {
        Err(Errno::NOENT) if process::is_symlink(path) => {
            Some("a symlink to something that does not exist".to_owned())
        }
        Err(Errno::NOENT) => Some("which does not exist".to_owned()),
        Err(refused) => Some(format!("which cannot be executed: {}", Reason::from(refused))),
        // Else the program itself cannot be executed, as on a file system that is mounted noexec.
        Ok(()) if errno == Errno::ACCESS => match file::read_system_start(path, 0) {
            Err(reason @ Reason::Rule(_)) => Some(format!("which cannot be executed: {reason}")),
            _ => None,
        },
        // The cause is one step further.
        Ok(()) => depth
            .checked_sub(1)
            .and_then(|depth| explain(path, errno, depth))
            .map(|why| format!("which cannot be executed: {why}")),
    };
    found.map(|found| format!("{what} {}, {found}", FromVolume(needed)))
}

/// Returns what a file that begins so is to the kernel.
fn format(start: &[u8]) -> Format<'_> {
    if let Some(line) = start.strip_prefix(b"#!") {
        script(line)
    } else if let Some(elf) = Elf::parse(start) {
        elf
    } else if start.is_empty() {
        Format::Unknown("it is empty")
    } else if start.starts_with(b"\xef\xbb\xbf#!") {
        Format::Unknown("a byte order mark is before its #! line")
    } else if start.starts_with(b"\x7fELF") {
        if MACHINE.is_some() {
            Format::Unknown("it is an executable for another kind of machine")
        } else {
            Format::Elf(None)
        }
    } else {
        Format::Unknown("it is neither an executable nor a script with a #! line")
    }
}

/// Reads what follows `#!`, as the kernel does.
fn script(line: &[u8]) -> Format<'_> {
    let seen = line.get(..LINE - 2).unwrap_or(line);
    let line = seen.split(|byte| *byte == b'\n').next().unwrap_or(seen);
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let word = line.iter().position(|byte| !is_blank(byte)).and_then(|begin| line.get(begin..));
    let word = word.unwrap_or_default();
    let end = word.iter().position(|byte| is_blank(byte) || *byte == 0);
    match end {
        Some(0) => Format::Unknown("its #! line names no interpreter"),
        Some(end) => Format::Script(word.get(..end).unwrap_or_default()),
        None if word.is_empty() => Format::Unknown("its #! line names no interpreter"),
        // The name may go on where the kernel does not look.
        None if line.len() == LINE - 2 => Format::Unknown("its #! line is longer than the kernel reads"),
        None => Format::Script(word),
    }
}

/// This machine in an ELF file of 64 bits: elf(5). `None` if that is not known here, and then no file is said to be for another one.
const MACHINE: Option<u64> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else {
    None
};

/// Reads of an ELF file what decides whether it is executed: elf(5).
struct Elf;

impl Elf {
    /// Returns the format if it is an ELF file of 64 bits for this machine, in its byte order.
    fn parse(start: &[u8]) -> Option<Format<'_>> {
        const CLASS_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
        let is_ours = start.starts_with(CLASS_64_LITTLE_ENDIAN) && number(start, 18, 2) == MACHINE;
        is_ours.then(|| Format::Elf(Elf::loader(start)))
    }

    fn loader(start: &[u8]) -> Option<&[u8]> {
        const INTERP: u64 = 3;
        let (table, size, count) = (number(start, 32, 8)?, number(start, 54, 2)?, number(start, 56, 2)?);
        // No header begins beyond what has been read.
        let headers = (0..count).map_while(|index| index.checked_mul(size)?.checked_add(table));
        let header = headers
            .map_while(|at| usize::try_from(at).ok().filter(|at| *at < START))
            .find(|at| number(start, *at, 4) == Some(INTERP))?;
        let from = usize::try_from(number(start, header + 8, 8)?).ok()?;
        let length = usize::try_from(number(start, header + 32, 8)?).ok()?;
        let name = start.get(from..from.checked_add(length)?)?;
        name.strip_suffix(b"\0").filter(|name| !name.is_empty())
    }
}

/// Returns the little-endian number of `size` bytes, 8 at most, at an offset.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(size)?)?;
    Some(digits.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Format<'_> = Format::Unknown("its #! line names no interpreter");

    #[test]
    fn a_script_names_its_interpreter_as_the_kernel_reads_it() {
        let long = |length: usize| [&b"#!/"[..], &vec![b'x'; length], b"\n"].concat();
        let name = |length: usize| [&b"/"[..], &vec![b'x'; length]].concat();
        let (fits, fits_name) = (long(252), name(252));
        for (start, expected) in [
            (&b"#!/bin/sh\nexit\n"[..], Format::Script(b"/bin/sh")),
            (b"#!/bin/sh", Format::Script(b"/bin/sh")),
            (b"#! \t /bin/sh -e \n", Format::Script(b"/bin/sh")),
            (b"#!/bin/sh\r\nexit\r\n", Format::Script(b"/bin/sh\r")),
            (b"#!/usr/bin/env python3\r\n", Format::Script(b"/usr/bin/env")),
            (b"#!/bin/sh\0x\n", Format::Script(b"/bin/sh")),
            (b"#!", NONE),
            (b"#!\n/bin/sh\n", NONE),
            (b"#! \t\n", NONE),
            (&fits, Format::Script(&fits_name)),
            (&long(253), Format::Unknown("its #! line is longer than the kernel reads")),
            (&long(4000), Format::Unknown("its #! line is longer than the kernel reads")),
        ] {
            assert_eq!(format(start), expected, "{start:?}");
        }
    }

    /// An ELF file with one program header behind its own.
    fn elf(machine: u8, kind: u8, name: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[18], file[32], file[54], file[56]) = (machine, 64, 56, 1);
        (file[64], file[72], file[96]) = (kind, 120, u8::try_from(name.len()).unwrap());
        [&file, name].concat()
    }

    #[test]
    fn an_executable_names_its_loader() {
        // x86-64 and arm64: elf(5).
        let (ours, theirs) = if cfg!(target_arch = "aarch64") { (183, 62) } else { (62, 183) };
        let other = Format::Unknown("it is an executable for another kind of machine");
        for (start, expected) in [
            (elf(ours, 3, b"/lib64/ld.so\0"), Format::Elf(Some(b"/lib64/ld.so"))),
            (elf(ours, 1, b"/lib64/ld.so\0"), Format::Elf(None)),
            (elf(ours, 3, b"/lib64/ld.so"), Format::Elf(None)),
            (elf(ours, 3, b"\0"), Format::Elf(None)),
            (elf(theirs, 3, b"/lib/ld.so\0"), other),
        ] {
            assert_eq!(format(&start), expected);
        }
        let whole = elf(ours, 3, b"/lib64/ld.so\0");
        for length in 0..whole.len() {
            assert!(!matches!(format(&whole[..length]), Format::Elf(Some(_))), "{length}");
        }
        assert_eq!(format(b"\x7fELF\x01\x01"), other);
        // Headers beyond the file, and numbers that overflow.
        let mut wild = elf(ours, 3, b"x\0");
        wild[32..40].fill(0xff);
        assert_eq!(format(&wild), Format::Elf(None));
        wild[72..80].fill(0xff);
        assert_eq!(format(&wild), Format::Elf(None));
    }

    #[test]
    fn what_is_neither_is_said() {
        for (start, expected) in [
            (&b""[..], "it is empty"),
            (b"\xef\xbb\xbf#!/bin/sh\n", "a byte order mark is before its #! line"),
            (b"echo\n", "it is neither an executable nor a script with a #! line"),
            (b"#", "it is neither an executable nor a script with a #! line"),
        ] {
            assert_eq!(format(start), Format::Unknown(expected));
        }
    }

    #[test]
    fn crlf_is_named_because_nobody_sees_it() {
        assert_eq!(interpreter_of(b"/bin/sh"), "the interpreter of its #! line is");
        let crlf = "its #! line ends with CRLF instead of LF, so its interpreter is";
        assert_eq!(interpreter_of(b"/bin/sh\r"), crlf);
    }
}
