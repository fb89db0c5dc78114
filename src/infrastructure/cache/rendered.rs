//! A value with the bytes in which it was served.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json;
use super::read::Served;
use super::shared_tier::Shape;
use super::weight;

/// The most forms of a value; a further one replaces the oldest.
const MAX_FORMS: usize = 8;

/// A form in which a value is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The body of the response.
    pub body: KeptBody,
    /// The entity tag of the body.
    pub entity_tag: HeaderValue,
    /// The languages of its texts, as `Content-Language` has them, if they depend on those of the client.
    pub languages: Option<HeaderValue>,
}

/// The body of a response that is kept, and its bytes as they were compressed for the first client that accepts that.
/// Clones share both. As an extension of the response, it lets the compression use the same bytes again.
#[derive(Clone)]
pub struct KeptBody {
    bytes: Bytes,
    gzip: Arc<OnceLock<Bytes>>,
}

impl KeptBody {
    /// Returns the bytes as they are.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the bytes in the content coding `gzip`, which `compress` makes of them if no one did before.
    ///
    /// # Errors
    ///
    /// What `compress` returns.
    pub fn gzip<E>(&self, compress: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Bytes, E> {
        if let Some(known) = self.gzip.get() {
            return Ok(known.clone());
        }
        let compressed = compress(&self.bytes)?.into();
        Ok(self.gzip.get_or_init(|| compressed).clone())
    }
}

/// Compares the bytes as they are: whether they were compressed before says nothing about them.
impl PartialEq for KeptBody {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for KeptBody {}

impl From<Vec<u8>> for KeptBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), gzip: Arc::default() }
    }
}

impl fmt::Debug for KeptBody {
    /// Omits the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptBody").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// A value, and the forms in which it was served: in a language and a currency. Clones share both. Processes share the
/// value alone.
pub struct Rendered<T>(Arc<Inner<T>>);

struct Inner<T> {
    value: T,
    /// The most bytes of the forms.
    space: u32,
    forms: Mutex<Vec<NamedForm>>,
}

type NamedForm = (String, Form);

impl<T> Rendered<T> {
    /// Returns a value that keeps no forms.
    pub fn new(value: T) -> Self {
        Self::with_forms(value, 0)
    }

    /// Returns a value that keeps the forms in which it is served, of so many bytes at most.
    /// [`Loaded::bytes`](super::Loaded::bytes) includes these.
    pub fn with_forms(value: T, bytes: u32) -> Self {
        Self(Arc::new(Inner { value, space: bytes, forms: Mutex::default() }))
    }

    /// Returns the form with a name, if it is kept.
    fn known(&self, name: &str) -> Option<Form> {
        self.forms().iter().find(|(known, _)| known == name).map(|(_, form)| form.clone())
    }

    /// Keeps a form, as far as there is space; see [`Served::form`].
    fn keep(&self, name: &str, form: Form) {
        let named = (name.to_owned(), form);
        let needed = weigh(&named);
        if weight::capped(needed) > self.0.space {
            return;
        }
        let mut forms = self.forms();
        // another reader may have rendered it meanwhile
        if forms.iter().any(|(known, _)| known == name) {
            return;
        }
        while forms.len() == MAX_FORMS
            || weight::capped(needed + forms.iter().map(weigh).sum::<usize>()) > self.0.space
        {
            forms.remove(0);
        }
        forms.push(named);
    }

