//! The rules of names, comments and texts: the words of docs/GLOSSARY.md, and doc comments that say something.

use super::Source;

/// Words and phrases that docs/GLOSSARY.md replaces.
const UNWANTED: &[&str] = &[
    "anybody",
    "are told",
    "ask back",
    "be told",
    "became of",
    "came to nothing",
    "comes to nothing",
    "everybody",
    "gave way",
    "give back",
    "given back",
    "gives back",
    "go back",
    "goes back",
    "hasten",
    "heard of",
    "if it is not said",
    "is told",
    "let go",
    "lets go",
    "log-in",
    "meant",
    "means of payment",
    "nobody",
    "put off",
    "puts off",
    "set aside",
    "shelved",
    "somebody",
    "stand in line",
    "take in",
    "taken in",
    "takes its turn",
    "taken up",
    "under way",
    "was told",
    "way of shipping",
    "ways of shipping",
    "what is to be",
    "whoever",
    "whomever",
];

/// The two files that name the words to explain them.
const EXEMPT: [&str; 2] = ["docs/GLOSSARY.md", "tests/it/architecture/words.rs"];

fn is_checked(source: &Source) -> bool {
    !EXEMPT.contains(&source.path.as_str())
}

/// No text of ours uses a word that docs/GLOSSARY.md replaces.
pub fn glossary(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| is_checked(source)) {
        let found = unwanted(&source.text).into_iter();
        faults.extend(found.map(|(line, phrase)| format!("{}:{line}: \"{phrase}\"", source.path)));
    }
    faults
}

/// A doc comment is more than one word.
pub fn doc_comments(sources: &[Source]) -> Vec<String> {
    let is_doc = |line: Option<&&str>| line.is_some_and(|line| line.trim_start().starts_with("///"));
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| is_checked(source)) {
        let lines: Vec<_> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let alone = !is_doc(lines.get(at + 1)) && (at == 0 || !is_doc(lines.get(at - 1)));
            let text = line.trim_start().strip_prefix("/// ");
            if alone && text.is_some_and(|text| !text.trim().contains(' ')) {
                faults.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    faults
}

/// Returns each unwanted word or phrase with its line.
fn unwanted(text: &str) -> Vec<(usize, &'static str)> {
    let words = words(text);
    let is_at = |at: usize, phrase: &str| {
        let mut rest = words[at..].iter().map(|(_, word)| word.as_str());
        phrase.split(' ').all(|word| rest.next() == Some(word))
    };
    let find = |phrase: &'static str| {
        let found = (0..words.len()).filter(move |&at| is_at(at, phrase));
        found.map(|at| (words[at].0, phrase)).collect::<Vec<_>>()
    };
    UNWANTED.iter().flat_map(|phrase| find(phrase)).collect()
}

/// The words of a text in lower case, each with its line. A name is split into its words; words that a hyphen joins
/// are one.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let parts = line.split(|c: char| !c.is_alphabetic() && c != '-');
        for part in parts.flat_map(split_name) {
            words.push((at + 1, part.to_lowercase()));
        }
    }
    words
}

/// `UnderWay` is `Under` and `Way`.
fn split_name(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = name.trim_matches('-');
    while let Some(at) = rest.char_indices().skip(1).find_map(|(at, c)| c.is_uppercase().then_some(at)) {
        parts.push(&rest[..at]);
        rest = &rest[at..];
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_the_glossary_replaced_is_caught() {
        for text in [
            "/// Whoever asks.",
            "fn set_aside() {}",
            "struct UnderWay;",
            "let text = \"it comes to nothing\";",
            "// the money goes\n    // back",
            "/// Ends a log-in.",
        ] {
            assert_eq!(unwanted(text).len(), 1, "{text}");
        }
        for text in ["/// Releases the stock.", "fn log_in() {}", "let set = value; // aside"] {
            assert_eq!(unwanted(text), [], "{text}");
        }
    }

    #[test]
    fn a_doc_comment_of_one_word_is_caught() {
        for text in
            ["/// Which.\npub id: UserId,", "pub struct Cart {\n    /// When.\n    pub at: Timestamp,"]
        {
            assert_eq!(doc_comments(&[source(text)]).len(), 1, "{text}");
        }
        for text in ["/// The id.\npub id: UserId,", "/// The id of the\n/// user.\npub id: UserId,"] {
            assert_eq!(doc_comments(&[source(text)]), [""; 0], "{text}");
        }
    }

    fn source(text: &str) -> Source {
        Source { path: "src/application/cart.rs".to_owned(), text: text.to_owned() }
    }
}
