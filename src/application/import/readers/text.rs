//! Converts a shop's texts: HTML to plain text, and names to slugs.

use crate::domain::slug::slug;

/// Returns one slug of several texts.
pub(super) fn joined_slug<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    slug(&parts.into_iter().collect::<Vec<_>>().join("-"))
}

/// Returns the text of HTML: without tags, blocks on separate lines, entities resolved, scripts removed.
pub(super) fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&resolve_entities(&rest[..open]));
        rest = &rest[open..];
        let Some(tag) = Tag::at_start(rest) else {
            text.push('<');
            rest = &rest[1..];
            continue;
        };
        rest = &rest[tag.length..];
        if tag.is_any(&["script", "style"]) && !tag.closing {
            rest = end_of_element(rest, tag.name);
        } else if tag.is_any(BLOCKS) {
            text.push('\n');
        }
    }
    text.push_str(&resolve_entities(rest));
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Returns the text from the closing tag of an element on.
fn end_of_element<'a>(rest: &'a str, name: &str) -> &'a str {
    let closes =
        |start: usize| rest[start + 2..].get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name));
    rest.match_indices("</").find(|(start, _)| closes(*start)).map_or("", |(start, _)| &rest[start..])
}

const BLOCKS: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];

struct Tag<'a> {
    name: &'a str,
    closing: bool,
    length: usize,
}

impl<'a> Tag<'a> {
    /// Returns the tag or comment at the beginning of `html`, if there is one; `<` alone, as in `a < b`, is text.
    fn at_start(html: &'a str) -> Option<Self> {
        if let Some(comment) = html.strip_prefix("<!--") {
            let length = comment.find("-->").map_or(html.len(), |end| end + "<!---->".len());
            return Some(Self { name: "", closing: false, length });
        }
        let inner = html.strip_prefix('<')?;
        let (closing, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            return None;
        }
        let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
        let length = html.find('>').map_or(html.len(), |end| end + 1);
        Some(Self { name: &inner[..name_end], closing, length })
    }

    fn is_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }
}

/// Replaces the entities that shops' editors write. Others stay as they are.
fn resolve_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // the entities that are replaced are shorter
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let (c, length) = end.and_then(|end| Some((entity(&rest[1..end])?, end + 1))).unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32).filter(|c| *c != '\0');
    }
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
}

const NAMED: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("bull", '•'),
    ("middot", '·'),
    ("deg", '°'),
    ("times", '×'),
    ("frac12", '½'),
    ("frac14", '¼'),
    ("euro", '€'),
    ("pound", '£'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("ccedil", 'ç'),
    ("ocirc", 'ô'),
    ("icirc", 'î'),
    ("ucirc", 'û'),
    ("ntilde", 'ñ'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_plain_text() {
        let html = "<p>Roasted&nbsp;in <b>small</b> batches.</p>\n<ul><li>250 g</li><li>Caf&eacute; &#8364;5</li></ul>\
                    <script>alert('x </b> y')</script><!-- draft --><p>Fish &amp; chips</p>";
        assert_eq!(plain_text(html), "Roasted in small batches.\n250 g\nCafé €5\nFish & chips");
    }

    #[test]
    fn text_that_looks_like_html_stays() {
        assert_eq!(plain_text("a < b & c > d &unknown; &#0;"), "a < b & c > d &unknown; &#0;");
        assert_eq!(plain_text("an open <b tag"), "an open");
    }
}
