//! What a layout has to say: which columns it reads, and what a line means.

use std::collections::VecDeque;

use super::error::Fault;
use crate::application::import::line::{Fields, Rejection, SourceLine};
use crate::application::import::record::Record;

/// The meaning of one layout's lines.
pub(super) trait Layout: Send {
    /// Takes a line. It must come out again: in an entry or as a rejection, now or at the end.
    fn take(&mut self, line: SourceLine, out: &mut Outcomes);

    /// Lets go of everything that waited for later lines.
    fn finish(&mut self, out: &mut Outcomes);
}

/// What a reader yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Something to apply.
    Entry(Entry),
    /// A line that was not taken.
    Rejected(Rejection),
}

/// A record, and the lines of the file that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What they say.
    pub record: Record,
    /// The lines; none for what only follows from others, such as a category.
    pub lines: Vec<SourceLine>,
}

/// Outcomes on their way out.
#[derive(Debug, Default)]
pub(super) struct Outcomes(VecDeque<Outcome>);

impl Outcomes {
    pub(super) fn entry(&mut self, record: Record, lines: Vec<SourceLine>) {
        self.0.push_back(Outcome::Entry(Entry { record, lines }));
    }

    pub(super) fn reject(&mut self, rejection: Rejection) {
        self.0.push_back(Outcome::Rejected(rejection));
    }

    pub(super) fn pop(&mut self) -> Option<Outcome> {
        self.0.pop_front()
    }
}

/// A column a layout reads; it may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(Option<usize>);

impl Column {
    /// What stands there, without the white space around it.
    pub(super) fn of(self, line: &SourceLine) -> &str {
        self.0.and_then(|index| line.fields.get(index)).unwrap_or_default().trim()
    }

    /// Whether the file has it.
    pub(super) fn is_there(self) -> bool {
        self.0.is_some()
    }
}

/// Finds columns in a header, and keeps book of what is wrong with it.
pub(super) struct Columns<'a> {
    header: &'a Fields,
    missing: Vec<&'static str>,
    repeated: Option<String>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(header: &'a Fields) -> Self {
        Self { header, missing: Vec::new(), repeated: None }
    }

    /// A column that may be absent, by any of its names.
    pub(super) fn optional(&mut self, names: &[&str]) -> Column {
        for name in names {
            let mut found =
                self.header.iter().enumerate().filter(|(_, column)| column.trim().eq_ignore_ascii_case(name));
            if let Some((index, _)) = found.next() {
                if found.next().is_some() {
                    self.repeated = Some((*name).to_owned());
                }
                return Column(Some(index));
            }
        }
        Column(None)
    }

    /// A column without which the layout makes no sense, by any of its names; the first is told when it is missing.
    pub(super) fn required(&mut self, names: &[&'static str]) -> Column {
        let column = self.optional(names);
        if !column.is_there() {
            self.missing.extend(names.first());
        }
        column
    }

    /// Says what is wrong with the header.
    pub(super) fn check(self) -> Result<(), Fault> {
        match self.repeated {
            _ if !self.missing.is_empty() => Err(Fault::MissingColumns(self.missing)),
            Some(name) => Err(Fault::RepeatedColumn(name)),
            None => Ok(()),
        }
    }
}
