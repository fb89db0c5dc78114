//! The paths of files that documents and comments name, and the table of contents of docs/OPERATIONS.md.

use super::{Source, has_ending};

/// Every path with a folder that a document or a comment names is the end of the path of a file.
pub fn missing_files(sources: &[Source], files: &[String]) -> Vec<String> {
    let exists = |named: &str| {
        let end = format!("/{named}");
        files.iter().any(|file| file == named || file.ends_with(&end))
    };
    let mut faults = Vec::new();
    for source in sources {
        for (line, text) in texts(source) {
            let missing = named(text).filter(|named| !exists(named));
            faults.extend(missing.map(|named| format!("{}:{line}: {named} does not exist", source.path)));
        }
    }
    faults
}

/// The lines of a document, and those of a Rust file that are comments, each with its number.
fn texts(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_document = has_ending(&source.path, &["md"]);
    let is_rust = has_ending(&source.path, &["rs"]);
    let lines = source.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(move |(_, line)| is_document || is_rust && line.trim_start().starts_with("//"))
}

/// The paths to Rust files and documents in a text. A path of a URL, or with a placeholder, is none.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let paths = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./<>{},".contains(c)));
    let paths = paths.map(|path| path.trim_end_matches(['.', ',']).trim_start_matches("../"));
    paths.filter(|path| {
        let has_folder = path.contains('/') && !path.starts_with('/') && !path.contains("//");
        has_folder && !path.contains(['<', '{', '>', '}']) && has_ending(path, &["rs", "md"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        missing_files(&[source], &["src/domain/money.rs".to_owned()]).len()
    }

    /// Returns the links to the headings of a page, as its table of contents has them.
    fn headings(page: &str) -> Vec<String> {
        let titles = page.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
        let link = |title: &str| {
            let kept = title.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == ' ');
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
            format!("[{title}](#{anchor})")
        };
        titles.map(link).collect()
    }

    #[test]
    fn the_contents_of_operations_have_every_heading_in_its_order() {
        let page = include_str!("../../../docs/OPERATIONS.md");
        let (contents, rest) = page.split_at(page.find("\n## ").unwrap());
        let parts = contents.split_inclusive(')');
        let links = parts.filter_map(|part| part.find('[').map(|at| part[at..].to_owned()));
        assert_eq!(links.collect::<Vec<_>>(), headings(rest));
    }

    #[test]
    fn a_path_that_does_not_exist_is_caught() {
        for text in ["See `src/domain/cart.rs`.", "[why](../decisions/0001.md)", "money/domain.rs, the ones"]
        {
            assert_eq!(faults("docs/ARCHITECTURE.md", text), 1, "{text}");
        }
        assert_eq!(faults("src/lib.rs", "//! As docs/RULES.md says.\nlet path = \"docs/RULES.md\";"), 1);
        for text in [
            "`src/domain/money.rs`, and domain/money.rs.",
            "src/domain/<name>.rs",
            "https://example.org/docs/page.md",
            "money.rs",
        ] {
            assert_eq!(faults("docs/ARCHITECTURE.md", text), 0, "{text}");
        }
    }
}
