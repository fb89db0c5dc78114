//! The lengths of files and of comments.

use super::Source;

const MOST_LINES: usize = 400;
const MOST_COLUMNS: usize = 120;

/// A file has at most 400 lines, and its comments at most 120 columns.
pub fn sizes(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| source.text.lines().count();
    let long = sources.iter().filter(|source| lines(source) > MOST_LINES);
    let long = long.map(|source| format!("{}: {} lines, more than {MOST_LINES}", source.path, lines(source)));
    long.chain(sources.iter().flat_map(wide_comments)).collect()
}

/// The comments of a file that are wider than a line of code may be.
fn wide_comments(source: &Source) -> Vec<String> {
    let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > MOST_COLUMNS;
    let wide = source.text.lines().zip(1..).filter(|(line, _)| is_wide(line));
    wide.map(|(_, number)| format!("{}:{number}: a comment of more than {MOST_COLUMNS} columns", source.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::against;
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_caught() {
        assert_eq!(against(sizes, "src/domain/money.rs", &"\n".repeat(MOST_LINES + 1)).len(), 1);
        assert_eq!(against(sizes, "src/domain/money.rs", &"\n".repeat(MOST_LINES)), [""; 0]);
    }

    #[test]
    fn a_comment_that_is_too_wide_is_caught() {
        let comment = |columns: usize| format!("    // {}\n", "x".repeat(columns - 7));
        assert_eq!(against(sizes, "src/domain/money.rs", &comment(MOST_COLUMNS + 1)).len(), 1);
        assert_eq!(against(sizes, "src/domain/money.rs", &comment(MOST_COLUMNS)), [""; 0]);
    }
}
