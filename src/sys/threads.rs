//! The same work for many things at once, by a few plain threads. They have the credentials of the thread that starts them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

/// Largest number of threads. The pids limit of a container, or a seccomp filter, may permit fewer, and then there are fewer.
pub const MOST: usize = 8;
/// Size of the stack of a further thread, in bytes. It counts as memory of the process (`RLIMIT_DATA`), used or not, and with std's 2 MiB the
/// threads would take more than all else.
const STACK: usize = 256 << 10;

/// Calls `work` for each item. Returns the results in the order of the items. At most `count` threads work at once: this one, and those that
/// can be started.
pub fn map<T: Sync, R: Send>(items: &[T], count: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if count.min(items.len()) <= 1 {
        return items.iter().map(work).collect();
    }
    let done = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    at_once(count.min(items.len()), &|| {
        while let Some((at, item)) = take(items, &next) {
            let result = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Returns the next item, which no other thread has, and its place.
fn take<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    items.get(at).map(|item| (at, item))
}

/// Calls `work` in this thread and in others, `count` together or as many as can be started, and returns when all have ended.
fn at_once(count: usize, work: &(dyn Fn() + Sync)) {
    scope(|scope| {
        for _ in 1..count {
            // Where no further thread can be had, those that there are do the work.
            if Builder::new().stack_size(STACK).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread::{self, ThreadId};

    use super::*;

    #[test]
    fn the_results_have_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        let expected: Vec<usize> = items.iter().map(|item| item * 2).collect();
        for count in [0, 1, 2, 3, MOST, 2000] {
            assert_eq!(map(&items, count, |item| item * 2), expected, "{count}");
        }
        assert!(map(&[0; 0], MOST, |item| item * 2).is_empty());
    }

    #[test]
    fn as_many_threads_work_at_once_as_are_asked_for() {
        let ids: Mutex<BTreeSet<String>> = Mutex::default();
        let text = |id: ThreadId| format!("{id:?}");
        // Each item waits for all others.
        let barrier = Barrier::new(3);
        map(&[1, 2, 3], 3, |_| {
            barrier.wait();
            ids.lock().map(|mut ids| ids.insert(text(thread::current().id()))).is_ok_and(|is_new| is_new)
        });
        assert_eq!(ids.lock().map(|ids| ids.len()).ok(), Some(3));
        let here = text(thread::current().id());
        assert_eq!(map(&[1, 2, 3], 1, |_| text(thread::current().id()) == here), [true; 3]);
    }
}
