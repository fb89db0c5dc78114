//! Finds the paths that a Rust file names, with a lexer for names, comments and literals.

/// A path in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The line, from 1.
    pub line: usize,
    /// The modules inside the file that contain it.
    pub inside: Vec<String>,
    /// `["super", "money", "Money"]`; a glob ends with `*`.
    pub segments: Vec<String>,
    /// Whether it begins with `$crate`, in a macro: it is used where the macro is called.
    pub in_macro: bool,
}

impl Named {
    /// The path from the crate's root, as seen from a file that is `module`; `None` for a path of another crate.
    pub fn absolute(&self, module: &[String]) -> Option<Vec<String>> {
        let mut path: Vec<String> = match self.segments[0].as_str() {
            "crate" | "undercroft" => Vec::new(),
            "self" | "super" => module.iter().chain(&self.inside).cloned().collect(),
            _ => return None,
        };
        for segment in &self.segments {
            match segment.as_str() {
                "crate" | "undercroft" | "self" => {}
                "super" => drop(path.pop()),
                name => path.push(name.to_owned()),
            }
        }
        Some(path)
    }
}

/// All paths of at least two segments that `text` names, in `use` trees and elsewhere.
pub fn named(text: &str) -> Vec<Named> {
    let tokens = tokens(text);
    let token = |at: usize| tokens.get(at).map_or("", |token| token.1.as_str());
    let (mut found, mut at, mut depth) = (Vec::new(), 0, 0);
    let mut inside: Vec<(String, usize)> = Vec::new();
    while at < tokens.len() {
        match token(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inside.pop_if(|(_, outside)| *outside == depth);
            }
            "mod" if token(at + 2) == "{" => inside.push((token(at + 1).to_owned(), depth)),
            name if is_name(name) && token(at + 1) == "::" && (at == 0 || token(at - 1) != "::") => {
                let in_macro = at > 0 && token(at - 1) == "$";
                let mut leaves = Vec::new();
                let end = tree(&tokens, at, &[], &mut leaves);
                let inside: Vec<_> = inside.iter().map(|(name, _)| name.clone()).collect();
                found.extend(leaves.into_iter().map(|(line, segments)| Named {
                    line,
                    inside: inside.clone(),
                    segments,
                    in_macro,
                }));
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads `a::b::{c, d::*}` from `at` on; returns the index of its end.
fn tree(tokens: &[Token], mut at: usize, before: &[String], leaves: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = before.to_vec();
    let line = tokens[at].0;
    loop {
        match tokens.get(at).map_or("", |token| token.1.as_str()) {
            "{" => {
                at += 1;
                while tokens[at].1 != "}" {
                    at = match tokens[at].1.as_str() {
                        name if is_name(name) || name == "*" => tree(tokens, at, &path, leaves),
                        _ => at + 1,
                    };
                    if tokens[at].1 == "as" {
                        at += 2;
                    }
                }
                return at + 1;
            }
            segment if is_name(segment) || segment == "*" => path.push(segment.to_owned()),
            // a turbofish
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.1 != "::") {
            break;
        }
        at += 1;
    }
    if path.len() > 1 {
        leaves.push((line, path));
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// A line and a token in it.
type Token = (usize, String);

/// Names, `::` and single characters, without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest).or_else(|| character(rest)) {
            length
        } else if is_name(rest) {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((line, rest[..length].to_owned()));
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                found.push((line, rest[..length].to_owned()));
            }
            length
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match (rest.starts_with(b"/*"), rest.starts_with(b"*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string literal of any kind.
fn string(text: &str) -> Option<usize> {
    let after_prefix = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - after_prefix.len();
    if let Some(raw) = after_prefix.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(prefix + 2 + hashes + body.find(&end)? + end.len());
    }
    let body = after_prefix.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some(prefix + 1 + end + 1)
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    let mut characters = body.chars();
    let end = match characters.next()? {
        '\\' => 2 + body[2..].find('\'')?,
        one => one.len_utf8(),
    };
    body[end..].starts_with('\'').then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        named(text).iter().map(|named| named.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_flattened() {
        let text = "use crate::{a::B, c::{self, D as E, f::*}, g as h};\nuse std::fmt;";
        assert_eq!(
            paths(text),
            ["crate::a::B", "crate::c::self", "crate::c::D", "crate::c::f::*", "crate::g", "std::fmt"]
        );
    }

    #[test]
    fn paths_outside_of_use_are_found() {
        let text = "fn f(x: &'a crate::a::B) -> Vec<super::C> { x.y::<self::d::E>(); <crate::F as G>::h() }";
        assert_eq!(paths(text), ["crate::a::B", "super::C", "self::d::E", "crate::F"]);
    }

    #[test]
    fn comments_and_literals_are_ignored() {
        let text = r##"
            // use crate::a;
            /* crate::b /* crate::c */ crate::d */
            let (s, c) = ("crate::e \" crate::f", '"'); let q = '\''; let r = r#"crate::g " "#; let b = b"crate::h";
            use crate::found;
        "##;
        assert_eq!(paths(text), ["crate::found"]);
        assert_eq!(named(text)[0].line, 5);
    }

    #[test]
    fn a_path_is_resolved_from_its_module() {
        let text = "use super::a;\nmod m { use super::b; mod n { use super::super::c; } }\nuse self::d;";
        let module = ["x".to_owned(), "y".to_owned()];
        let paths: Vec<_> = named(text).iter().map(|p| p.absolute(&module).unwrap().join("::")).collect();
        assert_eq!(paths, ["x::a", "x::y::b", "x::y::c", "x::y::d"]);
        assert_eq!(named("use std::fmt;")[0].absolute(&module), None);
    }
}
