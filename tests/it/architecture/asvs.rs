//! `docs/ASVS.md` has each requirement of OWASP ASVS 5.0 of the levels 1 and 2, with tests that exist or a reason, and
//! some of level 3 with tests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, documents, sources};

/// The requirements of the levels 1 (with a star) and 2.
const REQUIREMENTS: &str = "\
    1.1.1 1.1.2 1.2.1* 1.2.2* 1.2.3* 1.2.4* 1.2.5* 1.2.6 1.2.7 1.2.8 1.2.9 1.3.1* 1.3.2* 1.3.3 1.3.4 1.3.5 1.3.6 \
    1.3.7 1.3.8 1.3.9 1.3.10 1.3.11 1.4.1 1.4.2 1.4.3 1.5.1* 1.5.2 2.1.1* 2.1.2 2.1.3 2.2.1* 2.2.2* 2.2.3 2.3.1* \
    2.3.2 2.3.3 2.3.4 2.4.1 3.2.1* 3.2.2* 3.3.1* 3.3.2 3.3.3 3.3.4 3.4.1* 3.4.2* 3.4.3 3.4.4 3.4.5 3.4.6 3.5.1* \
    3.5.2* 3.5.3* 3.5.4 3.5.5 3.7.1 3.7.2 4.1.1* 4.1.2 4.1.3 4.2.1 4.3.1 4.3.2 4.4.1* 4.4.2 4.4.3 4.4.4 5.1.1 \
    5.2.1* 5.2.2* 5.2.3 5.3.1* 5.3.2* 5.4.1 5.4.2 5.4.3 6.1.1* 6.1.2 6.1.3 6.2.1* 6.2.2* 6.2.3* 6.2.4* 6.2.5* \
    6.2.6* 6.2.7* 6.2.8* 6.2.9 6.2.10 6.2.11 6.2.12 6.3.1* 6.3.2* 6.3.3 6.3.4 6.4.1* 6.4.2* 6.4.3 6.4.4 6.5.1 \
    6.5.2 6.5.3 6.5.4 6.5.5 6.6.1 6.6.2 6.6.3 6.8.1 6.8.2 6.8.3 6.8.4 7.1.1 7.1.2 7.1.3 7.2.1* 7.2.2* 7.2.3* \
    7.2.4* 7.3.1 7.3.2 7.4.1* 7.4.2* 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 7.6.1 7.6.2 8.1.1* 8.1.2 8.2.1* 8.2.2* 8.2.3 \
    8.3.1* 8.4.1 9.1.1* 9.1.2* 9.1.3* 9.2.1* 9.2.2 9.2.3 9.2.4 10.1.1 10.1.2 10.2.1 10.2.2 10.3.1 10.3.2 10.3.3 \
    10.3.4 10.4.1* 10.4.2* 10.4.3* 10.4.4* 10.4.5* 10.4.6 10.4.7 10.4.8 10.4.9 10.4.10 10.4.11 10.5.1 10.5.2 \
    10.5.3 10.5.4 10.5.5 10.6.1 10.6.2 10.7.1 10.7.2 10.7.3 11.1.1 11.1.2 11.2.1 11.2.2 11.2.3 11.3.1* 11.3.2* \
    11.3.3 11.4.1* 11.4.2 11.4.3 11.4.4 11.5.1 11.6.1 12.1.1* 12.1.2 12.1.3 12.2.1* 12.2.2* 12.3.1 12.3.2 12.3.3 \
    12.3.4 13.1.1 13.2.1 13.2.2 13.2.3 13.2.4 13.2.5 13.3.1 13.3.2 13.4.1* 13.4.2 13.4.3 13.4.4 13.4.5 14.1.1 \
    14.1.2 14.2.1* 14.2.2 14.2.3 14.2.4 14.3.1* 14.3.2 14.3.3 15.1.1* 15.1.2 15.1.3 15.2.1* 15.2.2 15.2.3 \
    15.3.1* 15.3.2 15.3.3 15.3.4 15.3.5 15.3.6 15.3.7 16.1.1 16.2.1 16.2.2 16.2.3 16.2.4 16.2.5 16.3.1 16.3.2 \
    16.3.3 16.3.4 16.4.1 16.4.2 16.4.3 16.5.1 16.5.2 16.5.3 17.1.1 17.2.1 17.2.2 17.2.3 17.2.4 17.3.1 17.3.2";

/// The requirements of level 3, of which the map has those that are met.
const OF_LEVEL_3: &str = "\
    1.2.10 1.3.12 1.5.3 2.3.5 2.4.2 3.1.1 3.2.3 3.3.5 3.4.7 3.4.8 3.5.6 3.5.7 3.5.8 3.6.1 3.7.3 3.7.4 3.7.5 \
    4.1.4 4.1.5 4.2.2 4.2.3 4.2.4 4.2.5 5.2.4 5.2.5 5.2.6 5.3.3 6.3.5 6.3.6 6.3.7 6.3.8 6.4.5 6.4.6 6.5.6 6.5.7 \
    6.5.8 6.6.4 6.7.1 6.7.2 7.5.3 8.1.3 8.1.4 8.2.4 8.3.2 8.3.3 8.4.2 10.2.3 10.3.5 10.4.12 10.4.13 10.4.14 \
    10.4.15 10.4.16 11.1.3 11.1.4 11.2.4 11.2.5 11.3.4 11.3.5 11.5.2 11.6.2 11.7.1 11.7.2 12.1.4 12.1.5 12.3.5 \
    13.1.2 13.1.3 13.1.4 13.2.6 13.3.3 13.3.4 13.4.6 13.4.7 14.2.5 14.2.6 14.2.7 14.2.8 15.1.4 15.1.5 15.2.4 \
    15.2.5 15.4.1 15.4.2 15.4.3 15.4.4 16.5.4 17.1.2 17.2.5 17.2.6 17.2.7 17.2.8";

