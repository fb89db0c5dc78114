//! Arguments that may contain a password.

use std::ffi::OsStr;
use std::fmt::Display;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Parses an argument by a function. Its error names the argument and the rule, and unlike that of clap does not repeat
/// the value, which may contain a password.
#[derive(Clone, Copy)]
pub(super) struct Unquoted<T, E>(pub fn(&str) -> Result<T, E>);

impl<T, E> TypedValueParser for Unquoted<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Display + Clone + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let invalid = |reason: &dyn Display| {
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            let text = format!("invalid value for '{argument}': {reason}\n");
            Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        };
        let text = value.to_str().ok_or_else(|| invalid(&"not UTF-8"))?;
        (self.0)(text).map_err(|error| invalid(&error))
    }
}
