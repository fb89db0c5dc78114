//! The parsers of the fuzz targets, over their seeds: without the fuzzer, and with the stable toolchain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/parsers.rs"]
mod parsers;

use self::parsers::PARSERS;

/// The most positions at which a seed is cut and damaged.
const POSITIONS: usize = 50;

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".rs", "")).collect()
}

#[test]
fn every_parser_has_a_target_and_seeds() {
    let parsers: BTreeSet<_> = PARSERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(parsers.len(), PARSERS.len());
    assert_eq!(names("fuzz_targets"), parsers);
    assert_eq!(names("seeds"), parsers);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for (name, _) in PARSERS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(!names(&format!("seeds/{name}")).is_empty(), "{name}");
    }
}

#[test]
fn no_parser_panics_at_its_seeds_cut_or_damaged() {
    for (name, parse) in PARSERS {
        for seed in names(&format!("seeds/{name}")) {
            let bytes = fs::read(fuzz("seeds").join(name).join(&seed)).unwrap();
            parse(&bytes);
            for position in (0..bytes.len()).step_by(bytes.len() / POSITIONS + 1) {
                parse(&bytes[..position]);
                for byte in [0, b'"', b'=', 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[position] = byte;
                    parse(&damaged);
                }
            }
        }
    }
}
