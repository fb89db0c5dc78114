//! The limit on open files of the process, and the number of connections that fit into it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The file descriptors kept for everything but connections: the database, the log, and a few accepted connections for
/// which there is no room yet.
const RESERVED: u64 = 128;

/// Raises the limit on open files of this process to the most that the operating system allows it. Returns the limit;
/// `None` is unlimited.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Returns the limit that [`raise_file_limit`] can reach, and changes nothing; `None` is unlimited.
pub fn greatest_file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Returns the most connections, up to `wanted`, that fit into a limit on open files beside the files of the store.
pub fn connections_within(limit: Option<u64>, wanted: u32) -> u32 {
    let Some(limit) = limit else { return wanted };
    let reserved = RESERVED.min(limit / 2);
    u32::try_from(limit - reserved).unwrap_or(u32::MAX).min(wanted).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_files_of_the_store() {
        let fitting = [None, Some(1 << 20), Some(1024), Some(100), Some(0)];
        let fitting = fitting.map(|limit| connections_within(limit, 10_000));
        assert_eq!(fitting, [10_000, 10_000, 896, 50, 1]);
    }
}
