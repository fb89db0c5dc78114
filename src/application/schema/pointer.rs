//! JSON pointers (RFC 6901): the locations of faults in JSON.

use serde_path_to_error::{Path, Segment};

/// Returns the name of a member as a JSON pointer has it.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the JSON pointer of the path at which a value could not be read. The variant of an enum is no part of it.
pub(crate) fn of_path(path: &Path) -> String {
    let steps = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    steps.collect()
}
