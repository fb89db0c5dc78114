//! A value with the bytes in which it was served.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json;
use super::shared_tier::Shape;

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
#[derive(Clone, PartialEq, Eq)]
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
    forms: Mutex<Vec<(String, Form)>>,
}

impl<T> Rendered<T> {
    /// Returns a value that was not served yet.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Inner { value, forms: Mutex::default() }))
    }

    /// Returns the form with a name, which `render` makes if there is none. A value keeps up to eight forms; a further
    /// one replaces the oldest. [`Loaded::bytes`](super::Loaded::bytes) includes all of them.
    ///
    /// # Errors
    ///
    /// What `render` returns.
    pub fn form<E>(&self, name: &str, render: impl FnOnce(&T) -> Result<Form, E>) -> Result<Form, E> {
        let lock = || self.0.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, form)) = lock().iter().find(|(known, _)| known == name) {
            return Ok(form.clone());
        }
        let form = render(&self.0.value)?;
        let mut forms = lock();
        // another reader may have rendered it meanwhile
        if forms.iter().any(|(known, _)| known == name) {
            return Ok(form);
        }
        if forms.len() == MAX_FORMS {
            forms.remove(0);
        }
        forms.push((name.to_owned(), form.clone()));
        Ok(form)
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

/// As JSON.
impl<T: Serialize + DeserializeOwned> Shape for Rendered<T> {
    fn write(&self, out: &mut Vec<u8>) {
        json::write(&self.0.value, out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        json::read(bytes).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_rendered_once_and_the_number_of_forms_is_bounded() {
        let rendered = Rendered::new(7);
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
}
