//! Who traces a process. A traced process that has ended stays a zombie, of which its parent is not told, for as long as its tracer wants.

use std::path::Path;

use super::number::decimal;
use super::proc::{COMM, ProcessFile, STATUS};
use super::{Dir, Errno, Name};

/// A process that traces another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracer {
    /// Its process ID.
    pub pid: u64,
    /// Its name, which it has chosen; empty if it is not known.
    pub name: Vec<u8>,
}

/// Largest number of threads that are looked at.
const THREADS: usize = 1000;
static TASK: Name = Name::fixed(c"task");

/// Returns the process that traces a thread of a process, if there is one that this process can see.
pub fn of(pid: u64) -> Option<Tracer> {
    let proc = Dir::at(Path::new("/proc")).ok()?;
    let tasks = proc.open_path(&Name::new(pid.to_string())?).and_then(|process| process.dir(&TASK)).ok()?;
    // One traced thread keeps the whole process.
    let threads = tasks.entries().ok()?.take(THREADS);
    let pid = threads
        .filter_map(Result::ok)
        .find_map(|thread| tracer_in(&read(&tasks, &thread.name, STATUS).ok()?))?;
    let mut name = read(&proc, &Name::new(pid.to_string())?, COMM).unwrap_or_default();
    name.pop_if(|last| *last == b'\n');
    Some(Tracer { pid, name })
}

fn read(dir: &Dir, process: &Name, file: &str) -> Result<Vec<u8>, Errno> {
    ProcessFile::open(dir, process, file)?.start(&mut [0; 4096]).map(<[u8]>::to_vec)
}

/// Returns the process ID of the tracer in a status of /proc.
fn tracer_in(status: &[u8]) -> Option<u64> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let pid = lines.find_map(|line| line.strip_prefix(b"TracerPid:\t"))?;
    decimal(pid).filter(|pid| *pid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_is_read_from_a_status() {
        for (status, expected) in [
            ("Name:\tsh\nPPid:\t1\nTracerPid:\t77\nUid:\t0\t0\t0\t0\n", Some(77)),
            ("TracerPid:\t0\n", None),
            ("Name:\tTracerPid:\t7\nTracerPid:\t0\n", None),
            ("Name:\tsh\n", None),
            ("TracerPid:\tx\n", None),
            ("", None),
        ] {
            assert_eq!(tracer_in(status.as_bytes()), expected, "{status:?}");
        }
    }
}