/// The verdicts, and whether each needs tests; the others need a reason.
const VERDICTS: [(&str, bool); 5] =
    [("tested", true), ("by design", false), ("operator", false), ("not applicable", false), ("gap", false)];

/// What is wrong with the map, where these tests exist.
fn faults(map: &str, tests: &BTreeSet<&str>) -> Vec<String> {
    let mut missing: BTreeMap<String, &str> = REQUIREMENTS
        .split_whitespace()
        .map(|id| match id.strip_suffix('*') {
            Some(id) => (format!("V{id}"), "1"),
            None => (format!("V{id}"), "2"),
        })
        .collect();
    let mut of_level_3: BTreeSet<_> = OF_LEVEL_3.split_whitespace().map(|id| format!("V{id}")).collect();
    let mut faults = Vec::new();
    let mut numbers = [0; VERDICTS.len()];
    for line in map.lines().filter(|line| line.starts_with("| V")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, level, verdict, evidence] = cells[..] else {
            faults.push(format!("{line}: four cells"));
            continue;
        };
        let is_of_level_3 = level == "3" && of_level_3.remove(id);
        if !is_of_level_3 && missing.remove(id) != Some(level) {
            faults.push(format!("{id}: unknown, there twice, or of another level"));
        }
        let named: Vec<_> = evidence.split('`').skip(1).step_by(2).filter(|name| is_test(name)).collect();
        faults.extend(
            named.iter().filter(|name| !tests.contains(*name)).map(|name| format!("{id}: no test {name}")),
        );
        let position = VERDICTS.iter().position(|(name, _)| *name == verdict);
        if is_of_level_3 && verdict != "tested" {
            faults.push(format!("{id}: of level 3, the map has what is tested"));
        }
        if let Some(position) = position.filter(|_| !is_of_level_3) {
            numbers[position] += 1;
        }
        match position.map(|position| VERDICTS[position]) {
            Some((_, true)) if named.is_empty() => faults.push(format!("{id}: no test")),
            Some((_, false)) if evidence.is_empty() => faults.push(format!("{id}: no reason")),
            Some(_) => {}
            None => faults.push(format!("{id}: no verdict")),
        }
    }
    let counted = VERDICTS.iter().zip(numbers).map(|((name, _), number)| format!("{number} {name}"));
    let sentence = format!("There are {}.", counted.collect::<Vec<_>>().join(", "));
    if !map.contains(&sentence) {
        faults.push(format!("the sentence with the numbers is not: {sentence}"));
    }
    faults.extend(missing.keys().map(|id| format!("{id}: missing")));
    faults
}

/// Whether a name is that of a test, which is a sentence; others are settings, files and commands.
fn is_test(name: &str) -> bool {
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_name && name.matches('_').count() > 1
}

/// The names of functions that are marked as tests, and those that a macro runs on each engine.
fn tests(sources: &[Source]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for source in sources {
        let mut before = "";
        for line in source.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let declared = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = declared.and_then(|rest| rest.split('(').next())
                && (before.starts_with("#[test")
                    || before.starts_with("#[tokio::test")
                    || before.ends_with("));")
                    || before.ends_with(");"))
            {
                names.insert(name);
            }
            before = line;
        }
    }
    names
}

#[test]
fn every_requirement_of_the_levels_1_and_2_has_a_test_or_a_reason() {
    let sources = sources();
    let documents = documents();
    let map = documents.iter().find(|document| document.path == "docs/ASVS.md").unwrap();
    let faults = faults(&map.text, &tests(&sources));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_gap_of_the_map_is_found() {
    let sources = [Source { path: String::new(), text: "#[test]\nfn a_test_that_is_here() {}\n".into() }];
    let tests = tests(&sources);
    let faults = |line: &str| -> Vec<String> {
        let of_line = |fault: &String| fault.starts_with("V1.1.1:") || fault.starts_with("V99");
        faults(line, &tests).into_iter().filter(of_line).collect()
    };
    assert_eq!(faults(""), ["V1.1.1: missing"]);
    assert_eq!(faults("| V1.1.1 | 2 | tested | `a_test_that_is_here`; why |"), [""; 0]);
    assert_eq!(faults("| V1.1.1 | 2 | tested | `a_test_that_is_gone` |").len(), 1);
    assert_eq!(faults("| V1.1.1 | 2 | tested | `http.body` |"), ["V1.1.1: no test"]);
    assert_eq!(faults("| V1.1.1 | 2 | gap | |"), ["V1.1.1: no reason"]);
    assert_eq!(faults("| V1.1.1 | 2 | fine | yes |"), ["V1.1.1: no verdict"]);
    assert_eq!(faults("| V1.1.1 | 1 | gap | yes |").len(), 1);
    assert_eq!(faults("| V99.1.1 | 1 | gap | yes |").len(), 2);
    let of_level_3 = |line: &str| -> usize {
        self::faults(line, &tests).iter().filter(|fault| fault.starts_with("V1.5.3:")).count()
    };
    let met = "| V1.5.3 | 3 | tested | `a_test_that_is_here` |";
    assert_eq!((of_level_3(""), of_level_3(met)), (0, 0));
    for wrong in [
        "| V1.5.3 | 3 | tested | `a_test_that_is_gone` |",
        "| V1.5.3 | 3 | by design | why |",
        "| V1.5.3 | 2 | tested | `a_test_that_is_here` |",
        &format!("{met}\n{met}"),
    ] {
        assert_eq!(of_level_3(wrong), 1, "{wrong}");
    }
}