    fn forms(&self) -> MutexGuard<'_, Vec<NamedForm>> {
        self.0.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Served<Rendered<T>> {
    /// Returns the form with a name, which `render` makes if there is none. A value keeps up to eight forms, as far as
    /// there is space; a further one replaces the oldest. One that is larger than the space is not kept.
    ///
    /// In check mode, `render` makes it also if there is one, to compare both.
    ///
    /// # Errors
    ///
    /// What `render` returns.
    pub fn form<E>(&self, name: &str, render: impl FnOnce(&T) -> Result<Form, E>) -> Result<Form, E> {
        if let Some(known) = self.value.known(name) {
            return self.compared(name, known, render);
        }
        let form = render(&self.value)?;
        self.value.keep(name, form.clone());
        Ok(form)
    }

    /// Returns a form that is kept under a name. In check mode, returns the one that `render` makes of the value that
    /// was loaded for the comparison instead, if they differ, and reports that.
    pub(super) fn compared<E>(
        &self,
        name: &str,
        kept: Form,
        render: impl FnOnce(&T) -> Result<Form, E>,
    ) -> Result<Form, E> {
        let Some(comparison) = &self.comparison else { return Ok(kept) };
        let fresh = render(&comparison.fresh)?;
        if fresh == kept {
            return Ok(kept);
        }
        (comparison.report)(name);
        Ok(fresh)
    }
}

impl<T> Clone for Rendered<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Rendered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Rendered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

/// Returns the bytes of a form, about: compressed, JSON takes about a fourth, unless it is short.
fn weigh((name, Form { body, entity_tag, languages }): &NamedForm) -> usize {
    let length = body.bytes.len();
    let head = entity_tag.len() + languages.as_ref().map_or(0, HeaderValue::len);
    size_of::<NamedForm>() + name.len() + head + length + length / 4
}

/// As JSON, with the space for forms.
impl<T: Serialize + DeserializeOwned> Shape for Rendered<T> {
    fn write(&self, out: &mut Vec<u8>) {
        json::write(&(self.0.space, &self.0.value), out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        json::read(bytes).map(|(space, value)| Self::with_forms(value, space))
    }

    /// The space is no part of the value.
    fn is_same(&self, other: &Self) -> bool {
        let [mut bytes, mut others] = [Vec::new(), Vec::new()];
        json::write(&self.0.value, &mut bytes);
        json::write(&other.0.value, &mut others);
        bytes == others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::cache::read::{Outcome, ReadStatus};

    /// A value as a reader gets it.
    fn served(value: Rendered<i32>) -> Served<Rendered<i32>> {
        let status = ReadStatus { outcome: Outcome::Hit, ttl_seconds: 0, is_stored: true };
        Served { value, status, comparison: None }
    }

    #[test]
    fn a_form_is_rendered_once_and_the_number_of_forms_is_bounded() {
        let rendered = served(Rendered::with_forms(7, 10_000));
        let mut count = 0;
        let mut render = |name: &str| {
            let form = rendered.form(name, |value| {
                count += 1;
                let body = format!("{value} {count}").into_bytes().into();
                Ok::<_, ()>(Form { body, entity_tag: HeaderValue::from_static("\"1\""), languages: None })
            });
            form.unwrap().body.bytes().clone()
        };
        assert_eq!((render("de"), render("de"), render("en")), ("7 1".into(), "7 1".into(), "7 2".into()));
        for name in 0..MAX_FORMS {
            render(&name.to_string());
        }
        assert_eq!(render("de"), "7 11");
    }

    /// Asks for a form of so many bytes; adds to `count` if it is rendered.
    fn ask(rendered: &Served<Rendered<i32>>, name: &str, length: usize, count: &mut i32) {
        let form = rendered.form(name, |_| {
            *count += 1;
            let body = vec![b'x'; length].into();
            Ok::<_, ()>(Form { body, entity_tag: HeaderValue::from_static("\"1\""), languages: None })
        });
        assert_eq!(form.unwrap().body.bytes().len(), length);
    }

    #[test]
    fn the_bytes_of_the_forms_are_bounded_with_those_of_their_compressed_bodies() {
        // two of 2500 bytes have space
        let rendered = served(Rendered::with_forms(7, 8_000));
        let mut count = 0;
        for (name, length, expected) in [
            ("de", 2_500, 1),
            ("en", 2_500, 2),
            ("de", 2_500, 2),
            ("fr", 2_500, 3),
            ("en", 2_500, 3),
            ("de", 2_500, 4),
            // it alone is too large, and replaces nothing
            ("all", 7_000, 5),
            ("all", 7_000, 6),
            ("fr", 2_500, 6),
            ("de", 2_500, 6),
        ] {
            ask(&rendered, name, length, &mut count);
            assert_eq!(count, expected, "{name}");
        }
    }

    #[test]
    fn a_value_without_space_keeps_no_form_and_one_that_others_read_has_its_space() {
        let (bare, mut count) = (served(Rendered::new(7)), 0);
        for _ in 0..2 {
            ask(&bare, "de", 0, &mut count);
        }
        let (rendered, mut bytes) = (Rendered::with_forms(7, 10_000), Vec::new());
        rendered.write(&mut bytes);
        let read = served(<Rendered<i32> as Shape>::read(&bytes).unwrap());
        for _ in 0..2 {
            ask(&read, "de", 2_500, &mut count);
        }
        assert_eq!((**read, count), (7, 3));
        assert!(read.is_same(&bare.value) && !read.is_same(&Rendered::with_forms(8, 10_000)));
    }
}
