//! The forms in which a text may be shown: as it is, in a URL, and in Base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Texts in each form with their names, by the first two bytes of the form: a log is read once.
pub(super) struct Forms(Vec<Vec<(&'static str, String)>>);

impl Forms {
    /// The forms of texts, by their names.
    pub(super) fn of(texts: &BTreeMap<&'static str, String>) -> Self {
        let mut by_start = vec![Vec::new(); usize::from(u16::MAX) + 1];
        for (name, text) in texts {
            for form in forms(text) {
                by_start[start(form.as_bytes())].push((*name, form));
            }
        }
        Self(by_start)
    }

    /// Returns the name of the first text that is in another one in any form, and where.
    pub(super) fn find(&self, text: &str) -> Option<(&'static str, usize)> {
        let bytes = text.as_bytes();
        let mut places = bytes.windows(2).enumerate();
        places.find_map(|(at, pair)| {
            let mut begun = self.0[start(pair)].iter();
            let found = begun.find(|(_, form)| bytes[at..].starts_with(form.as_bytes()));
            found.map(|(name, _)| (*name, at))
        })
    }
}

/// The first two bytes as a number.
fn start(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn forms(text: &str) -> Vec<String> {
    let in_url = |is_kept: fn(u8) -> bool| {
        let escaped =
            |byte: u8| if is_kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(escaped).collect::<String>()
    };
    let usual = in_url(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let in_form = usual.replace("%20", "+");
    let mut forms = vec![text.to_owned(), in_url(|_| false), in_form];
    // within a query, these need not be escaped
    forms.push(in_url(|byte| byte.is_ascii_alphanumeric() || b"-._~!$'()*,;:/?".contains(&byte)));
    forms.push(usual);
    let small: Vec<_> = forms[1..].iter().map(|form| with_small_digits(form)).collect();
    forms.extend(small);
    // it may begin at each of three bytes that are encoded together; only the characters that are of the text alone
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&[0; 2][..before], text.as_bytes()].concat();
        let own = first..bytes.len() * 8 / 6;
        forms.extend(
            [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|form| form.encode(&bytes)[own.clone()].to_owned()),
        );
    }
    forms.sort();
    forms.dedup();
    forms
}

/// A text whose escaped bytes have small letters as digits.
fn with_small_digits(text: &str) -> String {
    let mut parts = text.split('%');
    let before = parts.next().unwrap_or_default().to_owned();
    parts.fold(before, |text, part| {
        let (digits, rest) = part.split_at(2);
        format!("{text}%{}{rest}", digits.to_lowercase())
    })
}

#[test]
fn a_text_is_found_in_each_form_and_not_in_part() {
    let text = "ann@birds.example, Zo\u{eb}";
    let forms = Forms::of(&BTreeMap::from([("text", text.to_owned())]));
    for before in ["", "x", "xy", "xyz"] {
        let whole = format!("{before}{text} and more");
        for shown in [whole.clone(), STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            assert!(forms.find(&shown).is_some(), "{shown}");
        }
    }
    let in_full = text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    for shown in [
        "ann%40birds.example%2C%20Zo%C3%AB",
        "ann%40birds.example%2c%20Zo%c3%ab",
        "ann%40birds.example%2C+Zo%C3%AB",
        "ann%40birds.example,%20Zo%C3%AB",
        &in_full,
    ] {
        assert_eq!(forms.find(&format!("?q={shown}")), Some(("text", 3)), "{shown}");
    }
    assert_eq!(forms.find("ann@birds.example, Zo"), None);
}
